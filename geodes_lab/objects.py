"""The objects of a Zarr store as zarr-python and xarray ask for them, read with the datalake's retries and counters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import obstore
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from geodes_lab import clients
from geodes_lab.datalake import Place, Replaced, Unreachable, traffic

_NOTHING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_Found = tuple[bytes, str | None] | None
"""Bytes of an object, and what tells it from another that may take its name; None: there is none."""


class Objects(Store):
    """The objects below a place, on disk, in a bucket or on a web server: a store of zarr-python, only to read.

    What is not there is no error, since zarr-python asks for what may be; what may not be read, or cannot be, is one.

    Parameters
    ----------
    place
        The folder of the store, of a group or of an array.
    """

    supports_writes = False
    supports_deletes = False

    def __init__(self, place: Place) -> None:
        super().__init__(read_only=True)
        self.place, self._folder = place, place.path.rstrip("/")
        self._indexes: dict[str, Future[_Found]] = {}
        self.check: Callable[[bytes, bool], None] | None = None
        """Raises if bytes that were read are not whole; told whether they are a part of an object."""
        self._counts_back = True  # whether the server gives the end of an object, without being told where it is

    def __getstate__(self) -> dict[str, Any]:
        return {"place": replace(self.place)}  # neither keys nor connections travel to a worker

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objects) and self.place == other.place

    def __str__(self) -> str:
        return self.place.href

    @property
    def supports_listing(self) -> bool:
        """A web server has no folders to list."""
        return self.place.scheme != "http"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object or a part of it, in any loop; None if there is none."""
        match byte_range:
            case SuffixByteRequest(suffix):
                # The index at the end of a shard: it is asked for with each chunk, and read once.
                if key not in self._indexes:
                    self._indexes[key] = self._begin(key, {}, suffix)
                    self._indexes[key].add_done_callback(lambda done: self._settle(key, done))
                coming = self._indexes.get(key) or self._begin(key, {}, suffix)
            case RangeByteRequest(start, end):
                coming = self._begin(key, {"range": (start, end), **self._condition(key)})
            case OffsetByteRequest(offset):
                coming = self._begin(key, {"range": {"offset": offset}})
            case _:
                coming = self._begin(key, {})
        try:
            found = await asyncio.wrap_future(coming)
        except Unreachable:
            self._indexes.pop(key, None)  # perhaps of a shard that is no more
            raise
        if found is None:
            return None
        if isinstance(byte_range, RangeByteRequest) and len(found[0]) != byte_range.end - byte_range.start:
            raise OSError(f"{key} ends early")
        if self.check is not None and not isinstance(byte_range, SuffixByteRequest):
            self.check(found[0], byte_range is not None)
        return prototype.buffer.from_bytes(found[0])

    def _settle(self, key: str, done: Future[_Found]) -> None:
        """Keep the index of a shard only while it can be told whether the shard is still the same."""
        found = None if done.exception() else done.result()
        if found is None or found[1] is None or self.place.scheme == "file":
            self._indexes.pop(key, None)

    def _condition(self, key: str) -> dict[str, str]:
        """What the server is to refuse unless the shard is still the one whose index was read."""
        index = self._indexes.get(key)
        found = index.result() if index is not None and index.done() and not index.exception() else None
        return {"if_match": found[1]} if found and found[1] else {}

    def _begin(self, key: str, options: dict[str, Any], suffix: int = 0) -> Future[_Found]:
        """Begin to read an object, by obstore's options, or so many bytes of its end."""

        async def call() -> _Found:
            path = f"{self._folder}/{key}"
            back, wanted = suffix > 0 and self._counts_back, options
            try:
                if back:
                    wanted = {"range": {"suffix": suffix}}
                elif suffix:
                    traffic.add(1, 0)
                    size = (await obstore.head_async(self.place.store, path))["size"]
                    wanted = {"range": (max(size - suffix, 0), size)}
                traffic.add(1, 0)
                answer = await obstore.get_async(self.place.store, path, options=wanted)
            except _NOTHING:
                return None
            except Exception:
                if not back:
                    raise
                self._counts_back = False  # some servers do not know how to, and each says so in its own way
                return await call()
            data, tag = bytes(await answer.bytes_async()), answer.meta["e_tag"]
            traffic.add(0, len(data))
            if options.get("if_match", tag) != tag:  # a server that does not know the condition
                raise Replaced(f"{key} of {self.place.href} has been replaced since it was first read.")
            return data, tag if (tag or "").strip('"') else None

        return self._ask("read", call)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of several objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return await asyncio.wrap_future(self._begin(key, {"head": True})) is not None

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        """Give the names in a folder."""
        traffic.add(1, 0)
        folder = f"{self._folder}/{prefix}".rstrip("/")
        asked = self._ask("list", lambda: obstore.list_with_delimiter_async(self.place.store, prefix=folder))
        found = await asyncio.wrap_future(asked)
        for path in [*found["common_prefixes"], *(o["path"] for o in found["objects"])]:
            yield path.rstrip("/").rsplit("/", 1)[-1]

    def list(self) -> AsyncGenerator[str, None]:
        """Not needed to read: a store may have millions of objects."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        """As `list`."""
        raise NotImplementedError

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: what is here is only read."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse: what is here is only read."""
        self._check_writable()

    def _ask(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(self.place.ask(verb, call), clients.loop())
