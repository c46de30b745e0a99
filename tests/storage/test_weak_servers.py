"""Web servers that are not as the standard wants: what is read there is what is read from disk, or one sentence."""

from __future__ import annotations

import itertools
import re
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dask
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import geodes_lab as gl
from geodes_lab.products.raster import file as raster_file
from geodes_lab.storage import byte_range, resolve
from geodes_lab.storage.location import locate
from geodes_lab.storage.request import Replaced


@dataclass
class Server:
    """Files of a folder, with faults."""

    root: Path
    tags: list[str] = field(default_factory=list)
    """ETags that it gives in turn; none: it gives none."""
    conditions: str = "rfc"
    """``rfc``, ``never`` (412 to each) or ``ignored``."""
    head: int = 200
    parts: bool = True
    redirects: bool = False
    signature: str = ""
    url: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Server]:
        turns = itertools.count()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def give(handler, status: int, data: bytes = b"", **headers: str) -> None:
                handler.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    handler.send_header(name.replace("_", "-"), value)
                handler.end_headers()
                if handler.command != "HEAD":
                    handler.wfile.write(data)

            def do_GET(handler) -> None:
                url = urlsplit(handler.path)
                self.asked.append((handler.command, handler.path, handler.headers.get("If-Match")))
                if handler.command == "HEAD" and self.head != 200:
                    return handler.give(self.head)
                if self.signature and url.query != self.signature:
                    return handler.give(403)
                if self.redirects and not url.path.startswith("/real/"):
                    return handler.give(302, Location=f"/real{handler.path}")
                file = self.root / unquote(url.path.removeprefix("/real")).lstrip("/")
                if not file.is_file():
                    return handler.give(404)
                data, tag = file.read_bytes(), self.tags[next(turns) % len(self.tags)] if self.tags else None
                headers = {"ETag": tag} if tag else {}
                asked = handler.headers.get("If-Match")
                wrong = asked and (asked != tag or asked.startswith("W/") or (tag or "").startswith("W/"))
                if asked and (self.conditions == "never" or (self.conditions == "rfc" and wrong)):
                    return handler.give(412, **headers)
                told = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
                if not self.parts or not told:
                    return handler.give(200, data, **headers)
                start = int(told[1])
                end = min(int(told[2] or len(data) - 1), len(data) - 1)
                if start >= len(data):
                    return handler.give(416)
                return handler.give(
                    206, data[start : end + 1], Content_Range=f"bytes {start}-{end}/{len(data)}", **headers
                )

            do_HEAD = do_GET

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            yield self
            server.shutdown()


FAULTS: dict[str, dict[str, Any]] = {
    "as it should be": {"tags": ['"a"']}, "no ETag": {}, "weak ETag": {"tags": ['W/"a"']}, "empty ETag": {"tags": ['""']}, "412 to a right condition": {"tags": ['"a"'], "conditions": "never"},
    "two machines": {"tags": ['"a"', '"b"']}, "two machines that ignore conditions": {"tags": ['"a"', '"b"'], "conditions": "ignored"}, "three machines": {"tags": ['"a"', '"b"', '"c"']},
    "HEAD 405": {"head": 405, "tags": ['"a"']}, "HEAD 403": {"head": 403}, "HEAD 404": {"head": 404}, "HEAD 500": {"head": 500}, "no parts": {"parts": False, "tags": ['"a"']},
    "redirects": {"redirects": True, "tags": ['"a"']}, "signed for GET alone": {"signature": "signature=x%2Fy", "head": 403, "tags": ['"a"']}, "signed, weak": {"signature": "s=1", "tags": ['W/"a"']},
    "signed, no parts": {"signature": "s=1", "parts": False},
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch) -> Iterator[None]:
    """Nothing is known of any server."""
    for name in ("_without_conditions", "_fickle", "_without_head"):
        monkeypatch.setattr(byte_range, name, set())
    monkeypatch.setattr(raster_file, "_in_parts", set())
    monkeypatch.setattr(resolve, "_known", {})
    with dask.config.set(
        {"geodes_lab.replica.folder": str(tmp_path / "replicas"), "geodes_lab.cache.folder": str(tmp_path / "cache")}
    ):
        yield


