"""The list of a zip's members: read once at the zip's end, then kept on disk for all who read it; members by ranges."""

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

_RATIO = 1100  # Deflate makes a byte of no more than 1032
_SLACK = 256  # bytes of a local header behind the name, at most, with most writers
# On disk: magic, size of the zip, length of its tag, number of members; their records; tag and names, each ended by
# NUL.
_MAGIC, _HEAD, _RECORD = b"gzd\x01", struct.Struct("<4sQHI"), struct.Struct("<QQQIH?")
_T = TypeVar("_T")


class Damaged(GeodesError):
    """A member is not what the list says of it."""


@dataclass(frozen=True)
class Directory:
    """The members of one zip, as it was when the list was read."""

    place: ObjectLocation
    """The zip."""
    entries: dict[str, Entry]
    """By path; folders are none."""
    size: int
    """Bytes of the zip."""
    tag: str | None
    """What tells the zip from another that may take its name; None: a local file, or a server that does not tell."""

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of all members."""
        return frozenset(self.entries)

    def entry(self, name: str) -> Entry:
        """What the list says of a member.

        Raises
        ------
        GeodesError
            If there is none, it is encrypted, or it claims more bytes than can be in it.
        """
        found = self.entries.get(name)
        if found is None:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")
        if found.locked:
            raise GeodesError(f"{name} in {self.place.href} is encrypted, which is not read: pack it anew.")
        if found.size > found.packed * _RATIO and found.method == DEFLATED:
            raise GeodesError(
                f"{name} in {self.place.href} is damaged: it claims to hold {found.size} bytes in {found.packed}; "
                "refused."
            )
        return found

    def begin(self, name: str) -> int:
        """Where the bytes of a member begin, behind its local header; one request."""
        entry = self.entry(name)
        return entry.offset + self._behind(entry, self._fetch(entry, 0))

    def read(self, name: str, largest: int) -> bytes:
        """Read a member whole; one request. See `read`."""
        entry = self.entry(name)
        if entry.size > largest:
            raise GeodesError(f"{name} in {self.place.href} claims {entry.size} bytes, too many for metadata: refused.")
        if entry.method not in (STORED, DEFLATED):
            raise GeodesError(
                f"{name} in {self.place.href} is compressed in a way that is not read (method {entry.method}): pack "
                "it anew."
            )
        data = self._fetch(entry, entry.packed)
        skip = self._behind(entry, data)
        missing = skip + entry.packed - len(data)
        if missing > 0:
            data += self._coming(entry.offset + len(data), missing).result()
        data = data[skip : skip + entry.packed]
        try:
            inflater = zlib.decompressobj(-15)
            found = data if entry.method == STORED else inflater.decompress(data, entry.size + 1)
        except zlib.error as error:
            raise self._damaged(entry, str(error)) from None
        if len(found) != entry.size or zlib.crc32(found) != entry.crc:
            raise self._damaged(entry, "its bytes are not those that the zip says")
        return found

    def _fetch(self, entry: Entry, more: int) -> bytes:
        """The local header of a member, and so many bytes behind it."""
        length = HEADER + len(entry.name.encode()) + _SLACK + more
        return self._coming(entry.offset, min(length, self.size - entry.offset)).result()

    def _coming(self, start: int, length: int) -> Future[bytes]:
        return self.place.fetch([(start, length)], self.tag)[0]

    def _behind(self, entry: Entry, head: bytes) -> int:
        try:
            return behind(head)
        except NotUnderstood:
            raise self._damaged(entry, "it is not where the zip says") from None

    def _damaged(self, entry: Entry, problem: str) -> Damaged:
        return Damaged(f"{entry.name} in {self.place.href} is damaged ({problem}); fetch the product again.")

    def written(self) -> bytes:
        """All of it but the place, for the disk."""
        tag, entries = (self.tag or "").encode(), self.entries.values()
        records = b"".join(_RECORD.pack(*e[1:]) for e in entries)
        head = _HEAD.pack(_MAGIC, self.size, len(tag), len(entries))
        return zlib.compress(head + records + tag + "\0".join(self.entries).encode(), 1)

    @classmethod
    def loaded(cls, place: ObjectLocation, data: bytes) -> Directory:
        """Take it from what `written` gave.

        Raises ``ValueError``, ``struct.error`` or ``zlib.error`` if that is damaged.
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
    """Of a member how far behind the begin of its local header it begins itself.

    Parameters
    ----------
    head
        The zip from that header, 30 bytes at least.

    Raises
    ------
    NotUnderstood
        If no local header begins there.
    """
    if len(head) < HEADER or head[:4] != b"PK\x03\x04":
        raise NotUnderstood("no local header of a zip where the directory says")
    return HEADER + sum(struct.unpack_from("<HH", head, 26))


def of(place: ObjectLocation) -> Directory:
    """The members of a zip: known to this process, else kept on disk, else read; two requests at most, as a rule.

    Raises
    ------
    GeodesError
        If it is no zip, is cut or damaged, or holds what no product does; see `listing.read`.
    """
    try:
        kept = place.cache_path("archive", "")  # of a local zip, as it is now
    except OSError as error:
        raise _out_of_reach(place, error) from error
    return _of(place, kept)


def lasting(place: ObjectLocation, use: Callable[[Directory], _T]) -> _T:
    """Use the list of members; where it turns out to be that of an earlier object, read it anew and use that."""
    known = of(place)
    try:
        return use(known)
    except OSError as error:
        raise _out_of_reach(place, error) from error
    except (Damaged, Unreachable):
        _of.cache_clear()
        place.cache_path("archive", "").unlink(missing_ok=True)
        found = of(place)
        if found == known:
            raise
    return use(found)


def read(place: ObjectLocation, name: str, largest: int) -> bytes:
    """Read a small member of a zip whole; one request, once the members are known.

    Raises
    ------
    GeodesError
        If it is missing, encrypted, damaged, or larger than ``largest`` bytes.
    """
    return lasting(place, lambda members: members.read(name, largest))


def stored(path: str) -> tuple[int, int] | None:
    """Where a stored member lies in its zip: offset of its local header, and its size.

    Parameters
    ----------
    path
        By which GDAL opens the file, ``/vsizip/{zip}/member`` if it is a member.

    Returns
    -------
    tuple of int, or None
        None for a member that is compressed, and for a file of its own.

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
    return GeodesError(f"{place.href} may not be read ({error.strerror}): check the path and its permissions.")


@lru_cache(maxsize=256)
def _of(place: ObjectLocation, kept: Path) -> Directory:
    try:
        return Directory.loaded(place, kept.read_bytes())
    except (OSError, zlib.error, struct.error, ValueError):
        pass
    found = Directory(place, *central_directory.read(place))
    # Of a server that gives no tag too: a member is held against the list whenever it is read.
    write_whole(kept, found.written())
    return found
