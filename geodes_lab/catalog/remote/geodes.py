"""GEODES, in its own dialect, so that the answers are complete and stable, and match the query."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import pystac
from shapely import get_parts
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.catalog.remote import parsing
from geodes_lab.catalog.remote.normalize import normalize_item
from geodes_lab.catalog.remote.service import MOST, Service
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util.pystac_safe import roots as pystac_roots

_ATTEMPTS = 3  # to read consistent pages: the catalogue grows while it is read
_PARTS = 8  # of an area that are searched one by one; an area with more parts is searched by its bounds
_NAMES = 50  # of products in one request
_PAGES = 20_000  # of one search: two million products
_POINT = 1e-6  # degrees around a point: the service ignores points, and returns products from anywhere


@dataclass(frozen=True)
class Geodes:
    """The service of one profile."""

    profile: Profile

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return self.profile.name

    @cached_property
    def _service(self) -> Service:
        return Service(self.profile.name, self.profile.url, self.profile.token, files=self.profile.names_files)

    def ids(self) -> Sequence[str]:
        """Return the ids of its collections that the profile knows."""
        return list(self.profile.collections) or [c.id for c in self.collections()]

    def collections(self) -> list[Collection]:
        """Return all of its collections; a request for each 500."""
        result: list[Collection] = []
        # Read without pystac, which does not accept the service's collections of version 1.0.0-beta.2.
        for page in range(1, 100):
            answer = self._service.ask("POST", "/collections", {"page": page, "limit": 500})
            several = parsing.page(answer, self._service.whose).get("collections", [])
            try:
                result += [_collection(c) for c in several]
            except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
                raise GeodesError(
                    f"The catalogue {self.name} has a collection that cannot be read ({error}): the service has "
                    "changed; report it to the developers of GEODES Lab."
                ) from error
            if len(several) < 500:
                break
        return result

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """Return the properties that a search can use; the profile lists them, the service does not."""
        return self.profile.queryables

    def items(self, query: Query) -> list[pystac.Item]:
        """Return all Items of a query; pages are read in parallel and compared with the service's count."""
        items = (pystac.Item.from_dict(r, migrate=False, preserve_dict=False) for r in self.records(query))
        return [pystac_roots.settle(item, self._service.io) for item in items]  # its links are read within limits too

    def records(self, query: Query) -> list[dict[str, Any]]:
        """Return the same as dictionaries.

        Raises
        ------
        GeodesError
            If the service fails, refuses, or returns inconsistent pages.
        """
        bodies = list(self._bodies(query))
        single = len(bodies) == 1
        by_urn: dict[str, dict[str, Any]] = {}
        for body in bodies:
            for raw in self._pages(body, query if single else replace(query, limit=None)):
                by_urn.setdefault(raw["properties"]["geodes:urn"], raw)
        return list(by_urn.values())

    def count(self, query: Query) -> int:
        """Return the service's count for a query, before each product is compared with it; a request for each area."""
        return sum(self._page(body | {"limit": 1}, 1)[1] for body in self._bodies(query))

    def _bodies(self, query: Query) -> Iterator[dict[str, Any]]:
        """Yield the request bodies; several if the service accepts only one area, or so many names, per request."""
        query_part: dict[str, Any] = {}
        body: dict[str, Any] = {"limit": self.profile.page, "query": query_part}
        if len(query.collections) == 1:
            body["collections"] = list(query.collections)
        else:  # two in `collections` return nothing
            query_part[self._called("collection")] = {"in": list(query.collections)}
        if query.start > FAR_PAST:
            query_part["end_datetime"] = {"gte": _time(query.start)}
        if query.end < FAR_FUTURE:
            query_part["start_datetime"] = {"lte": _time(query.end - timedelta(microseconds=1))}
        for name, wanted in query.filters.items():
            several = self.profile.queryables.get(name) == "array" or name == "sar:polarizations"
            if (condition := _condition(name, wanted, several)) is not None:
                query_part.setdefault(self._called(name), {}).update(condition)
        body[self.profile.sort] = [
            {"field": self._called(name), "direction": "desc" if descending else "asc"}
            for name, descending in query.sortby
        ]
        for part in _areas(query.area):
            if not query.ids:
                yield body | part
            for first in range(0, len(query.ids), _NAMES):
                names = {self._called("id"): {"in": list(query.ids[first : first + _NAMES])}}
                yield body | part | {"query": query_part | names}

    def _called(self, name: str) -> str:
        return self.profile.names.get(name, name)

    def _pages(self, body: dict[str, Any], query: Query) -> list[dict[str, Any]]:
        for _ in range(_ATTEMPTS):
            items = self._read(body, query)
            if items is not None:
                return items
        raise GeodesError(
            f"The catalogue {self.name} changed during the search, {_ATTEMPTS} times: search for less at once, such "
            "as one month."
        )

    def _read(self, body: dict[str, Any], query: Query) -> list[dict[str, Any]] | None:
        """Read all pages, or as many as the limit needs; None if they are inconsistent."""
        before = self._service.taken
        raws, matched = self._page(body, 1)
        there, pages = len(raws), math.ceil(matched / self.profile.page)
        if query.limit is None and pages > _PAGES:
            raise GeodesError(
                f"The catalogue {self.name} has {matched:,} such products, more than one search can return: search "
                "for less at once, such as one month, or harvest the catalogue."
            )
        items = [self._true(raw) for raw in raws]
        at, useful = 2, _useful(items, query)
        with ThreadPoolExecutor(self.profile.parallel) as pool:
            while at <= pages and (query.limit is None or useful < query.limit):
                # Without a limit, all are requested at once, as many together as the pool allows.
                block = range(at, pages + 1 if query.limit is None else min(at + self.profile.parallel, pages + 1))
                for raws, now in pool.map(lambda number: self._page(body, number), block):
                    if now != matched:
                        return None
                    if self._service.taken - before > MOST:
                        raise GeodesError(
                            f"The catalogue {self.name} returns more than 1 GiB of products: search for less at once, "
                            "such as one month."
                        )
                    there += len(raws)
                    new = [self._true(raw) for raw in raws]
                    items += new
                    useful += _useful(new, query)
                at = block.stop
        if len({r["properties"]["geodes:urn"] for r in items}) != there or there != min(
            matched, (at - 1) * self.profile.page
        ):
            return None
        return items

    def _page(self, body: dict[str, Any], number: int) -> tuple[list[dict[str, Any]], int]:
        """Return one page, and the service's count."""
        answer = self._service.ask("POST", f"/{self.profile.search}", body | {"page": number})
        try:
            matched = int(answer["context"]["matched"])
            if matched < 0 or len(answer["features"]) > max(self.profile.page, body["limit"]):
                raise ValueError("its count is wrong")
            return parsing.page(answer, self._service.whose)["features"], matched
        except (TypeError, KeyError, ValueError, OverflowError):
            raise GeodesError(
                f"The catalogue {self.name} answered a search without features or context.matched: the service has "
                "changed; run `geodes-lab doctor` to see how."
            ) from None

    def _true(self, raw: dict[str, Any]) -> dict[str, Any]:
        return parsing.document(
            normalize_item(raw), self.profile.url, self._service.whose, files=self.profile.names_files
        )


