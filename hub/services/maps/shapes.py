"""Shapes of files that people choose on a page with a map; the notebook of a search fetches its shape here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from geodes_lab.errors import GeodesError
from hub.services.maps import shape_reader
from hub.services.person import Hub

_EACH, _ALL = 8, 2**26  # shapes of one person, bytes of everybody's


class Shapes:
    """The last shapes of each person, in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()  # by person and checksum, the oldest first
        self._lock = threading.Lock()

    def keep(self, person: str, geometry: dict[str, Any]) -> str:
        """Keep a shape; return its checksum."""
        text = json.dumps(geometry)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        with self._lock:
            self._kept.pop((person, name), None)
            self._kept[person, name] = text
            own = [key for key in self._kept if key[0] == person]
            for key in own[:-_EACH]:
                del self._kept[key]
            while sum(map(len, self._kept.values())) > _ALL:
                self._kept.popitem(last=False)
        return name

    def of(self, person: str, name: str) -> dict[str, Any] | None:
        """Return a person's shape."""
        text = self._kept.get((person, name))
        return None if text is None else dict(json.loads(text))


def routes(hub: Hub, prefix: str) -> APIRouter:
    """Return the routes, below a prefix without a slash at its end."""
    router, shapes = APIRouter(prefix=prefix, include_in_schema=False), Shapes()

    @router.post("/shapes")
    async def taken(request: Request) -> dict[str, Any]:
        person = await run_in_threadpool(hub.person, request)
        if not person.name:
            raise HTTPException(401, "Log in to search by a file.")
        return await run_in_threadpool(read, person.name, await request.body())

    def read(person: str, text: bytes) -> dict[str, Any]:
        try:
            body = json.loads(text)
            name, data = str(body["name"]), base64.b64decode(body["data"], validate=True)
        except (ValueError, TypeError, KeyError, binascii.Error):
            raise HTTPException(400, "A file is a name, and data in base 64.") from None
        try:
            geometry = shape_reader.read(name, data)
        except GeodesError as error:
            raise HTTPException(400, str(error)) from error
        return {"id": shapes.keep(person, geometry), "geometry": geometry}

    @router.get("/shapes/{name}")
    def one(name: str, request: Request) -> dict[str, Any]:
        geometry = shapes.of(hub.person(request).name, name)
        if geometry is None:
            raise HTTPException(404, "This shape is no longer known: choose its file once more on the page.")
        return {"type": "Feature", "properties": {}, "geometry": geometry}

    return router
