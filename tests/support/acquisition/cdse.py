"""A stand-in of CDSE: OData with its limits, deletions, a subscription, a login and downloads, and faults as a test says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from blake3 import blake3

LIMIT = 10_000
SUBSCRIPTION = "880c4e1a-cfc7-4956-bc4c-4434069a0aa7"


def entry(name: str, data: bytes, published: str, mission: str = "SENTINEL-1", **fields: Any) -> dict[str, Any]:
    """A product in the form of a recorded answer."""
    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}{published}"))
    start = re.search(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)", name)
    moment = "{}-{}-{}T{}:{}:{}.000000Z".format(*start.groups()) if start else published
    kind = {"SENTINEL-1": name[4:12].strip("_"), "SENTINEL-2": "S2MSI1C"}.get(mission, "")
    return {
        "@odata.mediaContentType": "application/octet-stream", "Id": id_, "Name": f"{name}.SAFE",
        "ContentType": "application/octet-stream", "ContentLength": len(data), "OriginDate": published,
        "PublicationDate": published, "ModificationDate": published, "Online": True,
        "EvictionDate": "9999-12-31T23:59:59.999999Z", "S3Path": f"/eodata/{name}.SAFE",
        "Checksum": [
            {"Value": hashlib.md5(data).hexdigest(), "Algorithm": "MD5", "ChecksumDate": published},
            {"Value": blake3(data).hexdigest(), "Algorithm": "BLAKE3", "ChecksumDate": published},
        ],
        "ContentDate": {"Start": moment, "End": moment},
        "Footprint": None,
        "GeoFootprint": {"type": "Polygon", "coordinates": [[[1, 43], [2, 43], [2, 44], [1, 44], [1, 43]]]},
        "Attributes": [
            {"@odata.type": "#OData.CSC.StringAttribute", "Name": n, "Value": v, "ValueType": "String"}
            for n, v in (("platformShortName", mission), ("platformSerialIdentifier", name[2]), ("productType", kind))
        ],
        **fields,
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    cdse: Cdse

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urlsplit(self.path)
        if path.path == "/token":
            form = {k: v[0] for k, v in parse_qs(body).items()}
            right = (form.get("username"), form.get("password")) == ("ada", "pass word")
            self.json(200 if right else 401, {"access_token": self.cdse.token, "expires_in": 600} if right else {})
        elif (m := re.fullmatch(r"/odata/v1/Products\(([\w-]+)\)/OData.CSC.Order", path.path)) and self.is_known():
            self.cdse.orders.append(m[1])
            self.json(201 if self.cdse.takes_orders else 405, {"value": {"Status": "queued"}})
        elif path.path.endswith("/Ack") and self.is_known():
            token = parse_qs(path.query)["$ackid"][0]
            tokens = [n["AckId"] for n in self.cdse.queue]
            self.cdse.acknowledged.append(token)
            if token in tokens:
                del self.cdse.queue[: tokens.index(token) + 1]
            self.json(200, {})
        else:
            self.json(404, {})

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):
            path = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(path.query).items()}
            self.cdse.requests.append((unquote(path.path), query))
            if self.cdse.down:
                self.json(404, {"detail": "it is closed for maintenance"})
            elif m := re.fullmatch(r"/odata/v1/Products\(([\w-]+)\)/\$value", path.path):
                self.value(m[1])
            elif m := re.fullmatch(r"/odata/v1/Products\(([\w-]+)\)", path.path):
                product = next((p for p in self.cdse.products if p["Id"] == m[1]), None)
                self.json(200 if product else 404, product or {})
            elif path.path == "/odata/v1/Products":
                self.page(self.cdse.products, "PublicationDate", query)
            elif path.path == "/odata/v1/DeletedProducts":
                self.page(self.cdse.deleted, "DeletionDate", query)
            elif path.path.endswith("/Read") and self.is_known():
                self.json(200, {"value": self.cdse.queue[: int(query["$top"])]})
            else:
                self.json(404, {})

    def is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.cdse.token}"

    def page(self, products: list[dict[str, Any]], order: str, query: dict[str, str]) -> None:
        top, skip = int(query.get("$top", 20)), int(query.get("$skip", 0))
        if top > 1000 or skip + top > LIMIT:
            self.json(400, {"detail": "the offset limit is 10000"})
            return
        condition = query["$filter"]
        since = re.search(rf"{order} ge ([\dT:.Z-]+)", condition)
        name = re.search(r"Collection/Name eq '([^']+)'", condition)
        kind = re.search(r"att/Name eq 'productType' and att/OData.CSC.StringAttribute/Value eq '([^']+)'", condition)
        chosen = [
            p
            for p in products
            if (since is None or instant(p[order]) >= instant(since[1]))
            and (name is None or name[1] in attributes(p, "platformShortName"))
            and (kind is None or kind[1] in attributes(p, "productType"))
        ]
        chosen.sort(key=lambda p: instant(p[order]))
        self.json(200, {"@odata.context": "$metadata#Products(Attributes())", "value": chosen[skip : skip + top]})

    def value(self, id_: str) -> None:
        data = self.cdse.files.get(id_)
        if data is None:
            self.json(404, {"detail": "Product not found"})
        elif not self.is_known():
            self.json(401, {"detail": "Unauthorized"})
        elif self.cdse.faults.get(id_):
            self.cdse.faults[id_].pop(0)(self, data)
        else:
            self.give(200, data)

    def json(self, status: int, document: Any) -> None:
        self.give(status, json.dumps(document).encode(), "application/json")

    def give(
        self, status: int, data: bytes, kind: str = "application/zip", cut: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        usual = {"Content-Type": kind, "Content-Length": str(len(data))}
        for name, value in {**usual, **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


Fault = Callable[[Handler, bytes], None]
FAULTS: dict[str, Fault] = {
    "truncated": lambda h, d: h.give(200, d, cut=len(d) // 2),
    "short": lambda h, d: h.give(200, d[: len(d) // 2]),
    "corrupt": lambda h, d: h.give(200, d[:-9000] + bytes(100) + d[-8900:]),
    "html": lambda h, d: h.give(200, b"<!doctype html><title>Log in</title>", "text/html"),
    "busy": lambda h, d: h.give(429, b"", Retry_After="0"),
    "error": lambda h, d: h.give(503, b""),
    "tape": lambda h, d: h.give(202, b"{}", "application/json"),
    "quota": lambda h, d: h.give(429, b"too many", Retry_After="3600"),
}


class Cdse:
    """The server: a context manager on a free port of loopback."""

    def __init__(self) -> None:
        self.products: list[dict[str, Any]] = []
        self.deleted: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.queue: list[dict[str, Any]] = []
        self.acknowledged: list[str] = []
        self.orders: list[str] = []
        self.takes_orders = True
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.token, self.down = uuid.uuid4().hex, False

    def __enter__(self) -> Cdse:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"cdse": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The source in the settings of an engine."""
        login = {"user": {"environment": "TEST_CDSE_USER"}, "password": {"environment": "TEST_CDSE_PASSWORD"}}
        return {
            "kind": "cdse", "address": f"{self.url}/odata/v1", "download": f"{self.url}/odata/v1",
            "identity": f"{self.url}/token", "login": login,
        } | changes  # fmt: skip

    def publish(self, path: Path, published: str, *, mission: str = "SENTINEL-1", **fields: Any) -> dict[str, Any]:
        """Publish a product."""
        data = path.read_bytes()
        product = entry(path.stem, data, published, mission, **fields)
        self.products.append(product)
        self.files[product["Id"]] = data
        return product

    def delete(self, product: dict[str, Any], when: str, cause: str = "Corrupted product") -> None:
        """Delete a product."""
        self.products.remove(product)
        del self.files[product["Id"]]
        self.deleted.append({**product, "DeletionDate": when, "DeletionCause": cause})

    def notify(self, product: dict[str, Any], event: str = "created") -> None:
        """Put a notice into the queue of the subscription."""
        token = base64.b64encode(f"{len(self.queue)}-{uuid.uuid4()}".encode()).decode()
        self.queue.append({
            "SubscriptionEvent": event, "ProductId": product["Id"], "ProductName": product["Name"],
            "SubscriptionId": SUBSCRIPTION, "NotificationDate": "2024-09-12T14:52:52.000Z", "AckId": token,
            **({} if event == "deleted" else {"value": product}),
        })  # fmt: skip


def attributes(product: dict[str, Any], name: str) -> list[str]:
    known = [a for a in product["Attributes"] if isinstance(a, dict)]
    # A product that a test has damaged is given in each answer.
    return [a["Value"] for a in known if a["Name"] == name] if known else ["SENTINEL-1", "OCN"]


def instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return datetime(2021, 6, 1, tzinfo=UTC)
