"""The address of layers in this process: a server on loopback, which a browser reaches through the person's own lab.

In a lab, requests come through the person's server, which lets nobody else in; the address has a secret all the same,
since other accounts of a machine reach its ports.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.xyz.layer import Layer

_MOST = 64  # layers; the oldest are forgotten
_AT_ONCE = threading.BoundedSemaphore(8)  # tiles that are drawn together
_PATH = re.compile(r"/([\w-]{20,60})/(\d{1,6})/(\d{1,2})/(\d{1,9})/(\d{1,9})\.png(?:\?t=(\d{1,6}))?")
_log = logging.getLogger("geodes_lab.xyz")


class Published:
    """One layer at an address.

    Parameters
    ----------
    layer
        The layer.
    url
        Its address, with ``{z}``, ``{x}`` and ``{y}``; ``?t=NUMBER`` chooses the time.
    """

    def __init__(self, layer: Layer, url: str) -> None:
        self.layer, self.url = layer, url
        self.problem = ""
        """The last sentence about a tile that could not be drawn."""
        self.on_problem: Callable[[str], None] = lambda sentence: None
        """Told of it."""

    def draw(self, zoom: int, column: int, row: int, step: int) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        try:
            with _AT_ONCE:
                content = self.layer.draw(zoom, column, row, step)
        except Exception as error:  # a cube of the person may fail in any way
            self.problem = (
                str(error)[:500] if isinstance(error, GeodesError) else f"{type(error).__name__}: {error}"[:500]
            )
            _log.info("a tile cannot be drawn: %r", self.problem)
            self.on_problem(self.problem)
            return 422, self.problem.encode()
        return (204, b"") if content is None else (200, content)


class _Server:
    """The server of this process."""

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.layers: OrderedDict[int, Published] = OrderedDict()
        self._next = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.pid = os.getpid()
        threading.Thread(target=self._http.serve_forever, daemon=True, name="xyz").start()

    def add(self, layer: Layer) -> Published:
        """Give a layer an address."""
        with self._lock:
            self._next += 1
            published = Published(layer, f"{self._root()}/{self.secret}/{self._next}/{{z}}/{{x}}/{{y}}.png")
            self.layers[self._next] = published
            while len(self.layers) > _MOST:
                self.layers.popitem(last=False)
            return published

    def _root(self) -> str:
        port = self._http.server_address[1]
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
        return f"{prefix.rstrip('/')}/proxy/{port}" if prefix else f"http://127.0.0.1:{port}"


def _handler(server: _Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            match = _PATH.fullmatch(self.path)
            if match is None or not hmac.compare_digest(match[1].encode(), server.secret.encode()):
                self._answer(404, b"")
                return
            layer = server.layers.get(int(match[2]))
            if layer is None:
                self._answer(404, b"")
                return
            zoom, column, row = (int(match[n]) for n in (3, 4, 5))
            self._answer(*layer.draw(zoom, column, row, int(match[6] or 0)))

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "image/png" if status == 200 else "text/plain; charset=utf-8")
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "private, max-age=600" if status in (200, 204) else "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


_server: _Server | None = None
_making = threading.Lock()


def publish(layer: Layer) -> Published:
    """Give a layer an address; the first starts the server of this process."""
    global _server
    with _making:
        if _server is None or _server.pid != os.getpid():
            _server = _Server()
        return _server.add(layer)
