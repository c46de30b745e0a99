"""The list of a zip's members: read once at the zip's end, then cached on disk; members are read by ranges."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

from geodes_lab.archive import central_directory
from geodes_lab.archive.central_directory import DEFLATED, HEADER, STORED, Entry
from geodes_lab.errors import GeodesError, NotUnderstood
from geodes_lab.storage.location import object_of
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.util.whole_file import write_whole

_RATIO = 1100  # Deflate expands a byte to 1032 at most
_SLACK = 256  # bytes of a local header after the name, at most, from most writers
# On disk: magic, size of the zip, length of its tag, number of members; their records; tag and names, each terminated
# by NUL.
_MAGIC, _HEAD, _RECORD = b"gzd\x01", struct.Struct("<4sQHI"), struct.Struct("<QQQIH?")
_T = TypeVar("_T")


class Damaged(GeodesError):
    """A member differs from its entry in the list."""


@dataclass(frozen=True)
class Directory:
    """The members of one zip, at the time when the list was read."""

    place: ObjectLocation
    """The zip."""
    entries: dict[str, Entry]
    """By path; without folders."""
    size: int
    """Bytes of the zip."""
    tag: str | None
    """Identifies this version of the zip; None: a local file, or a server without tags."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the paths of all members."""
        return frozenset(self.entries)

    def entry(self, name: str) -> Entry:
        """Return the entry of a member.

        Raises
        ------
        GeodesError
            If the zip has no such member, it is encrypted, or it claims to hold more bytes than is possible.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")
        if entry.locked:
            raise GeodesError(
                f"{name} in {self.place.href} is encrypted, which is not supported: pack the product again without "
                "encryption."
            )
        if entry.size > entry.packed * _RATIO and entry.method == DEFLATED:
            raise GeodesError(
                f"{name} in {self.place.href} is damaged: it claims to hold {entry.size} bytes in {entry.packed} "
                "compressed bytes. It is refused; fetch the product again."
            )
        return entry

    def begin(self, name: str) -> int:
        """Return the offset of a member's data, after its local header; one request."""
        entry = self.entry(name)
        return entry.offset + self._behind(entry, self._fetch(entry, 0))

    def read(self, name: str, largest: int) -> bytes:
        """Read a member as a whole; one request. See `read`."""
        entry = self.entry(name)
        if entry.size > largest:
            raise GeodesError(
                f"{name} in {self.place.href} claims {entry.size} bytes; metadata are never so large. It is not read: "
                "fetch the product again."
            )
        if entry.method not in (STORED, DEFLATED):
            raise GeodesError(
                f"{name} in {self.place.href} is compressed by a method that is not supported ({entry.method}): pack "
                "the product again, without compression or with Deflate."
            )
        data = self._fetch(entry, entry.packed)
        skip = self._behind(entry, data)
        missing = skip + entry.packed - len(data)
        if missing > 0:
            data += self._coming(entry.offset + len(data), missing).result()
        data = data[skip : skip + entry.packed]
        try:
            inflater = zlib.decompressobj(-15)
            content = data if entry.method == STORED else inflater.decompress(data, entry.size + 1)
        except zlib.error as error:
            raise self._damaged(entry, str(error)) from None
        if len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise self._damaged(entry, "its bytes differ from the checksum of the zip")
        return content

    def _fetch(self, entry: Entry, more: int) -> bytes:
        """Return the local header of a member, and the given number of bytes after it."""
        length = HEADER + len(entry.name.encode()) + _SLACK + more
        return self._coming(entry.offset, min(length, self.size - entry.offset)).result()

    def _coming(self, start: int, length: int) -> Future[bytes]:
        return self.place.fetch([(start, length)], self.tag)[0]

    def _behind(self, entry: Entry, head: bytes) -> int:
        try:
            return behind(head)
        except NotUnderstood:
            raise self._damaged(entry, "it is not at the place that the zip gives") from None

    def _damaged(self, entry: Entry, problem: str) -> Damaged:
        return Damaged(f"{entry.name} in {self.place.href} is damaged ({problem}); fetch the product again.")

    def written(self) -> bytes:
        """Serialise everything but the location, for the disk."""
        tag, entries = (self.tag or "").encode(), self.entries.values()
        records = b"".join(_RECORD.pack(*e[1:]) for e in entries)
        head = _HEAD.pack(_MAGIC, self.size, len(tag), len(entries))
        return zlib.compress(head + records + tag + "\0".join(self.entries).encode(), 1)

    @classmethod
    def loaded(cls, place: ObjectLocation, data: bytes) -> Directory:
        """Read what `written` returned.

        Raises ``ValueError``, ``struct.error`` or ``zlib.error`` if it is damaged.
        """
        data = zlib.decompress(data)
        magic, size, tagged, count = _HEAD.unpack_from(data)
        at = _HEAD.size + count * _RECORD.size
        names = data[at + tagged :].decode().split("\0")
        if magic != _MAGIC or len(names) != count:
            raise ValueError("of another version")
        records = zip(names, _RECORD.iter_unpack(data[_HEAD.size : at]), strict=True)
        entries = {name: Entry(name, *record) for name, record in records}
        return cls(place, entries, size, data[at : at + tagged].decode() or None)


