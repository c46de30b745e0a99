"""Servers on loopback that note all that they are told, and answer as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Told:
    """One request."""

    method: str
    path: str
    headers: str
    body: bytes

    def has(self, secret: str) -> bool:
        """Whether a secret is anywhere in it."""
        return secret in f"{self.path}\n{self.headers}\n{self.body.decode('utf-8', 'replace')}"


Answer = tuple[int, dict[str, str], bytes]


class Witness:
    """A server; ``answer(told)`` gives JSON, or status, headers and body; None: 404."""

    def __init__(self, answer: Callable[[Told], Any] | None = None) -> None:
        self.answer, self.told = answer or (lambda told: None), list[Told]()

    def __enter__(self) -> Witness:
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                told = Told(self.command, self.path, str(self.headers), body)
                witness.told.append(told)
                said = witness.answer(told)
                status, headers, data = (
                    said
                    if isinstance(said, tuple)
                    else (200 if said is not None else 404, {}, json.dumps(said).encode())
                )
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(data)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def saw(self, secret: str) -> bool:
        """Whether it was ever told a secret."""
        return any(t.has(secret) for t in self.told)


CONFORMS = [f"https://api.stacspec.org/v1.0.0/{c}" for c in ("core", "collections", "item-search", "ogcapi-features")]
CONFORMS += ["https://api.stacspec.org/v1.0.0/item-search#sort", "https://api.stacspec.org/v1.0.0/item-search#filter"]
CONFORMS += [
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
]


def landing(url: str, **links: str) -> dict[str, Any]:
    """The first page of an API below ``url``, with links of a rel elsewhere."""
    usual = {"self": url, "root": url, "data": f"{url}/collections", "search": f"{url}/search"} | links
    told = [
        {"rel": r, "href": h, **({"method": "POST", "type": "application/geo+json"} if r == "search" else {})}
        for r, h in usual.items()
    ]
    return {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "a",
        "description": "-",
        "links": told,
        "conformsTo": CONFORMS,
    }


def collection(name: str = "c", **more: Any) -> dict[str, Any]:
    """One collection."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}}
    told = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "-",
        "license": "other",
        "links": [],
        "extent": extent,
    }
    return told | more


def item(name: str = "i", **more: Any) -> dict[str, Any]:
    """One Item."""
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "c", "geometry": {"type": "Point", "coordinates": [1, 43]},
        "bbox": [1, 43, 1, 43], "properties": {"datetime": "2021-06-05T00:00:00Z"}, "links": [], "assets": {},
    } | more  # fmt: skip


def api(root: str, **changed: Any) -> Callable[[Told], Any]:
    """An API below ``root`` that has one collection and one Item; what it answers at a path can be changed."""

    def answer(told: Told) -> Any:
        path = told.path.partition("?")[0]
        if path in changed:
            said = changed[path]
            return said(told) if callable(said) else said
        if path == "/stac":
            return landing(root, **{k: v for k, v in changed.items() if not k.startswith("/")})
        if path == "/stac/collections":
            return {"collections": [collection()], "links": []}
        if path.endswith("/queryables"):
            return {"properties": {"datetime": {"type": "string"}}}
        if path == "/stac/search":
            return {"type": "FeatureCollection", "features": [item()], "links": []}
        return None

    return answer
