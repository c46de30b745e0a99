"""Where products are stored: a folder of this machine, or a bucket; an object has its key only when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import obstore

from geodes_lab.acquisition import uploads
from geodes_lab.acquisition.fetching import check_room
from geodes_lab.acquisition.settings import storing
from geodes_lab.errors import GeodesError
from geodes_lab.storage import event_loop
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.storage.whole_object.folder import ObjectFolder, at
from geodes_lab.util import faults
from geodes_lab.util.whole_file import fsync_folder, make_folder

_BLOCK = 2**20  # bytes that are read at once
_PART = (
    5 * 2**20
)  # bytes of a part of an upload, the fewest that S3 allows; of large files more: it allows 10 000 parts
_MOST = 9_000
_AT_ONCE = 2  # parts of an upload at the same time; the client has each of them in memory about twice
_turns = threading.BoundedSemaphore(1)  # uploads at the same time
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


class Taken(GeodesError):
    """Another object has this key."""


class Destination(Protocol):
    """Stores objects."""

    def put(self, path: Path, key: str, check: Callable[[], None]) -> None:
        """Store a file under a key; nothing happens if the same bytes are there.

        Raises
        ------
        Taken
            If other bytes have this key.
        GeodesError, OSError
            If it cannot be stored.
        """

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""

    def href(self, key: str) -> str:
        """Return the address of an object, as the catalogue gives it."""

    def place(self, key: str) -> ObjectFolder:
        """Return a folder of objects, where it really is."""


def of(settings: storing.Destination, room: int) -> Destination:
    """Return the destination of the settings."""
    if settings.folder is not None:
        return Disk(settings.folder, room, settings.address)
    bucket, _, prefix = (settings.s3 or "").removeprefix("s3://").partition("/")
    return Bucket(bucket, prefix.strip("/"), settings.address)


@dataclass(frozen=True)
class Disk:
    """A folder; its objects are files."""

    folder: Path
    room: int
    """Bytes that stay free."""
    address: str | None = None

    def put(self, path: Path, key: str, check: Callable[[], None]) -> None:
        """See `Destination`: a second name of the file, or a copy that gets its name at the end."""
        target = self._path(key)
        make_folder(target.parent)
        faults.reach("store.begun")
        if not target.exists():
            try:
                # Another name of the same bytes: at once, and never over another file.
                os.link(path, target)
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._copy(path, target, check)
        _part(path, target).unlink(missing_ok=True)  # also of an engine that was killed while it copied
        fsync_folder(target.parent)
        faults.reach("store.named")
        if not _are_same(path, target, check):
            raise Taken(f"{target} has other bytes: nothing is overwritten.")

    def remove(self, key: str) -> None:
        """See `Destination`."""
        target = self._path(key)
        target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are there
            for folder in target.parents:
                if folder == self.folder:
                    break
                folder.rmdir()

    def href(self, key: str) -> str:
        """See `Destination`."""
        return f"{self.address.rstrip('/')}/{key}" if self.address else str(self._path(key))

    def place(self, key: str) -> ObjectFolder:
        """See `Destination`."""
        return at(self._path(key))

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise GeodesError(f"{key!r} is no key of an object: it is refused.")
        return self.folder.joinpath(*parts)

    def _copy(self, path: Path, target: Path, check: Callable[[], None]) -> None:
        check_room(target.parent, path.stat().st_size, self.room)
        part = _part(path, target)
        with path.open("rb", buffering=0) as source, part.open("wb", buffering=0) as copy:
            while data := source.read(_BLOCK):
                copy.write(data)
                check()
            os.fsync(copy.fileno())
        faults.reach("store.copied")
        try:
            os.link(part, target)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            part.rename(target)


@dataclass(frozen=True)
class Bucket:
    """A bucket of the lab's datalake; its settings and keys are the lab's own."""

    bucket: str
    prefix: str = ""
    address: str | None = None

    def put(self, path: Path, key: str, check: Callable[[], None]) -> None:
        """See `Destination`: an upload in parts, each with its checksum, which the server joins when all have come."""
        place, wanted = self._place(key), path.stat().st_size
        tag = _tag(path, _part_size(wanted), check)
        faults.reach("store.begun")
        try:
            if (there := self._about(place)) is None:
                there = self._uploaded(place, path)
        finally:
            # Of attempts that failed, and of an engine that was killed: this one alone works on the product now.
            uploads.end(place)
        faults.reach("store.named")
        if there is None or there["size"] != wanted or not self._is_right(place, path, there, tag, check):
            raise Taken(f"{place.href} has other bytes: nothing is overwritten.")

    def remove(self, key: str) -> None:
        """See `Destination`."""
        place = self._place(key)
        _wait(place, "remove", lambda: obstore.delete_async(place.store, place.path))

    def href(self, key: str) -> str:
        """See `Destination`."""
        return f"{self.address.rstrip('/')}/{key}" if self.address else self._place(key).href

    def place(self, key: str) -> ObjectFolder:
        """See `Destination`."""
        return at(self._place(key).href)

    def _place(self, key: str) -> ObjectLocation:
        whole = f"{self.prefix}/{key}" if self.prefix else key
        return ObjectLocation(f"s3://{self.bucket}/{whole}", "s3", self.bucket, whole)

    def _uploaded(self, place: ObjectLocation, path: Path) -> Any:
        failure = None
        try:
            with _turns:
                _wait(place, "store", lambda: _upload(place, path))
        except Unreachable as error:
            failure = error  # the object may be there all the same, if an answer was lost
        faults.reach("store.copied")
        there = self._about(place)
        if there is None and failure is not None:
            raise failure
        return there

    def _about(self, place: ObjectLocation) -> Any:
        try:
            return _wait(place, "find", lambda: obstore.head_async(place.store, place.path))
        except Unreachable as error:
            if "does not exist" in str(error):
                return None
            raise

    def _is_right(self, place: ObjectLocation, path: Path, there: Any, tag: str, check: Callable[[], None]) -> bool:
        known = str(there.get("e_tag") or "").strip('"')
        if re.fullmatch(r"[0-9a-f]{32}-\d+", known) and known.endswith(tag.partition("-")[2]) and "-" in tag:
            return known == tag
        # Its tag is no checksum of these parts, as with some servers: the bytes themselves are compared.
        with path.open("rb", buffering=0) as file:
            for start in range(0, there["size"], _BLOCK):
                check()
                length = min(_BLOCK, there["size"] - start)
                if place.read(start, length) != file.read(length):
                    return False
        return True


async def _upload(place: ObjectLocation, path: Path) -> None:
    await obstore.put_async(
        place.store,
        place.path,
        path,
        use_multipart=True,
        chunk_size=_part_size(path.stat().st_size),
        max_concurrency=_AT_ONCE,
    )


def _wait(place: ObjectLocation, verb: str, call: Callable[[], Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(place.ask(verb, call), event_loop.loop()).result()


def _part_size(size: int) -> int:
    return max(_PART, -(-size // _MOST))


def _tag(path: Path, part: int, check: Callable[[], None]) -> str:
    """Return the tag that S3 gives to an upload in such parts."""
    parts = []
    with path.open("rb", buffering=0) as file:
        for start in range(0, path.stat().st_size, part):
            digest = hashlib.md5(usedforsecurity=False)
            for at in range(start, min(start + part, path.stat().st_size), _BLOCK):
                digest.update(file.read(min(_BLOCK, start + part - at)))
                check()
            parts.append(digest.digest())
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(parts)}"


def _part(path: Path, target: Path) -> Path:
    """Return the name of a copy that is not whole yet."""
    return target.with_name(f".{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.part")


def _are_same(one: Path, other: Path, check: Callable[[], None]) -> bool:
    if one.samefile(other):
        return True
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        while data := first.read(_BLOCK):
            check()
            if second.read(len(data)) != data:
                return False
    return True
