"""The list of members at the end of a zip: read by zipfile, and checked against what a product may contain."""

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
_LARGEST = 2**24  # bytes of the list, for a hundred thousand members
_MOST = 100_000  # members; a SAFE has some hundred
_LONGEST = 1024  # characters of a path; patterns are searched for in each


class Entry(NamedTuple):
    """The entry of one member in the list."""

    name: str
    """Its path."""
    offset: int
    """The offset of its local header in the zip."""
    packed: int
    """Its compressed size in bytes."""
    size: int
    """Its size in bytes."""
    crc: int
    """The CRC-32 of its bytes."""
    method: int
    """The compression method."""
    locked: bool
    """Whether it is encrypted."""


def read(place: ObjectLocation) -> tuple[dict[str, Entry], int, str | None]:
    """Read the list of members; two requests, or more for many hundreds of members.

    Returns
    -------
    members : dict
        By path; without folders.
    size : int
        Bytes of the zip.
    tag : str or None
        Identifies this version of the zip.

    Raises
    ------
    GeodesError
        If it is not a zip, is truncated or damaged, or holds what no product has: a path that climbs out of it, a link,
        the same path twice, or nothing but other zips.
    """
    file = _Bounded(place)
    try:
        with zipfile.ZipFile(io.BufferedReader(file, 2**16)) as archive:
            infos, end = archive.infolist(), archive.start_dir
        if any(not 0 <= i.header_offset <= end - HEADER - i.compress_size for i in infos):
            raise ValueError("members beyond its end")
    except zipfile.BadZipFile:
        if not file.size:
            problem = "is empty (0 bytes), not a zip; fetch it again"
        elif place.read(0, min(4, file.size)) == b"PK\x03\x04":
            problem = (
                f"is cut off after {file.size} bytes: the directory at the end of the zip is missing; fetch it again"
            )
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
            f"{place.href} contains {len(entries)} other zips, such as {min(entries)}: unpack it, and give one of them."
        )
    return entries, file.size, file.tag


def _checked(place: ObjectLocation, infos: list[zipfile.ZipInfo]) -> Iterator[Entry]:
    limits.refuse(place.href, len(infos), _MOST, "members")
    _refuse_overlap(place, infos)
    before: dict[str, Entry] = {}
    for info in infos:
        # Some Windows packers write backslashes; GDAL reads them as slashes too.
        name = info.filename.replace("\\", "/")
        path = PurePosixPath(name)
        if len(name) > _LONGEST or "\0" in name:
            raise GeodesError(
                f"{place.href} contains a path of {len(name)} characters, {name[:60]!r}…; no product has such "
                "paths, so it is refused."
            )
        if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
            raise GeodesError(f"{place.href} contains the path {name!r}, which leads out of the zip: refused.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise GeodesError(f"{place.href} contains the link {name!r}, which may lead out of the zip: refused.")
        if name.endswith("/"):
            continue
        locked = bool(info.flag_bits & 1)
        if info.compress_type == STORED and info.compress_size != info.file_size and not locked:
            raise GeodesError(
                f"{place.href} gives two sizes for {name!r}: the zip is damaged; fetch the product again."
            )
        if info.compress_size > info.file_size + info.file_size // 8 + 2**16:
            raise GeodesError(
                f"{name} in {place.href} is larger than the whole zip: the zip is damaged; fetch the product again."
            )
        entry = Entry(
            name, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type, locked
        )
        # Equal checksums prove nothing: of two members with one name, some libraries read the first, and others the
        # last.
        if before.setdefault(name, entry) != entry:
            raise GeodesError(
                f"{place.href} contains {name!r} twice, and the two may differ: refused; fetch the product again."
            )
        yield entry


def _refuse_overlap(place: ObjectLocation, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes: a small zip could hold petabytes in this way."""
    ranges = sorted({(i.header_offset, i.compress_size, i.filename) for i in infos})
    for (begin, size, name), (after, _, other) in pairwise(ranges):
        if begin + HEADER + size > after:
            raise GeodesError(
                f"{place.href} has {other!r} inside the file {name!r}, which is not possible in a product: "
                "refused; fetch it again."
            )


class _Bounded(Ranges):
    """The zip while its list of members is read: the list may not be larger than that of any product."""

    _left = _LARGEST

    def readinto(self, buffer: Any) -> int:
        self._left -= len(buffer)
        if self._left < 0:
            raise ValueError("it is larger than the list of any product")
        return super().readinto(buffer)
