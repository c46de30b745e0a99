"""The location of one object, and the reads of its bytes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from obstore.store import ObjectStore

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.storage import byte_range, event_loop, neighbours, request, stores
from geodes_lab.storage.range_file import Ranges
from geodes_lab.storage.request import Unreachable
from geodes_lab.storage.traffic import traffic


@dataclass(frozen=True)
class ObjectLocation:
    """One object that can be read by byte ranges, on disk or on a server."""

    href: str
    """The address as the user or the catalogue wrote it."""
    scheme: str
    """``file``, ``s3`` or ``http``."""
    root: str
    """``file``: ``/``; ``s3``: the bucket; ``http``: scheme and host."""
    path: str
    """The path below the root, without a leading slash."""
    query: str = field(default="", repr=False)
    """``http``: the query after the path, with its question mark; often a signature."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def gdal(self) -> str:
        """The path by which GDAL opens this object."""
        match self.scheme:
            case "file":
                return f"/{self.path}"
            case "s3":
                return f"/vsis3/{self.root}/{self.path}"
            case _:
                return f"/vsicurl/{self.root}/{quote(self.path)}{self.query}"

    def cache_path(self, kind: str, part: str) -> Path:
        """Return the cache file for information about (a part of) this object.

        For a local file, it depends on its time of change.
        """
        stamp = Path(self.gdal).stat().st_mtime_ns if self.scheme == "file" else 0
        name = hashlib.sha256(f"{self.scheme}|{self.root}|{self.path}|{part}|{stamp}".encode()).hexdigest()
        return Path(settings.get("cache.folder")).expanduser() / kind / name[:2] / name

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder on disk."""
        return self.scheme == "file" and os.path.isdir(f"/{self.path}")

    @property
    def store(self) -> ObjectStore:
        """The client of its server."""
        if self.query:
            raise GeodesError(f"{self.href} is a signed address of one object: other objects cannot be read with it.")
        return stores.store(self.scheme, self.root)

    @property
    def gap(self) -> int:
        """Return how many bytes cost as much as one more request to its server; no I/O."""
        return 0 if self.scheme == "file" else neighbours.rates(self.scheme, self.root).gap

    def size(self) -> int:
        """Size in bytes; one request.

        Raises
        ------
        GeodesError
            If the object does not exist, or cannot be reached.
        """
        traffic.add(1, 0)
        return int(_wait(self.ask("find", lambda: byte_range.size(self))))

    def read(self, start: int, length: int) -> bytes:
        """Read ``length`` bytes from ``start``, or fewer where the object ends; one request."""
        return self.fetch([(start, length)])[0].result()

    def fetch(self, ranges: Sequence[tuple[int, int]], tag: str | None = None) -> list[Future[bytes]]:
        """Begin to read ranges (start, length), each with its own request, many at the same time.

        With the ``tag`` of an earlier read, the server is asked to refuse if the object has been replaced; the future
        then has the error `Replaced`.
        """
        if self.scheme == "file":
            return [_done(self._read_file, start, length) for start, length in ranges]
        traffic.add(len(ranges), sum(length for _, length in ranges))
        # Finding the client, with its keys, takes as long as a short range.
        client = self if self.query else _WithClient(self.scheme, self.root, self.path, self.store)
        return [_begin(self._range(start, length, tag, client)) for start, length in ranges]

    def fetch_near(self, ranges: Sequence[tuple[int, int]]) -> list[Future[bytes]]:
        """Begin to read ranges as `fetch` does; neighbours come by one request, where that is cheaper."""
        if self.scheme == "file":
            return self.fetch(ranges)
        together = neighbours.runs(ranges, self.gap)
        spans = [(ranges[run[0]][0], max(sum(ranges[n]) for n in run) - ranges[run[0]][0]) for run in together]
        futures: dict[int, Future[bytes]] = {}
        for run, (start, _), whole in zip(together, spans, self.fetch(spans), strict=True):
            parts = [whole] if len(run) == 1 else neighbours.shared([ranges[n] for n in run], start, whole)
            futures.update(zip(run, parts, strict=True))
        return [futures[n] for n in range(len(ranges))]

    def read_tagged(self, start: int, length: int) -> tuple[bytes, str | None]:
        """Read as `read` does; return the tag (ETag) that identifies this version of the object too."""
        if self.scheme == "file":
            return self._read_file(start, length), None
        traffic.add(1, length)
        answer = _wait(self._get(start, length, lambda at, size: byte_range.get(self, at, size, None)))
        return answer.data, answer.tag

    async def _range(self, start: int, length: int, tag: str | None, client: byte_range.Object) -> bytes:
        # A repeated request looks for its client anew: the keys may have changed.
        first, rates, data = iter([client]), neighbours.rates(self.scheme, self.root), b""
        began = rates.begins()
        try:
            if tag:
                answer = await self._get(start, length, lambda at, n: byte_range.get(next(first, self), at, n, tag))
                data = answer.data
            else:
                data = await self._get(start, length, lambda at, n: byte_range.data(next(first, self), at, n))
        finally:
            rates.ends(began, len(data))
        return data

    async def _get(self, start: int, length: int, call: Callable[[int, int], Awaitable[Any]]) -> Any:
        try:
            return await self.ask("read", lambda: call(start, length))
        except Unreachable as error:
            # S3 and HTTP return the existing part of a range that goes beyond the end; some servers refuse it.
            if not re.search("status code: (400|416)", str(error.__cause__)):
                raise
            traffic.add(1, 0)
            size = int(await self.ask("find", lambda: byte_range.size(self)))
            if not start < size < start + length:
                raise
            return await self.ask("read", lambda: call(start, size - start))

    def _read_file(self, start: int, length: int) -> bytes:
        with Path(self.gdal).open("rb") as file:
            file.seek(start)
            data = file.read(length)
        traffic.add(1, len(data))
        return data

    def open(self) -> BinaryIO:
        """Open a seekable binary file over the object; each read requests at least 64 KiB."""
        return io.BufferedReader(Ranges(self), 2**16)

    async def ask(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a request for this object; see `geodes_lab.storage.request.ask`."""
        return await request.ask(self, verb, call)


def _begin(call: Coroutine[Any, Any, bytes]) -> Future[bytes]:
    return asyncio.run_coroutine_threadsafe(call, event_loop.loop())


def _wait(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(call, event_loop.loop()).result()


def _done(call: Callable[..., bytes], *arguments: int) -> Future[bytes]:
    """Return the result or error of a call as a future that is done: a disk needs no waiting."""
    future: Future[bytes] = Future()
    try:
        future.set_result(call(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


@dataclass(frozen=True)
class _WithClient:
    """A location with its client, for many requests at once."""

    scheme: str
    root: str
    path: str
    store: ObjectStore
    query: str = ""
