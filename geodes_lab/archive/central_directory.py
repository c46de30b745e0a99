"""What a zip says of its members, at its end: read by zipfile, and held against what a product may be."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from geodes_lab.errors import GeodesError
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.range_file import Ranges
from geodes_lab.util import limits

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
HEADER = 30
"""Bytes of a local header before the name."""
_LARGEST = 2**24  # bytes of the list: of a hundred thousand members
_MOST = 100_000  # members; those of SAFE are some hundred
_LONGEST = 1024  # characters of a path; patterns are looked for in each


class Entry(NamedTuple):
    """What the list says of one member."""

    name: str
    """Its path."""
    offset: int
    """Where its local header begins in the zip."""
    packed: int
    """Its bytes in the zip."""
    size: int
    """Its bytes."""
    crc: int
    """Their CRC-32."""
    method: int
    """How it is compressed."""
    locked: bool
    """Whether it is encrypted."""


def read(place: ObjectLocation) -> tuple[dict[str, Entry], int, str | None]:
    """Read the list of members; two requests, more if there are many hundreds of them.

    Returns
    -------
    members : dict
        By path; folders are none.
    size : int
        Bytes of the zip.
    tag : str or None
        What tells it from another that may take its name.

    Raises
    ------
    GeodesError
        If it is no zip, is cut or damaged, or holds what no product does: a path that climbs out of it, a link, the
        same path twice, or nothing but other zips.
    """
    file = _Bounded(place)
    try:
        with zipfile.ZipFile(io.BufferedReader(file, 2**16)) as found:
            infos, end = found.infolist(), found.start_dir
        if any(not 0 <= i.header_offset <= end - HEADER - i.compress_size for i in infos):
            raise ValueError("members beyond its end")
    except zipfile.BadZipFile:
        if not file.size:
            problem = "is not a zip (0 bytes): it is empty; fetch it again"
        elif place.read(0, min(4, file.size)) == b"PK\x03\x04":
            problem = f"is truncated: {file.size} bytes, without the directory that ends a zip; fetch it again"
        else:
            problem = f"is not a zip ({file.size} bytes); check the address"
        raise GeodesError(f"{place.href} {problem}.") from None
    except (ValueError, OverflowError, NotImplementedError, struct.error, MemoryError, EOFError) as error:
        raise GeodesError(
            f"The list of members of {place.href} is damaged ({error}): fetch the product again."
        ) from None
    entries = {e.name: e for e in _checked(place, infos)}
    if not entries:
        raise GeodesError(f"{place.href} is a zip without a file in it: fetch the product again.")
    if all(name.lower().endswith(".zip") for name in entries):
        raise GeodesError(
            f"{place.href} holds {len(entries)} other zips, such as {min(entries)}: unpack it, and give one."
        )
    return entries, file.size, file.tag


def _checked(place: ObjectLocation, infos: list[zipfile.ZipInfo]) -> Iterator[Entry]:
    limits.refuse(place.href, len(infos), _MOST, "members")
    _refuse_overlap(place, infos)
    before: dict[str, Entry] = {}
    for info in infos:
        # Some packers of Windows write backslashes; GDAL too takes them for what they mean.
        name = info.filename.replace("\\", "/")
        path = PurePosixPath(name)
        if len(name) > _LONGEST or "\0" in name:
            raise GeodesError(
                f"{place.href} holds a path of {len(name)} characters, {name[:60]!r}…, which no product does: refused."
            )
        if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
            raise GeodesError(f"{place.href} holds the path {name!r}, which climbs out of it: refused.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise GeodesError(f"{place.href} holds the link {name!r}, which may lead out of it: refused.")
        if name.endswith("/"):
            continue
        locked = bool(info.flag_bits & 1)
        if info.compress_type == STORED and info.compress_size != info.file_size and not locked:
            raise GeodesError(f"{place.href} says two sizes of {name!r}: it is damaged; fetch the product again.")
        if info.compress_size > info.file_size + info.file_size // 8 + 2**16:
            raise GeodesError(
                f"{name} in {place.href} takes more bytes than it holds: it is damaged; fetch the product again."
            )
        entry = Entry(
            name, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type, locked
        )
        # A sum that is claimed proves nothing: of two members of one name some libraries read the first, and others the
        # last.
        if before.setdefault(name, entry) != entry:
            raise GeodesError(f"{place.href} holds {name!r} twice, which may differ: refused; fetch the product again.")
        yield entry


def _refuse_overlap(place: ObjectLocation, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes: so a small zip holds petabytes."""
    found = sorted({(i.header_offset, i.compress_size, i.filename) for i in infos})
    for (begin, size, name), (after, _, other) in pairwise(found):
        if begin + HEADER + size > after:
            raise GeodesError(
                f"{place.href} has {other!r} inside of {name!r}, as no product does: refused; fetch it again."
            )


class _Bounded(Ranges):
    """The zip, as its list of members is read: whatever it claims to be its list, no more than that of any product."""

    _left = _LARGEST

    def readinto(self, buffer: Any) -> int:
        self._left -= len(buffer)
        if self._left < 0:
            raise ValueError("it is larger than that of any product")
        return super().readinto(buffer)
