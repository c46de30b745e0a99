"""How many connections the hub holds.

Fewer than it may have descriptors, none for long that says nothing, and never none for the honest.

Any account of the machine reaches the hub's port. Without bounds a thousand connections that say nothing take all
descriptors; then the hub neither answers nor opens its database, and tells its log so thousands of times in a second.
"""

from __future__ import annotations

import resource
from typing import Any

from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from traitlets.log import get_logger

_WANTED, _ENOUGH, _MOST = 65536, 1024, 4096
_IDLE = 75.0  # seconds that a connection may say nothing, as between two requests of the proxy
_BODY = 30.0  # seconds in which a body must have come
_BYTES = 10 * 2**20  # of a body; the hub takes no files


def bound() -> None:
    """Have the hub's server be `Bounded`, and as many descriptors as the system lets it have."""
    HTTPServer.configure(Bounded)
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if most != resource.RLIM_INFINITY and most < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if room() < _ENOUGH * 3 // 4:
        get_logger().warning(
            "The hub may have only %d descriptors, so %d connections at once: say LimitNOFILE=65536 in its unit "
            "(docs/operations/operator.md).",
            wanted,
            room(),
        )


def room() -> int:
    """Connections at once.

    A part of the descriptors stays for the database, the services and the servers that start.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if most == resource.RLIM_INFINITY else min(_MOST, most * 3 // 4)


class Bounded(HTTPServer):
    """A server that closes the connection which has waited longest where a new one has no room.

    A connection waits until the whole of a request is there: who sends half of one, or nothing, waits too.
    """

    # The options are tornado's own, which the hub gives by name.
    def initialize(self, request_callback: Any, **options: Any) -> None:  # type: ignore[override]
        """Take the bounds that the hub does not say."""
        bounds = {"idle_connection_timeout": _IDLE, "body_timeout": _BODY, "max_body_size": _BYTES}
        super().initialize(request_callback, **{**bounds, **options})
        self._room = room()
        self._waiting: dict[object, None] = {}  # in the order in which they began to wait

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection, if there is room or can be."""
        if len(self._connections) >= self._room:
            oldest = next(iter(self._waiting), None)
            if oldest is None:  # all of them are being answered
                stream.close()
                return
            self._waiting.pop(oldest)
            oldest.stream.close()  # type: ignore[attr-defined]
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        """Await the next request of a connection."""
        self._waiting.pop(server_conn, None)
        self._waiting[server_conn] = None
        return _Awaited(super().start_request(server_conn, request_conn), self._waiting, server_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self._waiting.pop(server_conn, None)
        super().on_close(server_conn)


class _Awaited(httputil.HTTPMessageDelegate):
    """Notes when a request is there."""

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
