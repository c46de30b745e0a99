"""The objects of a Zarr store for zarr-python and xarray, read with the datalake's retries and counters.

Everything is checked before zarr-python uses it: documents by `geodes_lab.formats.zarr.document`, chunks by their
decompressed size.
"""

from __future__ import annotations

import asyncio
import os
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
from geodes_lab.formats.zarr.named import NAMED
from geodes_lab.storage import event_loop
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Replaced, Unreachable
from geodes_lab.storage.traffic import traffic
from geodes_lab.util import limits

_NOTHING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

_Found = tuple[bytes, str | None] | None
"""Bytes of an object, and its tag; None: the object does not exist."""


class Objects(Store):
    """The objects below a location, on disk, in a bucket or on a web server: a read-only store of zarr-python.

    A missing object is no error, because zarr-python asks for optional ones; an object that may not or cannot be read
    is an error.

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
        self._own: set[str] = set()  # format 2: the arrays that declare themselves as coordinates
        store = NAMED.search(self._folder)
        self._root = (
            os.path.realpath(f"/{self._folder[: store.end()] if store else self._folder}")
            if place.scheme == "file"
            else ""
        )
        self._counts_back = True  # whether the server returns the end of an object without knowing its size

    def __getstate__(self) -> dict[str, Any]:
        return {"place": replace(self.place)}  # neither keys nor connections are sent to a worker

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objects) and self.place == other.place

    def __str__(self) -> str:
        return self.place.href

    @property
    def supports_listing(self) -> bool:
        """Whether folders can be listed: those of a web server cannot."""
        return self.place.scheme != "http"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object or a part of it, in any event loop; None if it does not exist."""
        self._refuse_outside(key)
        layout = self._layout(key)
        match byte_range:
            case SuffixByteRequest(suffix):
                # The index at the end of a shard: requested with each chunk, and read once.
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
            answer = await asyncio.wrap_future(coming)
        except Unreachable:
            self._indexes.pop(key, None)  # perhaps the index of a shard that no longer exists
            raise
        if answer is None:
            return None
        if isinstance(byte_range, RangeByteRequest) and len(answer[0]) != byte_range.end - byte_range.start:
            raise OSError(f"{key} ends early")
        if not isinstance(byte_range, SuffixByteRequest):
            self._look(key, answer[0], layout, byte_range is not None)
        return prototype.buffer.from_bytes(answer[0])

    def _layout(self, key: str) -> Layout | None:
        """Return the layout of the array that an object belongs to.

        None: the object is a document, or belongs to an array that has not been opened.
        """
        parts = key.split("/")
        if parts[-1] in document.DOCUMENTS:
            return None
        return next(
            (layout for n in range(len(parts) - 1, -1, -1) if (layout := self._layouts.get("/".join(parts[:n])))), None
        )

    def _look(self, key: str, data: bytes, layout: Layout | None, is_part: bool) -> None:
        """Check what was read, before it is used."""
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
        """Remember the layouts of arrays; two documents of one array must agree, because zarr-python may follow either.

        Raises
        ------
        GeodesError
            If they do not agree.
        """
        for path, layout in layouts.items():
            before = self._layouts.get(path, layout)
            is_coordinate = before.own_coordinate or layout.own_coordinate
            if replace(before, own_coordinate=is_coordinate) != replace(layout, own_coordinate=is_coordinate):
                raise GeodesError(
                    f"The metadata of {self.place.href} describe {layout.name} in two different ways, the second in "
                    f"{key}. The store is refused: open it again if it has just been rewritten, otherwise fetch it "
                    "again."
                )
            self._layouts[path] = replace(layout, own_coordinate=is_coordinate)

    def _refuse_outside(self, key: str) -> None:
        """Refuse a key that leads out of the store, by its name or by a link.

        Raises
        ------
        GeodesError
            If it leads out.
        """
        if not document.clean(key):
            raise GeodesError(
                f"{self.place.href} contains the name {key[:80]!r}, which may lead out of the store: refused."
            )
        if self.place.scheme != "file":
            return
        path = f"/{self._folder}/{key}"
        true = os.path.realpath(path)
        if not f"{true}/".startswith(f"{self._root}/"):
            raise GeodesError(
                f"{path} is a link that leads out of its Zarr store, to {true}. It is refused: copy the file itself "
                "into the store."
            )
        try:
            kind = Path(path).stat().st_mode
        except (OSError, ValueError):
            return  # the object does not exist, which is no error
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise GeodesError(f"{path} is a pipe or a device, not a file: refused.")

    def _settle(self, key: str, done: Future[_Found]) -> None:
        """Keep the index of a shard only if a tag can prove that the shard is still the same."""
        answer = None if done.exception() else done.result()
        if answer is None or answer[1] is None or self.place.scheme == "file":
            self._indexes.pop(key, None)

    def _condition(self, key: str) -> dict[str, str]:
        """Return the condition under which the server returns the shard.

        Only if it is still the one whose index was read.
        """
        index = self._indexes.get(key)
        answer = index.result() if index is not None and index.done() and not index.exception() else None
        return {"if_match": answer[1]} if answer and answer[1] else {}

    def _begin(self, key: str, options: dict[str, Any], suffix: int = 0) -> Future[_Found]:
        """Begin to read an object, with obstore's options, or a number of bytes from its end."""
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
                self._counts_back = False  # some servers do not support this, and each reports it in its own way
                return await call()
            if not wanted:
                # The size of an object that no document describes is requested before it is read.
                limits.refuse(f"{key} of {self.place.href}", answer.meta["size"], most)
            data, tag = bytes(await answer.bytes_async()), answer.meta["e_tag"]
            traffic.add(0, len(data))
            if options.get("if_match", tag) != tag:  # a server that does not support the condition
                raise Replaced(
                    f"{key} of {self.place.href} was replaced after it was first read: open the product again."
                )
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
        """Yield the names in a folder."""
        if prefix.strip("/"):
            self._refuse_outside(prefix.strip("/"))
        traffic.add(1, 0)
        folder = f"{self._folder}/{prefix}".rstrip("/")
        listing = self._ask("list", lambda: obstore.list_with_delimiter_async(self.place.store, prefix=folder))
        entries = await asyncio.wrap_future(listing)
        for path in [*entries["common_prefixes"], *(o["path"] for o in entries["objects"])]:
            if self.place.scheme == "file" and Path("/", path).is_symlink() and Path("/", path).is_dir():
                raise GeodesError(
                    f"/{path} is a link to a folder inside a Zarr store. It is refused: copy the folder itself "
                    "into the store."
                )
            yield path.rstrip("/").rsplit("/", 1)[-1]

    def list(self) -> AsyncGenerator[str, None]:
        """Not needed to read: a store may have millions of objects."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        """See `list`."""
        raise NotImplementedError

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: the store is read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse: the store is read-only."""
        self._check_writable()

    def _ask(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(self.place.ask(verb, call), event_loop.loop())
