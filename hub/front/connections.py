"""Limits for the connections of the hub.

There are fewer than the process may have descriptors, idle ones are closed, and some are always left for real users.

Any account of the machine can connect to the hub's port. Without limits, a thousand silent connections use up all
descriptors; then the hub neither answers nor opens its database, and writes thousands of log lines per second.
"""

from __future__ import annotations

import resource
from typing import Any

from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from traitlets.log import get_logger

_WANTED, _ENOUGH, _MOST = 65536, 1024, 4096
_IDLE = 75.0  # seconds that a connection may be silent, as between two requests of the proxy
_BODY = 30.0  # seconds in which a body must arrive
_BYTES = 10 * 2**20  # of a body; the hub accepts no files


def bound() -> None:
    """Make the hub's server `Bounded`, with as many descriptors as the system allows."""
    HTTPServer.configure(Bounded)
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if most != resource.RLIM_INFINITY and most < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if room() < _ENOUGH * 3 // 4:
        get_logger().warning(
            "The hub can use only %d file descriptors, so %d connections at once: set LimitNOFILE=65536 in its unit "
            "(docs/operations/operator.md).",
            wanted,
            room(),
        )


def room() -> int:
    """Return how many connections may be open at once.

    Some descriptors are reserved for the database, the services and starting servers.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if most == resource.RLIM_INFINITY else min(_MOST, most * 3 // 4)


class Bounded(HTTPServer):
    """A server that, when it is full, closes the connection that has waited longest.

    A connection waits until a complete request has arrived: sending half a request, or nothing, counts as waiting.
    """

    # These are tornado's own options, which the hub passes by name.
    def initialize(self, request_callback: Any, **options: Any) -> None:  # type: ignore[override]
        """Set the limits that the hub does not set."""
        bounds = {"idle_connection_timeout": _IDLE, "body_timeout": _BODY, "max_body_size": _BYTES}
        super().initialize(request_callback, **{**bounds, **options})
        self._room = room()
        self._waiting: dict[object, None] = {}  # in the order in which they began to wait

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection, if there is space or it can be made."""
        if len(self._connections) >= self._room:
            oldest = next(iter(self._waiting), None)
            if oldest is None:  # all of them are being answered
                stream.close()
                return
            self._waiting.pop(oldest)
            oldest.stream.close()  # type: ignore[attr-defined]
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        """Wait for the next request of a connection."""
        self._waiting.pop(server_conn, None)
        self._waiting[server_conn] = None
        return _Awaited(super().start_request(server_conn, request_conn), self._waiting, server_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self._waiting.pop(server_conn, None)
        super().on_close(server_conn)


class _Awaited(httputil.HTTPMessageDelegate):
    """Notes when a request is complete."""

    def __init__(self, inner: httputil.HTTPMessageDelegate, waiting: dict[object, None], connection: object) -> None:
        self._inner, self._waiting, self._connection = inner, waiting, connection

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Any:
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._waiting.pop(self._connection, None)
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()
