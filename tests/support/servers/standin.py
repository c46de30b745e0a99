"""A stand-in for the service of GEODES: it answers on loopback as that does, with all that may lead a client astray.

What it does is taken from what is publicly known of the service; each trap has its comment.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import shapely
from shapely.geometry import shape

_OPERATORS = {"eq", "neq", "in", "contains", "lte", "gte"}


class StandIn:
    """The service: a context manager that serves on a free port of loopback.

    Parameters
    ----------
    items
        Items in GEODES's dialect, as `products` makes them.
    key
        What ``X-API-Key`` must be where one is needed.
    quota
        Downloads until it refuses.
    faults
        Statuses that the next requests are answered by; 0: as if nothing were wrong.
    on_tape
        Identifiers of products that are not on disk.
    files
        What downloads give, by identifier.
    latency
        Seconds that each page of a search takes besides, as over a network.
    """

    def __init__(
        self, items: Sequence[dict[str, Any]], *, key: str = "secret", quota: int | None = None,
        faults: Iterator[int] | None = None, on_tape: frozenset[str] = frozenset(),
        files: dict[str, bytes] | None = None, page: int = 80, old_availability: bool = False,
        latency: float = 0,
    ) -> None:  # fmt: skip
        self.key, self.quota, self.faults, self.on_tape, self.page = key, quota, faults or iter(()), on_tape, page
        self.files, self.old_availability, self.latency = files or {}, old_availability, latency
        self.requests: list[tuple[str, str, Any]] = []
        self.served = 0.0
        self.items, self.portal = list(items), ""

    def put(self, items: Sequence[dict[str, Any]]) -> None:
        """Have these Items from now on."""
        self.items = list(items)
        # The addresses in Items lead here.
        self._texts = [json.dumps(i).replace("https://geodes-portal.cnes.fr", self.portal).encode() for i in self.items]
        self._geometries = shapely.from_geojson([json.dumps(i["geometry"]) for i in self.items])
        self._column.cache_clear()
        self._found.cache_clear()

    def __enter__(self) -> StandIn:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self}))
        self._server.daemon_threads = True
        self.portal = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.portal}/api/stac"
        self.put(self.items)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, Any]:
        """What `geodes_lab` must be told to ask it."""
        return {
            "geodes_lab.catalog.profiles.geodes.url": self.url,
            "geodes_lab.catalog.profiles.geodes.portal": self.portal,
            "geodes_lab.download.hosts": ["127.0.0.1"],
        }

    def search(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Answer a search."""
        limit, page = body.get("limit") or 10, body.get("page") or 1
        if limit > self.page:
            return 400, b'{"description": "limit is too large"}'
        known = {i["collection"] for i in self.items}
        named = body.get("collections") or []
        if len(named) == 1 and not set(named) <= known:
            return 400, b'{"description": "unknown collection"}'
        try:
            # Two collections or more give nothing.
            rows = np.array([], int) if len(named) > 1 else self._found(json.dumps(self._asked(body), sort_keys=True))
        except ValueError as error:
            return 400, json.dumps({"description": str(error)}).encode()
        if not body.get("sortBy"):  # without an order each request has its own: pages drop and double
            rows = np.random.default_rng().permutation(rows)
        some = rows[(page - 1) * limit : page * limit]
        context = {"returned": len(some), "limit": limit, "matched": len(rows)}
        # The link to the next page has another limit: who follows it skips products.
        links = [{"rel": "next", "href": f"{self.url}/search?limit={limit + 1}&page={page + 1}"}]
        head = {"stac_version": "1.0.0-beta.1", "type": "FeatureCollection", "context": context, "links": links}
        return 200, json.dumps(head).encode()[:-1] + b', "features": [' + b",".join(
            self._texts[r] for r in some
        ) + b"]}"

    def _asked(self, body: dict[str, Any]) -> dict[str, Any]:
        return {k: body.get(k) for k in ("query", "bbox", "intersects", "collections", "sortBy") if body.get(k)}

    @lru_cache(maxsize=64)  # noqa: B019
    def _column(self, name: str) -> np.ndarray:
        if name == "id":
            return np.array([i["id"] for i in self.items], object)
        values = [i["properties"].get(name) for i in self.items]
        return np.array([_moment(v) for v in values] if name.endswith("datetime") else values, object)

    @lru_cache(maxsize=64)  # noqa: B019
    def _found(self, asked: str) -> np.ndarray:
        """The rows of a search, in its order; the pages of one search are made of one answer."""
        body = json.loads(asked)
        there = np.ones(len(self.items), bool)
        for name in body.get("collections", []):
            there &= self._column("dataset") == name
        if bbox := body.get("bbox"):
            there &= shapely.intersects(self._geometries, shapely.box(*bbox))
        area = body.get("intersects")
        if area and area["type"] != "Point":  # a point is ignored
            there &= shapely.intersects(self._geometries, shape(area))
        for name, conditions in body.get("query", {}).items():
            for operator, told in conditions.items():
                value = _moment(told) if name.endswith("datetime") else told
                there &= self._fits(self._column(name), operator, value)
        rows = np.flatnonzero(there)
        for order in reversed(body.get("sortBy", [])):
            values = self._column(order["field"])[rows]
            least = datetime.min.replace(tzinfo=UTC) if order["field"].endswith("datetime") else ""
            place = np.argsort(np.array([(least if v is None else v) for v in values], object), kind="stable")
            rows = rows[place[::-1] if order["direction"].startswith("d") else place]
        return rows

    def _fits(self, column: np.ndarray, operator: str, value: Any) -> np.ndarray:
        if operator not in _OPERATORS:
            raise ValueError(f"unknown operator {operator}")
        if operator == "in":
            return np.isin(column.astype(str), [str(v) for v in value]) & np.array(
                [type(c) in {type(v) for v in value} for c in column]
            )
        if operator == "contains":
            return np.array([value in (c or "") for c in column])
        if operator in ("eq", "neq"):  # a number in quotes is no number
            return np.array([(c == value and type(c) is type(value)) == (operator == "eq") for c in column])
        there = np.array([c is not None for c in column])
        found = np.zeros(len(column), bool)
        found[there] = column[there] >= value if operator == "gte" else column[there] <= value
        return found

    def collections(self) -> bytes:
        """The list of collections; of a version that pystac does not take."""
        ids = sorted({i["collection"] for i in self.items})
        extent = {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2014-10-03T00:00:00Z", None]]},
        }
        found = [
            {"type": "Collection", "id": c, "stac_version": "1.0.0-beta.2", "title": f"Title of {c}", "description": "",
             "license": "proprietary", "extent": extent, "links": []}
            for c in ids
        ]  # fmt: skip
        return json.dumps({"collections": found, "links": []}).encode()

    def availability(self, body: dict[str, Any]) -> bytes:
        """What is on disk, of many products."""
        found = []
        for one in body["availability"]:
            checksum = one["href"].rsplit("/", 1)[-1]
            item = next((i for i, t in zip(self.items, self._texts, strict=True) if checksum.encode() in t), None)
            there = item is not None and item["properties"]["identifier"] not in self.on_tape
            found.append({"id": item and item["id"], "files": [{"checksum": checksum, "available": there}]})
        return json.dumps({"products": found}).encode()


