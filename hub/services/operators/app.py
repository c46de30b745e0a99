"""The addresses of the operators' page; only operators get an answer."""

from __future__ import annotations

import contextlib
import html
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.services import pages
from hub.services.bounds import Bounded
from hub.services.operators import views
from hub.services.operators.state import Sources
from hub.services.operators.words import TEXT
from hub.services.person import Hub, Person, is_from_elsewhere


class Desk:
    """Answers.

    Parameters
    ----------
    lab, hub, sources
        The operator's file, the identity of senders, and where the state comes from.
    """

    def __init__(self, lab: Lab, hub: Hub, sources: Sources) -> None:
        self.lab, self.hub, self.sources = lab, hub, sources

    async def page(self, request: Request) -> Response:
        """Return the page."""
        person = await run_in_threadpool(self.hub.person, request)
        if not person.name:
            return self.hub.to_login(request)
        if not self.is_operator(person):
            return self._only(request, person)
        state = await self.sources.state(datetime.now(UTC))
        tongue = pages.language(request, self.lab)
        body = views.body(
            tongue, state, self.lab, request.query_params.get("q", ""), request.query_params.get("to", ""),
            request.query_params.get("done", ""),
        )  # fmt: skip
        return pages.page(request, self.lab, TEXT[tongue]["title"], body, person.name, operator=True)

    async def stop(self, request: Request) -> Response:
        """Order a server or a cluster to stop."""
        return await self._told(request, "orders", ("person", "server", "cluster", "text"), ("minutes",), "stop")

    async def keep(self, request: Request) -> Response:
        """Take such an order back."""
        return await self._told(request, "orders/withdraw", ("person", "server", "cluster"), (), "keep")

    async def send(self, request: Request) -> Response:
        """Send a message."""
        return await self._told(request, "messages", ("to", "text"), ("hours",), "send")

    async def withdraw(self, request: Request) -> Response:
        """Take a message back."""
        return await self._told(request, "messages/withdraw", ("id",), (), "withdraw")

    def is_operator(self, person: Person) -> bool:
        """Whether a person is an operator by the operator's file."""
        return bool(person.name) and rights(person.groups, self.lab).admin

    async def _told(
        self, request: Request, path: str, texts: tuple[str, ...], numbers: tuple[str, ...], done: str
    ) -> Response:
        """Pass what an operator wants on to the culler, from the page's form or with a token."""
        person = await run_in_threadpool(self.hub.person, request)
        if not self.is_operator(person) or is_from_elsewhere(request, person):
            return self._only(request, person) if person.by_cookie else JSONResponse({"detail": _ONLY}, 403)
        try:
            form = _form(await request.body()) if person.by_cookie else await request.json()
            body: dict[str, Any] = {name: form.get(name, "") for name in texts}
            body |= {name: float(form[name]) for name in numbers}
            if not all(math.isfinite(body[name]) for name in numbers):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._answer(request, person, 400, {"detail": f"The request needs {', '.join((*texts, *numbers))}."})
        if done == "send" and body["to"]:
            members = (await self.sources.state(datetime.now(UTC))).members
            if not any(m.name == body["to"] for m in members):
                unknown = f"There is no person {str(body['to'])[:60]!r} in this lab: write the name as the list has it."
                return self._answer(request, person, 404, {"detail": unknown})
        status, answer = await self.sources.tell(path, {**body, "by": person.name})
        if status >= 400 or not person.by_cookie:
            return self._answer(request, person, status, answer)
        return RedirectResponse(f"{self.hub.prefix}?done={done}", 303)

    def _answer(self, request: Request, person: Person, status: int, answer: dict[str, Any]) -> Response:
        if not person.by_cookie:
            return Response(status_code=status) if status == 204 else JSONResponse(answer, status)
        text = TEXT[pages.language(request, self.lab)]
        sentence = str(answer.get("detail", "")) or text["failed"]
        body = (
            f'<p class="note" role="alert" lang="en">{html.escape(sentence)}</p>'
            f'<p><a class="button plain" href="{html.escape(self.hub.prefix)}">{text["back"]}</a></p>'
        )
        return pages.page(request, self.lab, text["title"], body, person.name, status, operator=True)

    def _only(self, request: Request, person: Person) -> Response:
        sentence = TEXT[pages.language(request, self.lab)]["only"]
        return pages.page(request, self.lab, "403", f"<p>{sentence}</p>", person.name, 403)


_ONLY = "Only operators can do this."


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode()))


def made(desk: Desk) -> Starlette:
    """Create the application."""
    hub, at = desk.hub, desk.hub.prefix

    async def begin(request: Request) -> Response:
        return hub.begin(request)

    async def end(request: Request) -> Response:
        return await run_in_threadpool(
            hub.end, request, request.query_params.get("code", ""), request.query_params.get("state", "")
        )

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await desk.sources.close()

    return Starlette(
        lifespan=life,
        routes=[
            Route(at, desk.page),
            Route(f"{at}look.css", pages.look),
            Route(f"{at}login", begin),
            Route(f"{at}oauth_callback", end),
            Route(f"{at}stop", desk.stop, methods=["POST"]),
            Route(f"{at}keep", desk.keep, methods=["POST"]),
            Route(f"{at}message", desk.send, methods=["POST"]),
            Route(f"{at}withdraw", desk.withdraw, methods=["POST"]),
        ],
        middleware=[Middleware(Bounded, body=64 * 2**10, asking=hub.asking)],
    )
