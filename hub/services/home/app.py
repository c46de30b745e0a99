"""The addresses of the first page and of the news."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from geodes_lab.policy import collaboration
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.servers.sizes import of_server
from hub.services import pages
from hub.services.bounds import Bounded
from hub.services.home import views
from hub.services.home.lake_news import newest
from hub.services.home.news import News
from hub.services.person import Hub, Person, is_from_elsewhere


class Reception:
    """Answers.

    Parameters
    ----------
    lab, news, hub
        The operator's file, the announcements, and the identity of people.
    usage, culler
        The addresses of the accounts and the culler; empty: not used.
    """

    def __init__(self, lab: Lab, news: News, hub: Hub, usage: str = "", culler: str = "") -> None:
        self.lab, self.news, self.hub, self._usage, self._culler = lab, news, hub, usage, culler
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "0")
        self._web = httpx.AsyncClient(timeout=5, headers={"Authorization": f"token {token}"})
        self._api = os.environ.get("JUPYTERHUB_API_URL", "")
        self.address = f"{lab.origin(hub.name) or os.environ.get('GEODES_LAB_ADDRESS', '')}{hub.prefix}"

    async def page(self, request: Request) -> Response:
        """Return the page; without a login, the news and the login button."""
        person = await run_in_threadpool(self.hub.person, request)
        state = await self._state(person) if person.name else views.State()
        tongue = pages.language(request, self.lab)
        clusters = os.environ.get("GEODES_LAB_CLUSTERS", "")
        told = await run_in_threadpool(newest, self.lab.catalogue.news)
        body = views.body(tongue, state, self.news.all(), partial(pages.place, self.lab), clusters, told)
        return pages.page(request, self.lab, views.title(tongue, state), body, person.name, operator=state.operator)

    async def _state(self, person: Person) -> views.State:
        """Return what the page shows of a person; services that do not answer are omitted."""
        groups = urlencode([("group", g) for g in sorted(person.groups)])
        me, use, stops, messages = await asyncio.gather(
            self._ask(f"{self._api}/users/{person.name}" if self._api else ""),
            self._ask(f"{self._usage}/api/limits/{person.name}?{groups}" if self._usage else ""),
            self._ask(f"{self._culler}/stops/{person.name}" if self._culler else ""),
            self._ask(f"{self._culler}/messages" if self._culler else ""),
        )
        server = ((me or {}).get("servers") or {}).get("")
        return views.State(
            name=person.name,
            profile=str(of_server(server.get("user_options"))) if server else None,
            since=(server.get("started") or "") if server else "",
            stops=stops or [],
            parts=(use or {}).get("parts", {}),
            core_hours=(use or {}).get("used", {}).get("core_hours", 0.0),
            operator=self.is_operator(person),
            messages=[m for m in messages or () if m["to"] in ("", person.name)],
            budgets=(use or {}).get("budgets", []),
            common=collaboration.servers(person.groups, self.lab),
        )

    async def _ask(self, url: str) -> Any:
        try:
            answer = await self._web.get(url) if url else None
            return answer.json() if answer is not None and answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    def is_operator(self, person: Person) -> bool:
        """Whether a person may publish news."""
        return bool(person.name) and rights(person.groups, self.lab).admin

    async def listed(self, request: Request) -> Response:
        """Return the news as JSON, for everybody."""
        return JSONResponse([vars(a) for a in self.news.all()])

    async def feed(self, request: Request) -> Response:
        """Return the news as Atom, for everybody: feed readers and JupyterLab do not log in."""
        text = self.news.feed(self.lab.name, self.address, pages.language(request, self.lab))
        return Response(text, media_type="application/atom+xml; charset=utf-8", headers={"Cache-Control": "max-age=60"})

    async def publish(self, request: Request) -> Response:
        """Publish, from the page's form or with a token."""
        person, refused = await self._operator(request)
        if refused:
            return refused
        try:
            form = dict(parse_qsl((await request.body()).decode())) if person.by_cookie else await request.json()
            announcement = await run_in_threadpool(self.news.add, {k: v for k, v in form.items() if v})
        except (ValueError, AttributeError) as error:
            return JSONResponse({"detail": f"This announcement is not valid: {error}."}, 400)
        return RedirectResponse(self.hub.prefix, 303) if person.by_cookie else JSONResponse(vars(announcement), 201)

    async def remove(self, request: Request) -> Response:
        """Remove an announcement."""
        person, refused = await self._operator(request)
        if refused:
            return refused
        there = await run_in_threadpool(self.news.remove, request.path_params["name"])
        if person.by_cookie:
            return RedirectResponse(self.hub.prefix, 303)
        return Response(status_code=204 if there else 404)

    async def _operator(self, request: Request) -> tuple[Person, Response | None]:
        person = await run_in_threadpool(self.hub.person, request)
        if not self.is_operator(person) or is_from_elsewhere(request, person):
            return person, JSONResponse({"detail": "Only operators can do this."}, 403)
        return person, None


def made(reception: Reception) -> Starlette:
    """Create the application."""
    hub, at = reception.hub, reception.hub.prefix

    async def begin(request: Request) -> Response:
        return hub.begin(request)

    async def end(request: Request) -> Response:
        return await run_in_threadpool(
            hub.end, request, request.query_params.get("code", ""), request.query_params.get("state", "")
        )

    return Starlette(
        routes=[
            Route(at, reception.page),
            Route(f"{at}look.css", pages.look),
            Route(f"{at}login", begin),
            Route(f"{at}oauth_callback", end),
            Route(f"{at}feed.atom", reception.feed),
            Route(f"{at}api/news", reception.listed),
            Route(f"{at}news", reception.publish, methods=["POST"]),
            Route(f"{at}news/{{name}}/remove", reception.remove, methods=["POST"]),
        ],
        middleware=[Middleware(Bounded, body=128 * 2**10, asking=hub.asking)],
    )
