"""The reading part of the STAC API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import attr
import orjson
import shapely
from fastapi import HTTPException, Request, Response
from shapely.errors import ShapelyError
from stac_fastapi.types.conformance import BASE_CONFORMANCE_CLASSES
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.errors import NotFoundError
from stac_fastapi.types.links import CollectionLinks, filter_links
from stac_fastapi.types.requests import get_base_url

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.harvested import cql2, terms
from geodes_lab.catalog.harvested.index import Page
from geodes_lab.catalog.harvested.snapshot import Collection
from geodes_lab.catalog.query import Query, parse
from geodes_lab.errors import GeodesError
from hub.services.bounds import check_depth
from hub.services.catalogue.access import READERS
from hub.services.catalogue.fields import DEFAULT, chosen
from hub.services.catalogue.linked import Linked, listed
from hub.services.catalogue.shelves import SKIPPED, Shelves
from hub.services.person import Hub, Person

_MOST = 1000  # Items of a page
DAMAGED = "geodes:damaged"
"""The field that tells a collection's owner that it cannot be read completely."""
# How many names a search may have.
_NAMES = {"ids": 10_000, "collections": 1_000, "sortby": 10, "fields": 200}
_LONG = 300  # characters of a name


# The answers do not use stac-fastapi's own types: documents have more fields, and pages are serialised here, see
# `_page`.
@attr.s(auto_attribs=True)
class Reads(BaseCoreClient):
    """Core, Features, Item Search, Filter, Sort and Fields, restricted to what the person may see."""

    shelves: Shelves = attr.ib(kw_only=True)
    hub: Hub = attr.ib(kw_only=True)

    def list_conformance_classes(self) -> list[str]:
        """As in stac-fastapi, except that its own list would grow with each request."""
        return [*BASE_CONFORMANCE_CLASSES, *(c for e in self.extensions for c in getattr(e, "conformance_classes", []))]

    def all_collections(self, **context: Any) -> dict[str, Any]:  # type: ignore[override]
        """``GET /collections``."""
        base = get_base_url(context["request"])
        person = self.hub.person(context["request"])
        documents = [self._document(n, c, base) for n, c in sorted(self.shelves.collections(person).items())]
        links = [{"rel": "root", "type": "application/json", "href": base}]
        links.append({"rel": "self", "type": "application/json", "href": f"{base}collections"})
        return {
            "collections": documents,
            "links": links,
            "numberMatched": len(documents),
            "numberReturned": len(documents),
        }

    def get_collection(self, collection_id: str, **context: Any) -> dict[str, Any]:  # type: ignore[override]
        """``GET /collections/{collection_id}``."""
        return self._document(
            collection_id, self._told(collection_id, context["request"]), get_base_url(context["request"])
        )

    def get_item(self, item_id: str, collection_id: str, **context: Any) -> dict[str, Any]:  # type: ignore[override]
        """``GET /collections/{collection_id}/items/{item_id}``."""
        self._told(collection_id, context["request"])
        items = self.shelves.page(Query((collection_id,), ids=(item_id,), latest=False, limit=1), 0)
        if not items:
            raise NotFoundError(f"There is no Item {item_id} in {collection_id}.")
        return Linked(get_base_url(context["request"])).of(items[0])

    def item_collection(  # type: ignore[override]
        self,
        collection_id: str,
        bbox: Any = None,
        datetime: Any = None,
        limit: int | None = 10,
        token: str | None = None,
        **context: Any,
    ) -> Response:
        """``GET /collections/{collection_id}/items``."""
        self._told(collection_id, context["request"])
        parameters = {"bbox": bbox, "datetime": datetime, "limit": limit, "token": token, **context}
        return self._page(context["request"], [collection_id], parameters, f"collections/{collection_id}/items")

    def get_search(self, collections: list[str] | None = None, **context: Any) -> Response:  # type: ignore[override]
        """``GET /search``."""
        return self._page(context["request"], collections, context, "search")

    def post_search(self, search_request: Any, **context: Any) -> Response:  # type: ignore[override]
        """``POST /search``."""
        parameters = search_request.model_dump(mode="json", exclude_none=True)
        fields = search_request.fields
        if fields is not None and "include" in fields.model_fields_set and not fields.include:
            parameters["fields"] = {**parameters.get("fields", {}), "include": DEFAULT - (fields.exclude or set())}
        return self._page(context["request"], parameters.pop("collections", None), parameters, "search")

    def _told(self, name: str, request: Request) -> Collection:
        collection = self.shelves.collections(self.hub.person(request)).get(name)
        if collection is None:
            raise NotFoundError(f"There is no collection {name}, or you have no access to it.")
        return collection

    def _page(self, request: Request, wanted: list[str] | None, parameters: Mapping[str, Any], path: str) -> Response:
        person = self.hub.person(request)
        try:
            query, skip = self._query(person, wanted, parameters)
            page = self.shelves.after(query, skip) if query.collections else Page([], skip, 0)
            counted = self.shelves.count(query) if page.matched is None else page.matched
        except GeodesError as error:
            raise HTTPException(400, str(error)) from error
        base, limit = get_base_url(request), query.limit or 0
        fields, linked = _fields(parameters.get("fields")), Linked(base)
        links = [{"rel": "root", "type": "application/json", "href": base}]
        links.append({"rel": "self", "type": "application/geo+json", "href": str(request.url)})
        if page.after > skip and (page.after < counted if counted is not None else page.after == skip + limit):
            links.append(_next(request, f"{base}{path}", page.after))
        damage = [self.shelves.damage(n) for n, c in self._wanted(person, wanted).items() if c.owner == person.name]
        answer = {
            "type": "FeatureCollection",
            "features": [chosen(linked.of(r), *fields) for r in page.records],
            "links": links,
            "numberReturned": len(page.records),
            **({} if counted is None else {"numberMatched": counted}),
            **({DAMAGED: list(filter(None, damage))} if any(damage) else {}),
        }
        # Serialised here: FastAPI would check each value of each Item first, which takes longer than the search.
        return Response(orjson.dumps(answer), media_type="application/geo+json")

    def _wanted(self, person: Person, wanted: list[str] | None) -> dict[str, Collection]:
        there = self.shelves.collections(person)
        # A missing collection and one that this person may not see give the same empty result.
        return {n: there[n] for n in wanted if n in there} if wanted else there

    def _query(self, person: Person, wanted: list[str] | None, parameters: Mapping[str, Any]) -> tuple[Query, int]:
        _few({**parameters, "collections": wanted})
        names = [n for n, c in self._wanted(person, wanted).items() if not c.damaged]
        area = parameters.get("intersects")
        try:
            if isinstance(area, str):
                check_depth(area.encode(), terms.DEPTH)
            query = parse(
                names,
                bbox=_flat(parameters.get("bbox")),
                intersects=orjson.loads(area) if isinstance(area, str) else _geojson(area),
                datetime=parameters.get("datetime"),
                ids=parameters.get("ids"),
                latest=False,
                sortby=_order(parameters.get("sortby")),
                limit=min(parameters.get("limit") or 10, _MOST),
                queryables={},
            )
            if query.area is not None and shapely.get_num_coordinates(query.area) > terms.VERTICES:
                raise GeodesError(
                    f"intersects has more than {terms.VERTICES:,} corners, which is the limit: simplify it."
                )
            condition = parameters.get("filter_expr")
            if isinstance(condition, str):
                if (parameters.get("filter_lang") or "cql2-text") == "cql2-json":
                    check_depth(condition.encode(), terms.DEPTH)
                    condition = orjson.loads(condition)
                else:
                    condition = cql2.parsed(condition)
        except GeodesError:
            raise
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError, ShapelyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise GeodesError(f"The search is not valid ({reason}).") from error
        token = str(parameters.get("token") or 0).removeprefix("next:")
        if not (token.isascii() and token.isdecimal()) or len(token) > 20:
            raise HTTPException(400, f"There is no page {token[:50]!r}: follow the link to the next page.")
        if int(token) > SKIPPED:
            raise GeodesError(
                f"A search returns at most {SKIPPED:,} Items: search for a shorter time to get the others."
            )
        return replace(query, cql2=condition), int(token)

    def _document(self, name: str, collection: Collection, base: str) -> dict[str, Any]:
        box, span = self.shelves.extent(name)
        known = profiles.geodes()["collections"].get(name, {})
        document = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "stac_extensions": [],
            "id": name,
            "title": collection.title or name,
            "description": collection.title or f"Products of {name}",
            "license": "other",
            "keywords": [known["format"]] if known.get("format") else [],
            **collection.document,
            "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [span]}},
        }
        document.pop(READERS, None)
        if damage := self.shelves.damage(name) if collection.owner else "":
            document[DAMAGED] = damage
        links = CollectionLinks(name, base).create_links() + filter_links(listed(collection.document.get("links")))
        link = {"rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables", "type": "application/schema+json"}
        return {**document, "links": [*links, {**link, "href": f"{base}collections/{name}/queryables"}]}


