"""The objects of a Zarr store as zarr-python and xarray ask for them, read with the datalake's retries and counters.

Whatever is read is looked at before zarr-python acts on it: documents by `geodes_lab.formats.zarr.document`, chunks by
how much they hold.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr import document
from geodes_lab.formats.zarr.layout import Layout, check_coordinate
from geodes_lab.storage import event_loop
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Replaced, Unreachable
from geodes_lab.storage.traffic import traffic
from geodes_lab.util import limits

NAMED = re.compile(r"\.zarr(?=/|$)", re.IGNORECASE)
"""By what an address is known to be in a Zarr store: the end of the store's name."""
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

    def __init__(self, place: ObjectLocation) -> None:
        super().__init__(read_only=True)
        self.place, self._folder = place, place.path.rstrip("/")
        self._indexes: dict[str, Future[_Found]] = {}
        self._layouts: dict[str, Layout] = {}
        self._own: set[str] = set()  # of format 2: the arrays that say that they are coordinates
        store = NAMED.search(self._folder)
        self._root = (
            os.path.realpath(f"/{self._folder[: store.end()] if store else self._folder}")
            if place.scheme == "file"
            else ""
        )
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
        self._refuse_outside(key)
        layout = self._layout(key)
        match byte_range:
            case SuffixByteRequest(suffix):
                # The index at the end of a shard: it is asked for with each chunk, and read once.
                if key not in self._indexes:
                    self._indexes[key] = self._begin(key, {}, suffix)
                    self._indexes[key].add_done_callback(lambda done: self._settle(key, done))
                coming = self._indexes.get(key) or self._begin(key, {}, suffix)
            case RangeByteRequest(start, end):
                limits.refuse(f"A chunk in {key} of {self.place.href}", end - start, limits.TILE + 2**20)
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
        if not isinstance(byte_range, SuffixByteRequest):
            self._look(key, found[0], layout, byte_range is not None)
        return prototype.buffer.from_bytes(found[0])

    def _layout(self, key: str) -> Layout | None:
        """How the array is stored that an object is of.

        None: it is a document, or of an array that nobody has opened.
        """
        parts = key.split("/")
        if parts[-1] in document.DOCUMENTS:
            return None
        return next(
            (found for n in range(len(parts) - 1, -1, -1) if (found := self._layouts.get("/".join(parts[:n])))), None
        )

    def _look(self, key: str, data: bytes, layout: Layout | None, is_part: bool) -> None:
        """Look at what was read, before anybody acts on it."""
        if layout is not None:
            layout.check(key, data, is_part)
            return
        folder, _, name = key.rpartition("/")
        if name not in document.DOCUMENTS:
            return
        self._remember(key, document.read(self.place.href, key, data))
        if name == ".zattrs" and document.is_coordinate(folder.rpartition("/")[2], data):
            self._own.add(folder)
        for path in self._own & self._layouts.keys():
            check_coordinate(self._layouts[path])

    def _remember(self, key: str, layouts: dict[str, Layout]) -> None:
        """Keep how arrays are stored; two documents of one array must agree, since zarr-python may follow either.

        Raises
        ------
        GeodesError
            If they do not.
        """
        for path, layout in layouts.items():
            before = self._layouts.get(path, layout)
            is_coordinate = before.own_coordinate or layout.own_coordinate
            if replace(before, own_coordinate=is_coordinate) != replace(layout, own_coordinate=is_coordinate):
                raise GeodesError(
                    f"The metadata of {self.place.href} say two different things of {layout.name}, the second in "
                    f"{key}: refused; open it again if it was just rewritten, else fetch it again."
                )
            self._layouts[path] = replace(layout, own_coordinate=is_coordinate)

    def _refuse_outside(self, key: str) -> None:
        """Refuse a key that leads out of the store, by its name or by a link.

        Raises
        ------
        GeodesError
            If it does.
        """
        if not document.clean(key):
            raise GeodesError(f"{self.place.href} has the name {key[:80]!r} in it, which may lead out of it: refused.")
        if self.place.scheme != "file":
            return
        path = f"/{self._folder}/{key}"
        true = os.path.realpath(path)
        if not f"{true}/".startswith(f"{self._root}/"):
            raise GeodesError(
                f"{path} is a link that leads out of its Zarr store, to {true}: refused; copy what it means into the "
                "store."
            )
        try:
            kind = Path(path).stat().st_mode
        except (OSError, ValueError):
            return  # it is not there, which is no error
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise GeodesError(f"{path} is no file but a pipe or a device: refused.")

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
        layout = self._layout(key)
        most = layout.object_bytes if layout else document.LARGEST

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
            if not wanted:
                # Of an object that nobody has told of it is asked how large it is before it is read.
                limits.refuse(f"{key} of {self.place.href}", answer.meta["size"], most)
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
        self._refuse_outside(key)
        return await asyncio.wrap_future(self._begin(key, {"head": True})) is not None

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        """Give the names in a folder."""
        if prefix.strip("/"):
            self._refuse_outside(prefix.strip("/"))
        traffic.add(1, 0)
        folder = f"{self._folder}/{prefix}".rstrip("/")
        asked = self._ask("list", lambda: obstore.list_with_delimiter_async(self.place.store, prefix=folder))
        found = await asyncio.wrap_future(asked)
        for path in [*found["common_prefixes"], *(o["path"] for o in found["objects"])]:
            if self.place.scheme == "file" and Path("/", path).is_symlink() and Path("/", path).is_dir():
                raise GeodesError(
                    f"/{path} is a link to a folder, inside a Zarr store: refused; copy what it means into the store."
                )
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
        return asyncio.run_coroutine_threadsafe(self.place.ask(verb, call), event_loop.loop())
