"""A search as the address of the page has it, for what tells its new products: the feed and the mails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from geodes_lab.catalog.query import Query, parse
from geodes_lab.errors import GeodesError
from hub.services.catalogue.shelves import Shelves
from hub.services.maps import gazetteer
from hub.services.person import Person

MOST = 100
"""Products that are looked at, the newest."""
_LONG = 500  # characters of a value
_POLYGON = 3000  # of a hundred corners
_WORDS = (
    "collection", "from", "to", "clouds", "polarizations", "property", "value", "also", "bbox", "polygon", "tile",
)  # fmt: skip
_POLARIZATIONS = "sar:polarizations"
TIMES = ("published", "created", "updated")
"""When a product came, in order of preference; else the acquisition counts."""


class NoSuch(GeodesError):
    """There is no such collection, or not for this person."""


def asked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the words of a search, in their own order.

    Raises
    ------
    GeodesError
        A sentence, if it has others.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in _WORDS or name in found or len(value) > (_POLYGON if name == "polygon" else _LONG):
            raise GeodesError(
                f"A feed takes {', '.join(sorted(_WORDS))}, each once and at most {_LONG} characters (a polygon "
                f"{_POLYGON}); the shape of a file is kept for a while only: use a polygon or a box."
            )
        found[name] = value
    if not found.get("collection"):
        raise GeodesError("Say the collection: feed.atom?collection=….")
    return {name: found[name] for name in _WORDS if found.get(name)}


def text(search: Mapping[str, str]) -> str:
    """Return a search as the query of an address, always the same for the same search."""
    return urlencode(search)


def read(text: str) -> dict[str, str]:
    """Return the search of a text."""
    return asked(parse_qsl(text))


def newest(shelves: Shelves, person: Person, search: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the newest Items of a search that a person may see.

    Raises
    ------
    GeodesError
        A sentence, if there is no such collection for this person, or the search is none.
    """
    told = search["collection"]
    if told not in shelves.collections(person):
        raise NoSuch(f"There is no collection {told[:100]}, or you have no access to it.")
    known = shelves.queryables([told])
    when = next((t for t in TIMES if t in known), "datetime")
    try:
        return shelves.page(_query(known, search, when), 0)
    except gazetteer.NoTile as error:
        raise GeodesError(str(error)) from None


def came(item: Mapping[str, Any]) -> str:
    """Return when a product came."""
    properties = item["properties"]
    acquired = properties.get("datetime") or properties.get("start_datetime") or ""
    return str(next((properties[t] for t in TIMES if properties.get(t)), acquired))


def _query(known: Mapping[str, str], asked: Mapping[str, str], when: str) -> Query:
    """Return the search of an address, the newest first."""
    collection = asked["collection"]
    filters: dict[str, Any] = {}
    pairs = [*parse_qsl(asked.get("also", "")), (asked.get("property", ""), asked.get("value", ""))]
    conditions = {name: value for name, value in pairs if name and value}
    ids = conditions.pop("id", None)
    for name, value in conditions.items():
        filters[name] = _number(name, value) if known.get(name) in ("integer", "number") else value
    if asked.get("polarizations"):
        filters[_POLARIZATIONS] = asked["polarizations"].split(",")  # one of them is enough
    for needed in (*filters, *(["eo:cloud_cover"] if asked.get("clouds") else [])):
        if needed not in known:
            raise GeodesError(f"The products of {collection} have no {needed[:100]!r}: leave it out.")
    bbox = [_number("bbox", part) for part in asked["bbox"].split(",")] if asked.get("bbox") else None
    tile = asked.get("tile")
    if tile and "grid:code" not in known:  # as on the page: what lies in the tile's box
        bbox, tile = gazetteer.tile(tile.upper())["bbox"], None
    begin, end = asked.get("from") or "..", asked.get("to") or ".."
    return parse(
        [collection],
        bbox=bbox,
        intersects=_polygon(asked["polygon"]) if asked.get("polygon") else None,
        tile=tile or None,
        datetime=None if (begin, end) == ("..", "..") else f"{begin}/{end}",
        cloud_cover=_number("clouds", asked["clouds"]) if asked.get("clouds") else None,
        ids=ids,
        sortby=[f"-{when}"],
        limit=MOST,
        queryables=filters,
    )


def _polygon(text: str) -> dict[str, Any]:
    numbers = [_number("polygon", part) for part in text.split(",")]
    if len(numbers) < 6 or len(numbers) % 2:
        raise GeodesError("polygon has longitudes and latitudes of at least three corners, with commas between them.")
    ring = [list(corner) for corner in zip(numbers[::2], numbers[1::2], strict=True)]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise GeodesError(f"{name} has no number: {text[:40]!r}.") from None