def _next(request: Request, href: str, skip: int) -> dict[str, Any]:
    token = f"next:{skip}"
    link = {"rel": "next", "type": "application/geo+json", "method": request.method}
    if request.method == "POST":
        return {**link, "href": href, "body": {**orjson.loads(request.state.body), "token": token}}
    return {**link, "href": f"{href}?{urlencode({**request.query_params, 'token': token})}"}


def _few(parameters: Mapping[str, Any]) -> None:
    """Check how many names a search has."""
    for what, most in _NAMES.items():
        named = parameters.get(what) or ()
        several = [v for part in named.values() for v in part or ()] if isinstance(named, Mapping) else list(named)
        if len(several) > most:
            raise GeodesError(f"The search names {len(several):,} {what}; the limit is {most:,}.")
        if any(len(str(v)) > _LONG for v in several):
            raise GeodesError(f"The search has {what} of more than {_LONG} characters, which is the limit.")
    if len(str(parameters.get("datetime") or "")) > 100:
        raise GeodesError(
            "datetime must be an instant or an interval, such as 2021-06-01T00:00:00Z/2021-07-01T00:00:00Z."
        )


def _geojson(area: Any) -> Any:
    return area.model_dump(exclude_none=True) if hasattr(area, "model_dump") else area


def _flat(box: Any) -> Any:
    return (box[0], box[1], box[3], box[4]) if box is not None and len(box) == 6 else box


def _order(sortby: Any) -> list[str] | None:
    """GET sends ``-datetime``, POST ``{"field": …, "direction": …}``."""
    if not sortby:
        return None
    several = [t if isinstance(t, str) else f"{'-' if t['direction'] == 'desc' else ''}{t['field']}" for t in sortby]
    return [f"{'-' if t.startswith('-') else ''}{t.lstrip('+-').removeprefix('properties.')}" for t in several]


def _fields(requested: Any) -> tuple[set[str], set[str]]:
    """Return included and excluded names: GET sends them in one list, POST separately."""
    if not requested:
        return set(), set()
    if isinstance(requested, Mapping):
        return set(requested.get("include") or ()), set(requested.get("exclude") or ())
    excluded = {t[1:] for t in requested if t.startswith("-")}
    return {t.lstrip("+") for t in requested if not t.startswith("-")}, excluded
