"""The datalake as the tiler sees it: only the products that somebody who may read them is looking at.

S3 on loopback with a secret of its own, which only the tiler has: with the rest of the datalake, and with the lab's own
keys, a process that parses hostile products has nothing to do.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import threading
import time
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import datetime
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from geodes_lab.policy.lab import Lab
from hub.services.data.fair_shares import token_of
from hub.services.data.gate import Gate
from hub.services.data.lake import Lake
from hub.services.data.refusal import Refusal
from hub.services.data.tally import Tally
from hub.services.person import Hub, Person

_SECONDS = 900.0  # for which a product stays admitted after somebody looked at it
_MOST = 20_000  # places


class Broker(Gate):
    """Gives the tiler the objects of admitted places.

    Parameters
    ----------
    lake
        The datalake, with the lab's own keys.
    """

    def __init__(self, lake: Lake) -> None:
        super().__init__(Lab(), lake, Hub(), Tally("", ""))
        self.secret = secrets.token_urlsafe(32)
        """What the tiler sends as its session token."""
        self._admitted: dict[str, float] = {}

    def admit(self, places: Collection[str]) -> None:
        """Let the tiler read some places, each ``bucket/key``, and what is below them."""
        now = time.monotonic()
        for place in places:
            self._admitted[place] = now + _SECONDS
        if len(self._admitted) > _MOST:
            self._admitted = {k: v for k, v in self._admitted.items() if v > now}
            for place in list(self._admitted)[: max(len(self._admitted) - _MOST, 0)]:
                del self._admitted[place]

    def application(self) -> ASGIApp:
        """Return the application."""
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "HEAD"])])

    async def _person(self, request: Request) -> Person:
        if not hmac.compare_digest(token_of(request).encode(), self.secret.encode()):
            raise Refusal(403, "AccessDenied", "This is not for you.")
        return Person("tiler")

    def _hold(self, person: Person, place: str) -> None:
        if not self._is_admitted(place):
            raise Refusal(403, "AccessDenied", "Nobody looks at this.")

    def _is_admitted(self, place: str) -> bool:
        now, parts = time.monotonic(), place.split("/")
        return any(self._admitted.get("/".join(parts[:n]), 0.0) > now for n in range(2, len(parts) + 1))

    async def _names(
        self, bucket: str, prefix: str, after: str, delimiter: bool
    ) -> AsyncIterator[tuple[str, int, datetime | None]]:
        async for entry in super()._names(bucket, prefix, after, delimiter):
            if self._is_admitted(f"{bucket}/{entry[0].rstrip('/')}"):
                yield entry


@contextlib.contextmanager
def listening(broker: Broker) -> Iterator[str]:
    """Serve in a thread; give the endpoint."""
    config = uvicorn.Config(broker.application(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    sockets = [config.bind_socket()]
    port = sockets[0].getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True, name="broker")
    thread.start()
    try:
        yield f"http://127.0.0.1:{quote(str(port))}"
    finally:
        server.should_exit = True
        thread.join(10)
