"""The query of a search.

It is parsed once, checked before any request, and compared with each Item that a catalogue returns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pystac
from pystac_client import ItemSearch
from shapely import box, prepare
from shapely.affinity import translate
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant
from geodes_lab.util.bbox import checked

FAR_PAST, FAR_FUTURE = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Range = tuple[Any, Any]
"""The lowest and the highest value; None: no bound."""


class Described(Protocol):
    """The parts of an Item that a query uses, such as those of a `pystac.Item`."""

    id: str
    properties: dict[str, Any]
    geometry: dict[str, Any] | None
    datetime: datetime | None


@dataclass(frozen=True)
class Query:
    """A search, in STAC's terms."""

    collections: tuple[str, ...]
    """The collections' present ids."""
    area: BaseGeometry | None = None
    """The area that the footprint must intersect, in degrees."""
    start: datetime = FAR_PAST
    """The acquisition ends at this time or later."""
    end: datetime = FAR_FUTURE
    """The acquisition begins before this time."""
    ids: tuple[str, ...] = ()
    """Names of products; empty: all."""
    latest: bool = True
    """Whether superseded versions are left out."""
    sortby: tuple[tuple[str, bool], ...] = (("datetime", False), ("id", False))
    """Properties in order of precedence, each with whether the greatest comes first."""
    limit: int | None = None
    """The largest number of Items; None: all."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """By property: a value, a tuple of the lowest and the highest, or a list of alternatives."""
    cql2: Mapping[str, Any] | None = None
    """One more condition, in CQL2 JSON; only a harvested catalogue supports it."""

    @property
    def any_time(self) -> bool:
        """Whether the time is not restricted."""
        return (self.start, self.end) == (FAR_PAST, FAR_FUTURE)

    def matches(self, item: Described) -> bool:
        """Whether an Item matches. A property that it lacks does not exclude it."""
        p = item.properties
        if not self.any_time:
            begin, end = (instant.utc(p.get(k)) or instant.utc(item.datetime) for k in _BOUNDS)
            if begin is not None and end is not None and (begin >= self.end or end < self.start):
                return False
        if self.area is not None and item.geometry and not _meet(self.area, shape(item.geometry)):
            return False
        if self.ids and not {item.id, p.get("identifier")} & set(self.ids):
            return False
        if self.latest and p.get("latest") is False:
            return False
        return all(_fits(p[k], wanted) for k, wanted in self.filters.items() if p.get(k) is not None)

    def sorted(self, items: list[pystac.Item]) -> list[pystac.Item]:
        """Sort Items as requested; those without the property come last."""
        for name, descending in reversed(self.sortby):
            items.sort(key=lambda i: _key(i, name), reverse=descending)
            items.sort(key=lambda i: _value(i, name) is None)
        return items


def _meet(area: BaseGeometry, footprint: BaseGeometry) -> bool:
    """Whether an area meets a footprint, which may go beyond 180° or count longitudes from 0° to 360°."""
    if area.intersects(footprint):
        return True
    west, _, east, _ = footprint.bounds
    turns = ([360] if west < -180 else []) + ([-360] if east > 180 else [])
    return any(area.intersects(translate(footprint, turn)) for turn in turns)


_BOUNDS = ("start_datetime", "end_datetime")


def parse(
    collections: Sequence[str],
    *,
    bbox: Sequence[float] | None = None,
    intersects: Mapping[str, Any] | None = None,
    datetime: str | None = None,
    cloud_cover: float | None = None,
    orbit: int | Sequence[int] | None = None,
    tile: str | Sequence[str] | None = None,
    product_type: str | Sequence[str] | None = None,
    ids: str | Sequence[str] | None = None,
    latest: bool = True,
    sortby: str | Sequence[str] | None = None,
    limit: int | None = None,
    queryables: Mapping[str, Any],
) -> Query:
    """Parse a user's arguments; see `geodes_lab.search`.

    ``queryables`` has full property names, such as ``sat:orbit_state``.

    Raises
    ------
    GeodesError
        If an argument is not valid.
    """
    area, start, end = _where_and_when(bbox, intersects, datetime)
    filters: dict[str, Any] = {k: v for k, v in queryables.items() if v is not None}
    if cloud_cover is not None:
        meaning = "the highest percentage, 0 to 100"
        highest = arguments.number("cloud_cover", cloud_cover, meaning)
        if not 0 <= highest <= 100:
            raise GeodesError(f"cloud_cover is {meaning}, not {cloud_cover!r}.")
        filters["eo:cloud_cover"] = (None, highest)
    if orbit is not None:
        meaning = "a number, such as 51, or a list of numbers"
        filters["sat:relative_orbit"] = arguments.several_whole("orbit", orbit, meaning)
    if tile is not None:
        filters["grid:code"] = [_tile(t) for t in arguments.names("tile", tile)]
    if product_type is not None:
        filters["product:type"] = arguments.names("product_type", product_type)
    if limit is not None:
        limit = arguments.whole("limit", limit, "a number of Items, at least 1", 1)
    for name, value in filters.items():
        if isinstance(value, tuple) and len(value) != 2:
            raise GeodesError(
                f"{name}={value!r}: a tuple means the lowest and the highest value; a list means one of its values."
            )
    order = tuple(
        (name.lstrip("+-"), name.startswith("-"))
        for name in arguments.names("sortby", "datetime" if sortby is None else sortby)
    )
    return Query(
        collections=tuple(dict.fromkeys(collections)),
        area=area,
        start=start,
        end=end,
        ids=tuple(arguments.names("ids", ids)) if ids is not None else (),
        latest=latest,
        sortby=(*order, *([("id", False)] if "id" not in dict(order) else [])),
        limit=limit,
        filters=filters,
    )


def refuse_both(bbox: Any, intersects: Any) -> None:
    """Refuse two arguments that both say where.

    Raises
    ------
    GeodesError
        If both are given.
    """
    if bbox is not None and intersects is not None:
        raise GeodesError("Give bbox= or intersects=, not both.")


def _tile(text: str) -> str:
    match = re.fullmatch(r"(?:MGRS-|T)?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2})", text.upper())
    if not match:
        raise GeodesError(f"tile is an MGRS tile, such as 31TCJ, not {text!r}.")
    return f"MGRS-{match[1]}"


def _where_and_when(
    bbox: Sequence[float] | None, intersects: Mapping[str, Any] | None, when: str | None
) -> tuple[BaseGeometry | None, datetime, datetime]:
    """Let pystac-client parse dates and boxes, so that a search means the same here as with any API."""
    refuse_both(bbox, intersects)
    parameters: dict[str, Any] = {}
    for name, value, right in (
        ("datetime", arguments.time(when), "write 2021-06, 2021-06-05 or 2021-06-01/2021-08-31"),
        ("intersects", intersects, "give a GeoJSON geometry"),
    ):
        if value is not None:
            try:
                argument: dict[str, Any] = {name: value}
                parameters |= ItemSearch("https://localhost/search", method="POST", **argument).get_parameters()
            except Exception as error:  # pystac-client raises plain errors too
                why = str(error).rstrip(".")
                raise GeodesError(f"The search does not understand {name} {value!r} ({why}): {right}.") from error
    try:
        area = shape(parameters["intersects"]) if "intersects" in parameters else None
    except Exception as error:
        raise GeodesError(f"The search does not understand intersects ({error}): give a GeoJSON geometry.") from error
    if bbox is not None:
        area = _box(bbox)
    if area is not None:
        prepare(area)
    start, end = _interval(parameters.get("datetime", "../.."))
    return area, start, end


def _box(bbox: Sequence[float]) -> BaseGeometry:
    west, south, east, north = checked(bbox)
    if west < east:
        return box(west, south, east, north)
    return box(west, south, 180, north).union(box(-180, south, east, north))


def _interval(text: str) -> tuple[datetime, datetime]:
    """Return begin and end (excluded)."""
    start, _, end = text.partition("/")
    first = pystac.utils.str_to_datetime(start) if start not in ("", "..") else FAR_PAST
    if "/" not in text:
        return first, first + timedelta(microseconds=1) if first < FAR_FUTURE else FAR_FUTURE
    if end in ("", ".."):
        return first, FAR_FUTURE
    # pystac-client ends an interval at a whole second, which belongs to it.
    last = pystac.utils.str_to_datetime(end)
    if last < first:
        raise GeodesError(f"datetime ends at {end}, before it begins at {start}: write the earlier time first.")
    return first, last + timedelta(seconds=1) if last < FAR_FUTURE else FAR_FUTURE


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        low, high = wanted
        try:
            return bool((low is None or value >= low) and (high is None or value <= high))
        except TypeError:  # text where others have a number: values that cannot be compared do not exclude
            return True
    values = value if isinstance(value, list) else [value]
    return any(v in (wanted if isinstance(wanted, list) else [wanted]) for v in values)


def _value(item: pystac.Item, name: str) -> Any:
    return {"id": item.id, "datetime": instant.begin(item)}.get(name) or item.properties.get(name)


def _key(item: pystac.Item, name: str) -> Any:
    value = _value(item, name)
    if value is None:
        return (0, 0)
    if isinstance(value, (bool, int, float)):
        return (1, value)
    # Values of different kinds cannot be compared: each kind sorts separately.
    return (2, value) if isinstance(value, datetime) else (3, value if isinstance(value, str) else str(value))
