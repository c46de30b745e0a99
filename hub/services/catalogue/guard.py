"""Who is admitted, before anything of a request is read or parsed; and the security headers of each answer."""

from __future__ import annotations

import re

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.services.person import Hub, Person
from hub.services.slots import Slots

AT_ONCE = 16
"""Requests of one person that are answered together, by all processes of the service."""
# What people without a login may see: the description of the service and its list of collections. None of it parses
# input.
_OPEN = re.compile(
    r"(|api|api\.html|conformance|queryables|collections|collections/[^/]+|collections/[^/]+/queryables)/?"
)
# For an answer that is opened as a page: it runs no scripts, and sends no requests.
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Guarded:
    """The application behind a guard.

    Parameters
    ----------
    application
        The application.
    hub
        Identifies people.
    public
        Whether people without a login may search too.
    shared
        What the processes of the service have in common (`hub.services.processes.shared`).
    """

    def __init__(self, application: ASGIApp, hub: Hub, *, public: bool, shared: int | None = None) -> None:
        self._application, self._hub, self._public = application, hub, public
        self._now = Slots("requests", shared)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        send = _told(send)
        if (refused := await self._refused(scope)) is not None:
            await refused(scope, receive, send)
            return
        who = _key(scope)
        slot = self._now.take(who, AT_ONCE * (4 if not who else 1))
        if slot is None:
            busy = "You have too many requests in progress here: wait for one of them to end."
            await JSONResponse({"detail": busy}, 429, {"Retry-After": "1", "Connection": "close"})(scope, receive, send)
            return
        try:
            await self._application(scope, receive, send)
        finally:
            self._now.give(who, slot)

    async def _refused(self, scope: Scope) -> JSONResponse | None:
        """Return why a request is refused; otherwise its sender is known."""
        person: Person = await run_in_threadpool(self._hub.person, Request(scope))
        scope.setdefault("state", {})["asking"] = person.name or person.service
        if person.name or person.service:
            return None
        method, headers = scope["method"], dict(scope["headers"])
        has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        is_read = method in ("GET", "HEAD", "OPTIONS") and not has_body
        path, api = scope["path"], f"{self._hub.prefix}stac"
        below = path.removeprefix(api).strip("/") if path.startswith(api) else None
        is_search = below == "search" and method == "POST"
        # Answers that are fetched and decoded for a person are for that person only.
        personal = (f"{self._hub.prefix}quicklook/", f"{self._hub.prefix}shapes")
        is_page = below is None and not path.startswith(personal)
        # The page and its parts, a browser's preflight requests, and public parts.
        if is_read and (is_page or method == "OPTIONS" or (below is not None and _OPEN.fullmatch(below))):
            return None
        if self._public and (is_read or is_search):
            return None
        sentence = "Changes need your token: send Authorization: token …, with a token from the hub's page Token."
        if is_read or is_search:
            sentence = (
                "Log in to search the catalogue: on its page, or with your token (Authorization: token …, from the "
                "hub's page Token)."
            )
        return JSONResponse({"detail": sentence}, 401, {"WWW-Authenticate": "token", "Connection": "close"})


def _key(scope: Scope) -> str:
    sender: str = scope.get("state", {}).get("asking", "")
    return sender


def _told(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Content-Security-Policy", _POLICY)
            headers.setdefault("Referrer-Policy", "no-referrer")
        await send(message)

    return answer
