"""Shapes of files that people choose on a page with a map; the notebook of a search fetches its shape here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from geodes_lab.errors import GeodesError
from hub.services.maps import shape_reader
from hub.services.person import Hub

_EACH, _ALL = 8, 2**26  # shapes of one person, bytes of everybody's
_TABLE = """
CREATE TABLE IF NOT EXISTS shapes (came INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL, name TEXT NOT NULL,
  shape TEXT NOT NULL, UNIQUE (person, name))"""
_FORGET_OLD_OF = """
DELETE FROM shapes WHERE person = ? AND came NOT IN
  (SELECT came FROM shapes WHERE person = ? ORDER BY came DESC LIMIT ?)"""
_FORGET_OLD = """
DELETE FROM shapes WHERE came IN
  (SELECT came FROM (SELECT came, sum(length(shape)) OVER (ORDER BY came DESC) AS newer FROM shapes) WHERE newer > ?)"""


class Shapes:
    """The last shapes of each person.

    Parameters
    ----------
    path
        An SQLite file, which all processes of a service have in common; it is made, for its owner alone. Without it,
        the shapes are in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path or ":memory:", timeout=30, check_same_thread=False, isolation_level=None)
        with self._transaction() as database:
            database.execute(_TABLE)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def keep(self, person: str, geometry: dict[str, Any]) -> str:
        """Keep a shape; return its checksum."""
        text = json.dumps(geometry)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        with self._transaction() as database:
            database.execute("DELETE FROM shapes WHERE person = ? AND name = ?", (person, name))
            database.execute("INSERT INTO shapes (person, name, shape) VALUES (?, ?, ?)", (person, name, text))
            database.execute(_FORGET_OLD_OF, (person, person, _EACH))
            database.execute(_FORGET_OLD, (_ALL,))
        return name

    def of(self, person: str, name: str) -> dict[str, Any] | None:
        """Return a person's shape."""
        with self._transaction() as database:
            query = "SELECT shape FROM shapes WHERE person = ? AND name = ?"
            row = database.execute(query, (person, name)).fetchone()
        return dict(json.loads(row[0])) if row else None


def routes(hub: Hub, prefix: str, path: Path | None = None) -> APIRouter:
    """Return the routes, below a prefix without a slash at its end; ``path``: see `Shapes`."""
    router, shapes = APIRouter(prefix=prefix, include_in_schema=False), Shapes(path)

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
