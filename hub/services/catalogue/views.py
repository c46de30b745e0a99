"""The page: a map of the catalogue, for people; its data come from the STAC API beside it."""

from __future__ import annotations

from pathlib import Path

import pystac
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.services import pages
from hub.services.catalogue.quicklooks import NotForYou, Quicklooks
from hub.services.catalogue.shelves import Shelves
from hub.services.catalogue.words import TEXT
from hub.services.maps import assets as maps
from hub.services.person import Hub, Person

_HERE = Path(__file__).with_name("page")
_OURS = (
    "basket.js", "calendar.js", "contrast.js", "criteria.js", "details.js", "imagery.js", "kept.js", "measure.js",
    "news.js", "page.css", "page.js", "pixels.js", "results.js", "saved.js", "script.js", "swipe.js", "timeline.js",
    "values.js", "words.js",
)  # fmt: skip
_SESSION = "jupyterhub-session-id"  # the hub's cookie: its browser has logged in there

# For files of users: pixels, whatever a browser would interpret them as.
_OF_USERS = {
    "Cache-Control": "private, max-age=86400",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def routes(
    shelves: Shelves, hub: Hub, assets: Path | None, quicklooks: Quicklooks, lab: Lab, *, public: bool
) -> APIRouter:
    """Return the page's routes, below the service's prefix.

    Parameters
    ----------
    shelves, hub, assets, quicklooks, lab
        See `hub.services.catalogue.app.made`.
    public
        Whether people without a login have the page too. If not, or if the hub knows them, they come by its login.
    """
    router = APIRouter(prefix=hub.prefix.rstrip("/"), include_in_schema=False)

    @router.get("/")
    def page(request: Request) -> Response:
        person = hub.person(request)
        if not person.name and hub.is_there and (not public or _SESSION in request.cookies):
            return hub.to_login(request)
        operator = rights(person.groups, lab).admin
        tongue = pages.language(request, lab)
        places = {
            "notebook_url": pages.place(lab, "hub/user-redirect/geodes/notebook"),
            "jobs_url": pages.place(lab, "services/jobs/"),
            "login": f"{hub.prefix}login",
            # With a host name for each service, a page asks no other one.
            "tiles_url": "" if lab.apart else pages.place(lab, "services/tiles/"),
        }
        body = pages.filled(_HERE / "body.html", {**TEXT[tongue], **places})
        return pages.page(request, lab, TEXT[tongue]["title"], body, person.name, operator=operator, head=maps.HEAD)

    @router.get("/look.css")
    async def look(request: Request) -> Response:
        return await pages.look(request)

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