def behind(head: bytes) -> int:
    """Return the offset of a member's data from its local header.

    Parameters
    ----------
    head
        The zip from that header on, at least 30 bytes.

    Raises
    ------
    NotUnderstood
        If the bytes do not begin with a local header.
    """
    if len(head) < HEADER or head[:4] != b"PK\x03\x04":
        raise NotUnderstood("no local header of a zip where the directory says")
    return HEADER + sum(struct.unpack_from("<HH", head, 26))


def of(place: ObjectLocation) -> Directory:
    """Return the members of a zip: known to this process, else cached on disk, else read; usually at most two requests.

    Raises
    ------
    GeodesError
        If it is not a zip, is truncated or damaged, or holds what no product has; see
        `geodes_lab.archive.central_directory.read`.
    """
    try:
        cache_file = place.cache_path("archive", "")  # depends on the time of change of a local zip
    except OSError as error:
        raise _out_of_reach(place, error) from error
    return _of(place, cache_file)


def lasting(place: ObjectLocation, use: Callable[[Directory], _T]) -> _T:
    """Use the list of members; if it turns out to be outdated, read it again and use the new one."""
    known = of(place)
    try:
        return use(known)
    except OSError as error:
        raise _out_of_reach(place, error) from error
    except (Damaged, Unreachable):
        _of.cache_clear()
        place.cache_path("archive", "").unlink(missing_ok=True)
        directory = of(place)
        if directory == known:
            raise
    return use(directory)


def read(place: ObjectLocation, name: str, largest: int) -> bytes:
    """Read a small member of a zip as a whole; one request, once the members are known.

    Raises
    ------
    GeodesError
        If it is missing, encrypted, damaged, or larger than ``largest`` bytes.
    """
    return lasting(place, lambda members: members.read(name, largest))


def stored(path: str) -> tuple[int, int] | None:
    """Return the range of a stored member in its zip: offset of its local header, and its size.

    Parameters
    ----------
    path
        The path by which GDAL opens the file, ``/vsizip/{zip}/member`` if it is a member.

    Returns
    -------
    tuple of int, or None
        None for a compressed member, and for a file of its own.

    Raises
    ------
    GeodesError
        If the zip cannot be read, or has no such member.
    """
    if not path.startswith("/vsizip/{"):
        return None
    entry = of(object_of(path)).entry(path.partition("}/")[2])
    return (entry.offset, entry.size) if entry.method == STORED else None


def _out_of_reach(place: ObjectLocation, error: OSError) -> GeodesError:
    return GeodesError(f"{place.href} cannot be read ({error.strerror}): check the path and its permissions.")


@lru_cache(maxsize=256)
def _of(place: ObjectLocation, cache_file: Path) -> Directory:
    try:
        return Directory.loaded(place, cache_file.read_bytes())
    except (OSError, zlib.error, struct.error, ValueError):
        pass
    directory = Directory(place, *central_directory.read(place))
    # The server may give no tag: each read of a member is checked against the list.
    write_whole(cache_file, directory.written())
    return directory