@dataclass(slots=True)
class _Seen:
    """The parts of an Item that a query uses: complete Items only for counting would take longer than the download."""

    id: str
    properties: dict[str, Any]
    geometry: dict[str, Any] | None
    datetime: datetime | None


def _useful(records: list[dict[str, Any]], query: Query) -> int:
    if query.limit is None:
        return 0
    return sum(query.matches(_Seen(r["id"], r["properties"], r["geometry"], None)) for r in records)


def _collection(document: dict[str, Any]) -> Collection:
    if (
        not isinstance(document["id"], str)
        or shown(document["id"]) != document["id"]
        or not isinstance(document.get("title") or "", str)
    ):
        raise ValueError(f"its id or title is not a name, {document['id']!r}")
    interval = document.get("extent", {}).get("temporal", {}).get("interval") or [[None, None]]
    start, end = (pystac.utils.str_to_datetime(t) if t else None for t in interval[0])
    count = next(
        (document[k] for k in ("item_count", "numberOfItems", "total_items") if isinstance(document.get(k), int)), None
    )
    return Collection(document["id"], document.get("title") or "", start, end, count)


def _areas(area: BaseGeometry | None) -> list[dict[str, Any]]:
    if area is None:
        return [{}]
    parts = list(get_parts(area))
    if len(parts) > _PARTS:
        return [{"bbox": list(area.bounds)}]
    return [_area(part) for part in parts]


def _area(part: BaseGeometry) -> dict[str, Any]:
    if part.geom_type != "Polygon":
        west, south, east, north = part.bounds
        return {"bbox": [west - _POINT, south - _POINT, east + _POINT, north + _POINT]}
    return {"bbox": list(part.bounds)} if part.equals(part.envelope) else {"intersects": mapping(part)}


def _condition(name: str, wanted: Any, several: bool) -> dict[str, Any] | None:
    """Write a condition with the service's operators.

    None if it has no equivalent one: the answer is then filtered here.

    ``several`` means that an Item has several values, which the service keeps in a list, or in one string.
    """
    if isinstance(wanted, tuple):
        bounds = {k: _said(name, v) for k, v in zip(("gte", "lte"), wanted, strict=True) if v is not None}
        return bounds or None
    if several:
        values = wanted if isinstance(wanted, list) else [wanted]
        return {"contains": values[0]} if len(values) == 1 else None
    if isinstance(wanted, list):
        return {"in": [_said(name, v) for v in wanted]}
    return {"eq": _said(name, wanted)}


def _said(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return _time(value)
    if name == "grid:code":
        return str(value).replace("MGRS-", "T")
    return str(value).capitalize() if name == "sat:orbit_state" else value


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"
