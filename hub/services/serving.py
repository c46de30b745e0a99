"""How each small service beside the hub is served.

It listens on loopback at the hub's address, and never outlives the hub.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from geodes_lab.policy.lab import Lab, load
from hub.services import processes

_START = 20.0  # seconds that a request waits for an application that starts
_SILENT, _PATIENCE = 512, 20.0  # connections that have not sent a request, and the seconds that each has


def lab() -> Lab:
    """The operator's file."""
    return load(os.environ["GEODES_LAB_SETTINGS"])


def state() -> Path:
    """The folder that this service owns."""
    return Path(os.environ["GEODES_LAB_STATE"])


def secret(name: str) -> Path:
    """Return the file of a secret of the lab; only the secrets of this service exist."""
    return Path(os.environ.get("GEODES_LAB_SECRETS") or lab().secrets or state() / "secrets") / name


class Later:
    """An application that takes time to start: until then, requests wait a while, and then get a message.

    When it starts, the hub waits ten seconds for each of its services, and fails without them. A process that takes the
    place of a killed one accepts nothing before it can answer: there are others.

    Parameters
    ----------
    make
        Creates the application, in a thread. If it fails, this process ends, and the hub starts it again.
    """

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._made: ASGIApp | None = None
        if processes.is_again():
            self._make(make)
        else:
            threading.Thread(target=self._make, args=(make,), daemon=True).start()

    def _make(self, make: Callable[[], ASGIApp]) -> None:
        try:
            self._made = make()
        except BaseException:
            logging.getLogger("serving").exception("the service does not start")
            os._exit(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if self._made is None:
            await self._starts()
        if self._made is None:
            again = {"Retry-After": "2", "Refresh": "2"}  # a browser comes back by itself
            starting = Response("This service is starting: try again in a moment.", 503, again)
            await starting(scope, receive, send)
        else:
            await self._made(scope, receive, send)

    async def _starts(self) -> None:
        """Wait until it is made, for a while."""
        end = time.monotonic() + _START
        while self._made is None and time.monotonic() < end:
            await asyncio.sleep(0.05)


class Patient(H11Protocol):
    """A connection that must send a request: uvicorn would wait for the first request for ever.

    The oldest silent connection is closed when a new one needs its place.
    """

    _waiting: ClassVar[dict[Patient, None]] = {}
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Continue to wait until the head of a request is complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._wait_no_more()
        while len(self._waiting) >= _SILENT:
            oldest = next(iter(self._waiting))
            oldest._wait_no_more()
            oldest.transport.abort()
        self._waiting[self] = None
        self._deadline = self.loop.call_later(_PATIENCE, self.transport.abort)

    def _wait_no_more(self) -> None:
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def serve(application: ASGIApp, default: int) -> None:
    """Serve until told to stop.

    A hub that is killed stops none of its services; without this the next hub would find their ports taken.
    """
    if processes.shared() is None:  # one of several ends with the process that keeps them
        processes.end_with_hub()
    logging.basicConfig(level=logging.WARNING, format="[%(name)s] %(levelname)s %(message)s")
    host, port = processes.address(default)
    config = uvicorn.Config(
        application, host=host, port=port, log_level="warning",
        # Its headers are limited, those of httptools are not.
        http=Patient, h11_max_incomplete_event_size=2**16, timeout_keep_alive=15, limit_concurrency=1024,
    )  # fmt: skip
    # The socket that hub/services/confined.py holds: nobody else can take the port, even while this service restarts.
    held = os.environ.get("GEODES_LAB_LISTEN")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(held))] if held else None)
