"""The page: processes with their forms, a map, the person's jobs; its data come from the OGC API beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.services import pages
from hub.services.jobs.searching import Catalogue
from hub.services.jobs.words.sentences import TEXT
from hub.services.maps import assets as maps
from hub.services.maps import shapes
from hub.services.person import Hub

_HERE = Path(__file__).with_name("page")
_OURS = ("page.js", "form.js", "jobs.js", "plan.js", "schedules.js", "words.js", "page.css")


def routes(lab: Lab, hub: Hub, catalogue: Catalogue, assets: Path | None) -> APIRouter:
    """Return the page's routes, below the service's prefix.

    Parameters
    ----------
    lab
        The operator's file.
    hub
        Identifies people.
    catalogue
        The lab's catalogue, for the collections of the form.
    assets
        The folder ``node_modules`` with the map's library.
    """
    router = APIRouter(prefix=hub.prefix.rstrip("/"), include_in_schema=False)
    router.include_router(shapes.routes(hub, ""))

    @router.get("/")
    def page(request: Request) -> Response:
        person = hub.person(request)
        if not person.name:
            return hub.to_login(request)
        tongue = pages.language(request, lab)
        operator = rights(person.groups, lab).admin
        title = TEXT[tongue]["title"]
        return pages.page(request, lab, title, body(tongue, lab), person.name, operator=operator, head=maps.HEAD)

    @router.get("/look.css")
    async def look(request: Request) -> Response:
        return await pages.look(request)

    @router.get("/assets/{name}")
    def asset(name: str) -> Response:
        return maps.asset(name, _HERE, _OURS, assets)

    @router.get("/login")
    def login(request: Request) -> Response:
        return hub.begin(request)

    @router.get("/oauth_callback")
    def back(request: Request, code: str = "", state: str = "") -> Response:
        return hub.end(request, code, state)

    @router.get("/collections")
    def collections(request: Request) -> list[dict[str, Any]]:
        return _asked(lambda: catalogue.collections(_token(hub, request)))

    @router.get("/collections/{name}/criteria")
    def criteria(request: Request, name: str) -> dict[str, bool]:
        return _asked(lambda: catalogue.criteria(_token(hub, request), name))

    return router


def body(tongue: pages.Language, lab: Lab) -> str:
    """Return the page's content: the words of the language in the page's frame."""
    places = {
        "catalogue_url": pages.place(lab, "services/catalogue/"),
        "notebook_url": pages.place(lab, "hub/user-redirect/geodes/job"),
    }
    return pages.filled(_HERE / "body.html", {**TEXT[tongue], **places})


def _token(hub: Hub, request: Request) -> str:
    if not hub.person(request).name:
        raise HTTPException(401, "Log in first.")
    return hub.token(request)


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except GeodesError as error:
        raise HTTPException(502, str(error)) from None
