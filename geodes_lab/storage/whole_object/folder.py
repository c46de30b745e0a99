"""A folder of whole objects that can be written: on a disk, or below a prefix of a bucket of the datalake."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore

from geodes_lab.errors import GeodesError
from geodes_lab.storage import event_loop
from geodes_lab.storage.object_location import ObjectLocation

_PART = 2**24  # bytes of a part of an upload; S3 allows 10 000 parts
_AT_ONCE = 4  # parts at the same time
_NOTHING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)")


@dataclass(frozen=True)
class ObjectFolder:
    """Objects below a folder, each of them whole or not there; can be sent to workers, without keys.

    On a disk, an object gets its name when it is complete; a bucket shows an upload when its last part has come.
    """

    place: ObjectLocation

    def __str__(self) -> str:
        return self.place.href

    @property
    def is_disk(self) -> bool:
        """Whether it is on a disk, where a folder can be renamed."""
        return self.place.scheme == "file"

    @property
    def path(self) -> Path:
        """The folder on the disk."""
        return Path("/", self.place.path)

    def below(self, key: str) -> ObjectFolder:
        """Return a folder in it."""
        return ObjectFolder(self._object(key))

    @property
    def above(self) -> ObjectFolder:
        """The folder that it is in."""
        path, href = self.place.path.rpartition("/")[0], self.place.href.rpartition("/")[0]
        return ObjectFolder(ObjectLocation(href, self.place.scheme, self.place.root, path))

    def beside(self, name: str) -> ObjectFolder:
        """Return another folder beside it."""
        return self.above.below(name)

    def href(self, key: str) -> str:
        """Return the address of an object."""
        return self._object(key).href

    async def read(self, key: str, part: Any = None) -> bytes | None:
        """Read an object, or a part of it as obstore names it; None if there is none."""
        place = self._object(key)

        async def call() -> bytes | None:
            try:
                answer = await obstore.get_async(place.store, place.path, options={"range": part} if part else None)
            except _NOTHING:
                return None
            return bytes(await answer.bytes_async())

        answer: bytes | None = await self._ask(place, "read", call)
        return answer

    async def size(self, key: str) -> int | None:
        """Return the bytes of an object; None if there is none."""
        place = self._object(key)

        async def call() -> int | None:
            try:
                return int((await obstore.head_async(place.store, place.path))["size"])
            except _NOTHING:
                return None

        size: int | None = await self._ask(place, "find", call)
        return size

    async def write(self, key: str, data: bytes | memoryview | Path) -> None:
        """Write an object, of bytes or of a file, in place of another one.

        Raises
        ------
        GeodesError
            If it cannot be written; what was there is there then.
        """
        place = self._object(key)
        options = {"use_multipart": True, "chunk_size": _PART, "max_concurrency": _AT_ONCE}
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        if size <= _PART or self.is_disk:
            options = {"use_multipart": False}
        await self._ask(place, "write", lambda: obstore.put_async(place.store, place.path, data, **options))

    async def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        place = self._object(key)

        async def call() -> None:
            try:
                await obstore.delete_async(place.store, place.path)
            except _NOTHING:
                return

        await self._ask(place, "remove", call)

    async def keys(self, below: str = "") -> list[str]:
        """Return the keys of all objects in a folder of it, at any depth."""
        place = self._object(below) if below else self.place

        async def call() -> list[str]:
            batches = [batch async for batch in obstore.list(place.store, prefix=f"{place.path.rstrip('/')}/")]
            return [entry["path"] for batch in batches for entry in batch]

        start = len(self.place.path.rstrip("/")) + 1
        return [path[start:] for path in await self._ask(place, "list", call)]

    async def names(self, below: str = "") -> list[str]:
        """Return the names of objects and folders directly in a folder of it."""
        place = self._object(below) if below else self.place

        async def call() -> list[str]:
            answer = await obstore.list_with_delimiter_async(place.store, prefix=place.path.rstrip("/"))
            return [*answer["common_prefixes"], *(o["path"] for o in answer["objects"])]

        return [path.rstrip("/").rpartition("/")[2] for path in await self._ask(place, "list", call)]

    def remove_all(self) -> None:
        """Remove it with all objects."""
        if self.is_disk:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        for key in waited(self.keys()):
            waited(self.remove(key))

    def _object(self, key: str) -> ObjectLocation:
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise GeodesError(f"{key!r} is no key of an object: it is refused.")
        place, base = self.place, self.place.path.rstrip("/")
        return ObjectLocation(f"{place.href.rstrip('/')}/{key}", place.scheme, place.root, f"{base}/{key}".lstrip("/"))

    async def _ask(self, place: ObjectLocation, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a request in the loop of the clients, from any other loop."""
        coming = asyncio.run_coroutine_threadsafe(place.ask(verb, call), event_loop.loop())
        return await asyncio.wrap_future(coming)


def at(address: str | os.PathLike[str]) -> ObjectFolder:
    """Return the folder of an address, which need not be there: a path, or ``s3://bucket/prefix``.

    Raises
    ------
    GeodesError
        If it is another kind of address.
    """
    text = os.fspath(address)
    if "://" not in text:
        path = Path(text).expanduser().resolve()
        return ObjectFolder(ObjectLocation(str(path), "file", "/", str(path).lstrip("/")))
    match = _ADDRESS.fullmatch(text.rstrip("/"))
    if match is None or any(p in ("", ".", "..") for p in match[2].split("/")) or re.search(r"[\x00-\x1f?#\\]", text):
        raise GeodesError(f"{text} is neither a path nor an address such as s3://bucket/folder: correct it.")
    return ObjectFolder(ObjectLocation(text.rstrip("/"), "s3", match[1], match[2]))


def waited(call: Any) -> Any:
    """Return the result of a call of `ObjectFolder`, for code that has no event loop."""

    async def within() -> Any:
        return await call

    return asyncio.run_coroutine_threadsafe(within(), event_loop.loop()).result()
