"""A limit of requests for each person, so that nobody's downloads keep the others out."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.services.data.refusal import Refusal
from hub.services.person import Hub

_EACH = 256  # requests of one person that are answered together; a cluster of twenty workers uses about two hundred


class Shares:
    """Answers each person's requests, a limited number together, so that nobody's downloads keep the others out.

    Parameters
    ----------
    application
        Answers.
    hub
        Identifies the owner of a token, if already known; until then a token counts as a person.
    """

    def __init__(self, application: ASGIApp, hub: Hub) -> None:
        self._application, self._hub = application, hub
        self._now: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count the request until the last byte is sent."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = Request(scope)
        token = token_of(request)
        person = self._hub.known(token)
        who = person.name if person else token
        if self._now[who] >= _EACH:
            busy = Refusal(503, "SlowDown", f"You already have {_EACH} requests in progress: try again in a moment.")
            await busy.response(request)(scope, receive, send)
            return
        self._now[who] += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._now[who] -= 1
            if not self._now[who]:
                del self._now[who]


def token_of(request: Request) -> str:
    """Return the token of a request.

    S3's clients sign with a session token, which is the person's own token of the hub.

    The rest of the signature adds no information.
    """
    kind, _, held = request.headers.get("authorization", "").partition(" ")
    bearer = held.strip() if kind.lower() in ("token", "bearer") else ""
    return request.headers.get("x-amz-security-token") or bearer
