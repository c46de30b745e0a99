"""The page: a map of the catalogue, for people; its data come from the STAC API beside it."""

from __future__ import annotations

from pathlib import Path

import pystac
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from hub.services.catalogue.quicklooks import NotForYou, Quicklooks
from hub.services.catalogue.shelves import Shelves
from hub.services.maps import assets as maps
from hub.services.person import Hub, Person

_HERE = Path(__file__).with_name("page")
_OURS = ("page.js", "page.css")
# The page loads nothing from other sites, and other sites cannot frame it.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri "
    "'none'; form-action 'self'"
)


# For files of users: pixels, whatever a browser would interpret them as.
_OF_USERS = {
    "Cache-Control": "private, max-age=86400",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def routes(shelves: Shelves, hub: Hub, assets: Path | None, quicklooks: Quicklooks) -> APIRouter:
    """Return the page's routes, below the service's prefix."""
    router = APIRouter(prefix=hub.prefix.rstrip("/"), include_in_schema=False)

    @router.get("/")
    def page() -> Response:
        return FileResponse(_HERE / "index.html", headers={"Content-Security-Policy": _POLICY})

    @router.get("/assets/{name}")
    def asset(name: str) -> Response:
        return maps.asset(name, _HERE, _OURS, assets)

    @router.get("/me")
    def me(request: Request) -> dict[str, object]:
        person = hub.person(request)
        return {"name": person.name, "groups": sorted(person.groups)}

    @router.get("/login")
    def login(request: Request) -> Response:
        return hub.begin(request)

    @router.get("/oauth_callback")
    def back(request: Request, code: str = "", state: str = "") -> Response:
        return hub.end(request, code, state)

    @router.get("/quicklook/{collection}/{item}")
    def quicklook(collection: str, item: str, request: Request) -> Response:
        return _picture(collection, item, hub.person(request), hub.token(request), shelves, quicklooks)

    return router


def _picture(
    collection: str, item: str, person: Person, token: str, shelves: Shelves, quicklooks: Quicklooks
) -> Response:
    """Return the small picture of an Item that a person may see."""
    if collection not in shelves.collections(person):
        raise HTTPException(404, f"There is no collection {collection}, or you have no access to it.")
    items = shelves.page(Query((collection,), ids=(item,), latest=False, limit=1), 0)
    if not items:
        raise HTTPException(404, f"{item} has no quicklook.")
    try:
        seen = quicklooks.of(pystac.Item.from_dict(items[0], migrate=False), person, token)
    except NotForYou as error:
        raise HTTPException(403, str(error)) from error
    except GeodesError as error:
        raise HTTPException(502, str(error)) from error
    if seen is None:
        raise HTTPException(404, f"{item} has no quicklook.")
    return Response(seen[0], media_type=seen[1], headers=_OF_USERS)
