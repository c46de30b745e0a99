"""What is new for a search, as an Atom feed with the rights of its reader; the address is that of the page's search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from geodes_lab.catalog.query import Query, parse
from geodes_lab.errors import GeodesError
from hub.services.catalogue.shelves import Shelves
from hub.services.maps import gazetteer
from hub.services.person import Hub, Person

_MOST = 100  # entries
_LONG = 3000  # characters of a value: of a polygon with a hundred corners
_KNOWN = {"collection", "from", "to", "clouds", "property", "value", "bbox", "polygon", "tile"}
_TIMES = ("published", "created", "updated")
"""When a product came, in order of preference; else the acquisition counts."""
_HEADERS = {"Cache-Control": "private, max-age=300", "Vary": "Authorization, Cookie"}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def routes(shelves: Shelves, hub: Hub, *, public: bool) -> APIRouter:
    """Return the route of the feed, below the service's prefix."""
    router = APIRouter(prefix=hub.prefix.rstrip("/"), include_in_schema=False)

    @router.get("/feed.atom")
    def feed(request: Request) -> Response:
        person = hub.person(request)
        if not person.name and not public:
            raise HTTPException(401, "Log in, or send your token (Authorization: token …, from the hub's page Token).")
        asked = _asked(request)
        told, times = asked["collection"], []
        if told in shelves.collections(person):
            times = [t for t in _TIMES if t in shelves.queryables([told])]
        try:
            query = _query(shelves, person, asked, times[0] if times else "datetime")
            items = shelves.page(query, 0)
        except (GeodesError, gazetteer.NoTile) as error:
            raise HTTPException(400, str(error)) from error
        text = _atom(items, asked, str(request.url), str(request.url.replace(query="", path=hub.prefix)))
        return Response(text, media_type="application/atom+xml", headers=_HEADERS)

    return router


def _asked(request: Request) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in _KNOWN or name in asked or len(value) > _LONG:
            raise HTTPException(
                400,
                f"A feed takes {', '.join(sorted(_KNOWN))}, each once and at most {_LONG} characters; the shape of a "
                "file is kept for a while only: use a box.",
            )
        asked[name] = value
    if not asked.get("collection"):
        raise HTTPException(400, "Say the collection: feed.atom?collection=….")
    return asked


def _query(shelves: Shelves, person: Person, asked: Mapping[str, str], when: str) -> Query:
    """Return the search of an address, the newest first."""
    collection = asked["collection"]
    if collection not in shelves.collections(person):
        raise HTTPException(404, f"There is no collection {collection[:100]}, or you have no access to it.")
    filters: dict[str, Any] = {}
    known = shelves.queryables([collection])
    name, value = asked.get("property"), asked.get("value")
    if name and value and name != "id":
        filters[name] = _number(name, value) if known.get(name) in ("integer", "number") else value
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
        ids=value if name == "id" else None,
        sortby=[f"-{when}"],
        limit=_MOST,
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


def _atom(items: list[dict[str, Any]], asked: Mapping[str, str], address: str, page: str) -> str:
    entries = [_entry(item, page) for item in items]
    updated = max((when for when, _ in entries), default="2014-01-01T00:00:00Z")
    title = _text(f"{asked['collection']}: {', '.join(v for k, v in asked.items() if k != 'collection') or '…'}")
    to_page = quoteattr(f"{page}?{urlencode(asked)}")
    return (
        f"<?xml version='1.0' encoding='utf-8'?><feed xmlns='http://www.w3.org/2005/Atom'><id>{_text(address)}</id>"
        f"<title>{title}</title><updated>{updated}</updated><author><name>GEODES Lab</name></author>"
        f"<link rel='self' href={quoteattr(address)}/><link rel='alternate' href={to_page}/>"
        f"{''.join(text for _, text in entries)}</feed>"
    )


def _entry(item: dict[str, Any], page: str) -> tuple[str, str]:
    """Return when a product came, and its entry."""
    properties, name, collection = item["properties"], str(item["id"]), str(item["collection"])
    acquired = str(properties.get("datetime") or properties.get("start_datetime") or "")
    when = _text(str(next((properties[t] for t in _TIMES if properties.get(t)), acquired)))
    clouds = properties.get("eo:cloud_cover")
    told = f", {clouds:.0f} % clouds" if isinstance(clouds, (int, float)) else ""
    summary = f"{acquired[:16].replace('T', ' ')}{told}"
    link = f"{page}?{urlencode({'collection': collection, 'product': name})}"
    number = f"urn:geodes-lab:product:{quote(collection, safe='')}:{quote(name, safe='')}"
    return when, (
        f"<entry><id>{_text(number)}</id><title>{_text(name)}</title><updated>{when}</updated>"
        f"<link rel='alternate' href={quoteattr(link)}/><summary>{_text(summary)}</summary></entry>"
    )


def _text(text: str) -> str:
    return escape(_NO_XML.sub("�", text))
