"""A web server with files, which gives ranges as RFC 9110 says, and fails as a test says."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLD = formatdate(1_600_000_000, usegmt=True)


@dataclass
class File:
    """One file: its bytes, and what is said of its version."""

    data: bytes
    tag: str | None = None
    changed: str | None = None
    ranges: bool = True
    cut: int | None = None
    """Bytes of an answer after which the connection ends."""
    answers: list[Callable[[Request], None]] = field(default_factory=list)
    """What the next requests are answered by, one each."""


class Request(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.upstream.requests.append((self.path, {k.title(): v for k, v in self.headers.items()}))
            file = self.upstream.files.get(self.path)
            if file is None:
                self.give(404, b"")
            elif file.answers:
                file.answers.pop(0)(self)
            else:
                self.plain(file)

    def plain(self, file: File) -> None:
        """The file, or the range that was asked for, if it is of the version that was asked for."""
        span, condition = self.headers.get("Range"), self.headers.get("If-Range")
        about = {k: v for k, v in {"ETag": file.tag, "Last-Modified": file.changed}.items() if v}
        if span and file.ranges and (condition is None or condition in (file.tag, file.changed)):
            start = int(span.removeprefix("bytes=").partition("-")[0])
            stop = int(span.partition("-")[2] or len(file.data) - 1) + 1
            part = file.data[start:stop]
            about["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(file.data)}"
            self.give(206, part, cut=file.cut, **about)
        else:
            self.give(200, file.data, cut=file.cut, **about)

    def give(
        self, status: int, data: bytes, kind: str = "application/zip", cut: int | None = None, **headers: str
    ) -> None:
        """An answer; ended after ``cut`` bytes."""
        self.send_response(status)
        usual = {"Content-Type": kind, "Content-Length": str(len(data))}
        for name, value in {**usual, **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None and cut < len(data):
            self.wfile.flush()
            self.close_connection = True


class Upstream:
    """The server: a context manager on a free port of loopback."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.files: dict[str, File] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def __enter__(self) -> Upstream:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Request,), {"upstream": self}))
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, name: str, data: bytes, **about: Any) -> File:
        """Have a file."""
        self.files[f"/{name}"] = File(data, **{"tag": f'"{hashlib.md5(data).hexdigest()}"', **about})
        return self.files[f"/{name}"]

    def ranges(self) -> list[str | None]:
        """The ranges that were asked for, in order; None: the whole."""
        return [headers.get("Range") for _, headers in self.requests]


def item(name: str, href: str, data: bytes, **fields: Any) -> dict[str, Any]:
    """An Item with one product; its size and MD5, unless ``fields`` of the asset say otherwise."""
    known = {"file:size": len(data), "file:checksum": f"d50110{hashlib.md5(data).hexdigest()}", **fields}
    asset = {"href": href, "type": "application/zip", "roles": ["data"]} | {
        k: v for k, v in known.items() if v is not None
    }
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": [],
        "properties": {"datetime": "2021-06-05T00:00:00Z", "identifier": name}, "assets": {"product": asset},
    }  # fmt: skip