@pytest.fixture
def folder(tmp_path, product) -> Path:
    (tmp_path / "served").mkdir()
    shutil.copy(product, tmp_path / "served")
    profile = {
        "driver": "GTiff",
        "width": 300,
        "height": 200,
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32631",
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
    }
    with rasterio.open(
        tmp_path / "served" / "a b.tif", "w", transform=from_origin(5e5, 4.8e6, 10, 10), **profile
    ) as file:
        file.write(np.arange(60_000, dtype="uint16").reshape(1, 200, 300))
    return tmp_path / "served"


@pytest.fixture(scope="module")
def on_this_disk(product) -> np.ndarray:
    return gl.open_cube(product, bands=["red"]).red[0, :200, :200].values


def item(name: str, key: str, href: str, kind: str) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "properties": {"datetime": "2021-06-05T10:50:31Z"}, "links": [],
        "assets": {key: {"href": href, "type": kind, "roles": ["data"]}},
    }  # fmt: skip


@pytest.mark.parametrize("given", ["address", "item"])
@pytest.mark.parametrize("fault", FAULTS)
def test_product_in_a_zip(folder, product, on_this_disk, fault, given):
    want = on_this_disk
    with Server(folder, **FAULTS[fault]).running() as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", resolve.Fetched)
        href = f"{server.url}/{product.name}" + (f"?{server.signature}" if server.signature else "")
        found = href if given == "address" else item(product.stem, "product", href, "application/zip")
        for _ in range(2):  # what was learned of the server holds
            np.testing.assert_array_equal(gl.open_cube(found, bands=["red"]).red[0, :200, :200].values, want)
        is_whole = any(method == "GET" and server.parts is False for method, *_ in server.asked)
        assert is_whole is ("no parts" in fault)


@pytest.mark.parametrize("given", ["address", "item"])
@pytest.mark.parametrize("fault", FAULTS)
def test_raster(folder, fault, given):
    with Server(folder, **FAULTS[fault]).running() as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", resolve.Fetched)
        href = f"{server.url}/a%20b.tif" + (f"?{server.signature}" if server.signature else "")
        if given == "address":
            values = gl.open_product(href)["r10m"]["data"].values
        else:
            values = gl.open_cube(item("A", "red", href, "image/tiff"), bands=["red"]).red[0].values
        np.testing.assert_array_equal(values, np.arange(60_000).reshape(200, 300))


def test_what_was_learned_is_not_asked_again(folder, product):
    with Server(folder, **FAULTS["412 to a right condition"]).running() as server:
        gl.open_cube(f"{server.url}/{product.name}", bands=["red"]).red[0, :50, :50].load()
        assert (("http", server.url) in byte_range._without_conditions, ("http", server.url) in byte_range._fickle) == (
            True,
            False,
        )
        before = sum(condition is not None for *_, condition in server.asked)
        gl.open_cube(f"{server.url}/{product.name}", bands=["nir", "blue"]).nir[0, :50, :50].load()
        assert sum(condition is not None for *_, condition in server.asked) == before


@pytest.mark.parametrize("conditions", ["rfc", "ignored"])
@pytest.mark.parametrize("query", ["", "?signature=1"])
def test_an_object_that_is_another_one_now_is_noticed(folder, conditions, query):
    with Server(folder, tags=['"a"'], conditions=conditions).running() as server:
        place = locate(f"{server.url}/a%20b.tif{query}")
        data, tag = place.read_tagged(0, 4)
        assert (len(data), tag) == (4, '"a"')
        server.tags = ['"b"']
        with pytest.raises(Replaced, match="was replaced after it was first read"):
            place.fetch([(0, 4)], tag)[0].result()
        assert not byte_range._fickle


def test_nothing_there_is_said_so(folder):
    for how in ({}, {"head": 405}, {"head": 404}):
        with Server(folder, **how).running() as server:
            for query in ("", "?s=1"):
                with pytest.raises(gl.GeodesError, match=r"does not exist|is not there"):
                    gl.open_product(f"{server.url}/nothing.zip{query}")
