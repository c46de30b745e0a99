"""The application: who asks, what that person may see, and what is remembered; the tiler draws."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from geodes_lab import __version__
from geodes_lab.policy.lab import Lab
from hub.services.data.lake import Lake
from hub.services.person import Hub, Person, is_from_elsewhere
from hub.services.tiles import addresses
from hub.services.tiles.addresses import MOSAIC, Address, NotSo
from hub.services.tiles.answers import Answers
from hub.services.tiles.broker import Broker
from hub.services.tiles.catalogue import Catalogue
from hub.services.tiles.keys import HOURS, STAND_IN, Key, Keys, carried
from hub.services.tiles.products import NOTHING, Products
from hub.services.tiles.wanted import Gone, wanted
from hub.services.tiles.workers import Answer, Failed, Worker

_GONE = 499  # as proxies note it; nobody receives it
_EACH = 32  # requests of one person that are answered together
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
"""Of every answer."""
_KEEP = "private, max-age=3600"
_LOGIN = (
    "Log in, send your token (Authorization: token …, from the hub's page Token), or have a key= in the address that "
    "is for this product and has not ended."
)
CONFORMANCE = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tilesets-list",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/png",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/jpeg",
]
"""The parts of OGC's standards that are true here; of each Item."""


class Tiles:
    """Answers requests.

    Parameters
    ----------
    lab
        The operator's file.
    hub
        Identifies people.
    catalogue
        Says what they may see.
    lake, hosts
        The datalake, and the host names of its addresses.
    broker
        Gives the tilers what they may read.
    workers
        The tilers; an Item has always the same one.
    keys
        Keys in addresses.
    """

    def __init__(
        self, lab: Lab, hub: Hub, catalogue: Catalogue, lake: Lake, hosts: Collection[str], broker: Broker,
        workers: Sequence[Worker], keys: Keys,
    ) -> None:  # fmt: skip
        self._lab, self._hub, self._catalogue, self._workers, self._keys = lab, hub, catalogue, workers, keys
        self._products = Products(lab, catalogue, lake, hosts, broker)
        self._answers = Answers()
        self._now: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Answer a request for a tile, or for another thing of an Item or a mosaic."""
        raw = request.scope.get("raw_path") or request.url.path.encode()
        address = addresses.parsed(raw, self._hub.prefix, request.scope["query_string"])
        person = await self._person(request, address)
        if self._now[person.name] >= _EACH:
            raise NotSo(429, f"You already have {_EACH} requests in progress here: wait for one of them to end.")
        self._now[person.name] += 1
        try:
            return await self._drawn(request, address, person)
        finally:
            self._now[person.name] -= 1
            if not self._now[person.name]:
                del self._now[person.name]

    async def _person(self, request: Request, address: Address) -> Person:
        """Return who asks, by token, cookie or key."""
        if text := request.query_params.get("key", ""):
            key = self._keys.read(text)
            if key is None or not key.opens(address.collection, address.item):
                raise NotSo(401, _LOGIN)
            person = await run_in_threadpool(self._hub.of, key.person)
        else:
            person = await run_in_threadpool(self._hub.person, request)
        if not person.name:
            raise NotSo(401, _LOGIN)
        return person

    async def _drawn(self, request: Request, address: Address, person: Person) -> Response:
        items, note = await self._products.of(address, person)
        body = orjson.dumps(items, option=orjson.OPT_SORT_KEYS)
        base = self._base(request, address)
        mark = hashlib.blake2b(body, digest_size=16)
        key = request.query_params.get("key", "")
        carries = urlencode([*address.linked, *([("key", key)] if key else [])])
        for part in (__version__, address.rest, address.text, str(base), urlencode(address.linked)):
            mark.update(f"\0{part}".encode())
        name = mark.hexdigest()
        headers = {**HEADERS, "ETag": f'"{name}"', "Cache-Control": _KEEP, "Vary": "Authorization, Cookie", **note}
        if f'"{name}"' in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        worker = self._workers[int(hashlib.blake2b(body, digest_size=4).hexdigest(), 16) % len(self._workers)]
        stand_in = [("key", STAND_IN)] if carries else []
        query = httpx.QueryParams([*address.query, *stand_in])

        async def draw() -> Answer:
            return await worker.ask(quote(address.rest, safe="/,.~"), str(query), base, body)

        try:
            answer = await wanted(request, self._answers.of(f"{name}{len(stand_in)}", worker.turns, draw))
        except Gone:
            return Response(status_code=_GONE)
        except Failed as error:
            raise NotSo(503, str(error)) from None
        content = answer.body
        if carries and not answer.media.startswith(("image/", "application/x-binary")):
            content = carried(content, carries, str(base), is_markup="json" not in answer.media)
        if answer.status != 200:
            headers = {**HEADERS, "Cache-Control": "no-store"}
        return Response(content, answer.status, {**headers, "Content-Type": answer.media})

    def _base(self, request: Request, address: Address) -> httpx.URL:
        """Return the Item's address as people see it."""
        public = self._lab.origin("tiles") or self._lab.address
        scheme = request.headers.get("X-Forwarded-Proto", request.url.scheme).split(",")[0].strip()
        origin = public or f"{'https' if scheme == 'https' else 'http'}://{request.headers.get('Host', 'localhost')}"
        return httpx.URL(f"{origin.rstrip('/')}{self._hub.prefix}{address.base}")

    async def key(self, request: Request) -> Response:
        """Make a key for addresses."""
        person = await run_in_threadpool(self._hub.person, request)
        if not person.name or is_from_elsewhere(request, person):
            raise NotSo(401, "Send your token: Authorization: token …, from the hub's page Token.")
        try:
            told = orjson.loads(await request.body())
            collection, item, hours = (
                str(told["collection"]),
                str(told.get("item") or ""),
                float(told.get("hours", HOURS)),
            )
            if not math.isfinite(hours) or set(told) - {"collection", "item", "hours"}:
                raise ValueError("only collection, item and hours are known")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotSo(400, 'Say what the key is for: {"collection": …, "item": …, "hours": …}.') from None
        there = (
            await self._catalogue.item(person.name, collection, item)
            if item and item != MOSAIC
            else await self._catalogue.may_see(person.name, collection)
        )
        if not there:
            raise NotSo(404, NOTHING)
        try:
            text, key = self._keys.made(person.name, collection, item, hours)
        except ValueError as error:
            raise NotSo(400, str(error)) from None
        return JSONResponse(
            _described(text, key, str(self._base(request, Address(collection, item or MOSAIC, "", ()))))
        )

    async def landing(self, request: Request) -> Response:
        """Say what this is."""
        at = self._hub.prefix
        links = [
            {"rel": "self", "type": "application/json", "href": at},
            {"rel": "conformance", "type": "application/json", "href": f"{at}conformance"},
            {
                "rel": "item", "templated": True, "href": f"{at}{{collection}}/{{item}}/tiles/{{z}}/{{x}}/{{y}}",
                "title": "Tiles of an Item of the catalogue",
            },
        ]  # fmt: skip
        return JSONResponse({"title": f"Tiles of {self._lab.name}", "links": links}, headers=HEADERS)

    async def conformance(self, _: Request) -> Response:
        """Say which standards are followed; who asks whether this is ready also starts the tilers."""
        for worker in self._workers:
            worker.begin()
        return JSONResponse({"conformsTo": CONFORMANCE}, headers=HEADERS)

    async def login(self, request: Request) -> Response:
        """Send a browser to the hub."""
        return self._hub.begin(request)

    async def back(self, request: Request) -> Response:
        """Take it back."""
        query = request.query_params
        return await run_in_threadpool(self._hub.end, request, query.get("code", ""), query.get("state", ""))


def _described(text: str, key: Key, base: str) -> dict[str, Any]:
    return {
        "key": text,
        "ends": key.ends,
        "tiles": f"{base}/tiles/{{z}}/{{x}}/{{y}}?key={text}",
        "tilejson": f"{base}/tilejson.json?key={text}",
        **({"wmts": f"{base}/WMTSCapabilities.xml?key={text}"} if key.item != MOSAIC and key.item else {}),
    }