def _moment(text: str | None) -> datetime | None:
    """A time, whatever decimals it has."""
    return None if text is None else datetime.fromisoformat(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: StandIn

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._answer(None)

    def do_POST(self) -> None:
        """Answer."""
        self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}"))

    def _answer(self, body: Any) -> None:
        begin, service, url = time.thread_time(), self.service, urlsplit(self.path)
        service.requests.append((self.command, self.path, body))
        path, asked = unquote(url.path), parse_qs(url.query)
        parts = path.strip("/").split("/")
        if fault := next(service.faults, 0):
            self._send(fault, b"the service is busy", "text/plain")
        elif path == "/api/stac":
            self._send(
                200, json.dumps({"type": "Catalog", "id": "gdh", "stac_version": "1.0.0-beta.2", "links": []}).encode()
            )
        elif path == "/api/stac/conformance":
            self._send(200, b'{"conformsTo": ["https://api.stacspec.org/v1.0.0/core"]}')
        elif path in ("/api/stac/search", "/api/stac/items") and body is not None:
            time.sleep(service.latency)
            self._send(*service.search(body))
        elif path == "/api/stac/collections":
            whole = body is None or (body.get("page") or 1) == 1
            self._send(200, service.collections() if whole else b'{"collections": []}')
        elif parts[0] == "fastavailability" and not service.old_availability:
            self._send(200, service.availability(body))
        elif parts[0] == "availability" and len(parts) == 2:
            self._send(*self._one(parts[1]))
        elif path.startswith("/api/download/") and len(parts) == 5:
            self._download(parts[2], parts[4])
        elif path.startswith("/api/quicklook/"):
            self._send(200, b"\xff\xd8\xff\xd9", "image/jpeg")
        elif path == "/processing/download/get" and not self._is_known():
            self._send(401, b'{"description": "no key"}')
        elif path == "/processing/download/get":
            left = service.quota if service.quota is not None else 100
            self._send(200, json.dumps({"maxQuota": 100, "remainingQuota": left}).encode())
        else:
            self._send(404, json.dumps({"description": f"no {path} {asked}"}).encode())
        service.served += time.thread_time() - begin

    def _is_known(self) -> bool:
        return self.headers.get("X-API-Key") == self.service.key

    def _one(self, identifier: str) -> tuple[int, bytes]:
        if not self._is_known():
            return 401, b'{"description": "no key"}'
        text = next(
            (t for i, t in zip(self.service.items, self.service._texts, strict=True)
             if i["properties"]["identifier"] == identifier), None
        )  # fmt: skip
        if text is None:
            return 404, b"{}"
        checksum = json.loads(text)["assets"][f"{identifier}.zip"]["href"].rsplit("/", 1)[-1]
        return 200, json.dumps(
            {"files": [{"checksum": checksum, "available": identifier not in self.service.on_tape}]}
        ).encode()

    def _download(self, urn: str, checksum: str) -> None:
        service = self.service
        item = next((i for i in service.items if i["id"] == urn), None)
        if not self._is_known():  # a wrong key shows as redirects without end
            self._send(302, b"", location=self.path)
        elif service.quota is not None and service.quota <= 0:
            self._send(403, b"Downloading products per hour exceeds quota limit", "text/plain")
        elif self.headers.get("Range"):  # parts are not given
            self._send(500, b"")
        elif item is None or item["properties"]["identifier"] not in service.files:
            self._send(200, b'{"description": "DownloadQuotaPlugin"}')  # JSON where a zip should be
        else:
            service.quota = None if service.quota is None else service.quota - 1
            self._send(200, service.files[item["properties"]["identifier"]], "application/zip")

    def _send(self, status: int, data: bytes, kind: str = "application/json", location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(data)


def products(count: int, seed: int = 0, collection: str = "PEPS_S2_L1C") -> list[dict[str, Any]]:
    """Synthetic Items in GEODES's dialect: some tiles are taken often, all are taken each few days, some twice processed."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        zone, band = rng.randint(1, 60), rng.choice("CDEFGHJKLMNPQRSTUVWX")
        tile = f"{zone:02d}{band}{rng.choice('ABCDEFGH')}{rng.choice('ABCDEFGHJKLM')}"
        start = datetime(2015, 7, 1, tzinfo=UTC) + timedelta(
            seconds=rng.randrange(8 * 365 * 86400), milliseconds=number % 1000
        )
        published = start + timedelta(days=rng.choice([1, 1, 1, 900]) * rng.random())
        # Times have no, three or six decimals.
        begin = f"{start:%Y-%m-%dT%H:%M:%S}" + rng.choice([".024Z", ".800000Z", "Z"])
        stamp = f"{start:%Y%m%dT%H%M%S}"
        orbit = rng.randint(1, 143)
        name = f"S2{rng.choice('ABC')}_MSIL1C_{stamp}_N0511_R{orbit:03d}_T{tile}_{published:%Y%m%dT%H%M%S}"
        west = (zone - 1) * 6 - 180 + rng.random() * 4.5
        south = min(max(("CDEFGHJKLMNPQRSTUVWX".index(band) - 10) * 8 + rng.random() * 7, -84), 82)
        ring = [[west, south], [west + 1.4, south], [west + 1.4, south + 1], [west, south + 1], [west, south]]
        polygon = {"type": "Polygon", "coordinates": [ring]}
        urn = f"URN:FEATURE:DATA:gdh:{uuid.UUID(int=rng.getrandbits(128))}:V1"
        md5, quick = rng.randbytes(16).hex(), rng.randbytes(16).hex()
        portal = "https://geodes-portal.cnes.fr/api"
        picture = f"{start:%Y/%m/%d}/{name[:3]}/{name}_quicklook.jpg"
        size = rng.randrange(4 * 10**8, 8 * 10**8)
        found.append(
            {
                "type": "Feature", "stac_version": "1.0.0-beta.2", "stac_extensions": [], "id": urn, "collection": collection,
                # Some footprints have several parts.
                "geometry": polygon if number % 50 else {"type": "MultiPolygon", "coordinates": [polygon["coordinates"]]},
                "bbox": [west, south, west + 1.4, south + 1],
                "centroid": {"lon": west + 0.7, "lat": south + 0.5},
                "properties": {
                    "identifier": name, "dataset": collection, "grid:code": f"T{tile}", "product:type": "S2MSI1C",
                    "platform": name[:3], "instrument": "MSI", "processing:level": "L1C", "processing:version": "05.11",
                    "sat:relative_orbit": orbit, "sat:absolute_orbit": 40000 + number % 20000, "sat:orbit_state": "Descending",
                    "eo:cloud_cover": round(rng.random() * 100, 6), "latest": number % 40 != 0,
                    "start_datetime": begin, "end_datetime": begin,
                    "datetime": f"{published:%Y-%m-%dT%H:%M:%S.%f}Z",  # of the publication
                    "endpoint_url": f"https://s3.datalake.cnes.fr/sentinel2-l1c/{tile[:2]}/{tile[2]}/{tile[3:]}/{start:%Y/%m/%d}/{name}.zip",
                    "endpoint_description": "Link to product in datalake", "sar:instrument_mode": "INS-NOBS", "sci:doi": "[]",
                    "proj:bbox": f"{west},{south}", "continent_code": ["EU"], "keywords": ["season:summer"],
                    "political": {"continents": [{"name": "Europe", "pcover": rng.choice([1, 2.5])}]},
                },
                "links": [{"rel": "self", "href": f"{portal}/stac/collections/{collection}/items/{urn}"}],
                "assets": {
                    f"{name}.zip": {
                        "href": f"{portal}/download/{urn}/files/{md5}", "type": "application/zip", "roles": ["data"],
                        "description": f"File size: {size} bytes\n\nIs online: false\n\nDatatype: RAWDATA\n\nChecksum MD5: {md5}",
                    },
                    picture: {
                        "href": f"{portal}/quicklook/{urn}/files/{quick}?scope=gdh", "type": "image/jpeg", "roles": ["overview"],
                        "description": f"File size: 18684 bytes\n\nIs online: true\n\nChecksum MD5: {quick}",
                    },
                },
            }
        )  # fmt: skip
    return found
