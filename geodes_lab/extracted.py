"""Files that are compressed, in a zip or by gzip: extracted once, whole, into the user's cache, and read there."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from dask.utils import format_bytes

from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError
from geodes_lab.member import Member
from geodes_lab.replica import Fetched

_STEP = 2**23  # bytes of a request
_AHEAD = 4  # requests under way together


def member(packed: Member, info: zipfile.ZipInfo) -> Member:
    """Extract a member, unless that was done before.

    Parameters
    ----------
    packed
        Its compressed bytes.
    info
        What the zip says of it.

    Returns
    -------
    Member
        The file on disk. A `Fetched` warning says what was extracted, how large it is and where it is kept.

    Raises
    ------
    GeodesError
        If it is damaged, compressed in a way that is not read, or larger than it says.
    """
    name = f"{info.filename} in {packed.place.href}"
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise GeodesError(
            f"{name} is compressed in a way that is not read (method {info.compress_type}): pack it anew."
        )
    part = f"{info.filename}|{info.header_offset}|{info.CRC}"
    return _kept(packed, part, name, Path(info.filename).suffix, _Whole(info.file_size, info.CRC, -15))


def gunzipped(packed: Member, name: str) -> Member:
    """Extract a file that gzip has compressed, unless that was done before.

    Parameters
    ----------
    packed
        Its bytes.
    name
        What sentences call it; without its last suffix, ``.gz``, it ends as the file on disk will.

    Returns
    -------
    Member
        The file on disk. A `Fetched` warning says what was extracted, how large it is and where it is kept.

    Raises
    ------
    GeodesError
        If it is no such file, is damaged, or holds several files, or one of 4 GiB and more.
    """
    if packed.size < 20 or packed.read(0, 3) != b"\x1f\x8b\x08":
        raise GeodesError(f"{name} is not compressed by gzip ({packed.size} bytes): fetch the product again.")
    crc, size = struct.unpack("<II", packed.read(packed.size - 8, 8))
    suffix = Path(name.removesuffix(".gz")).suffix
    return _kept(packed, f"{packed.start}|{crc}", name, suffix, _Whole(size, crc, 31))


class _Whole(NamedTuple):
    """What a compressed file says that it will be."""

    size: int
    crc: int
    window: int
    """Of `zlib`: -15 for bare Deflate, 31 for gzip."""


def _kept(packed: Member, part: str, name: str, suffix: str, whole: _Whole) -> Member:
    target = packed.place.kept("members", part).with_suffix(suffix)
    if not (target.exists() and target.stat().st_size == whole.size):
        target.parent.mkdir(parents=True, exist_ok=True)
        part_of_it = target.with_suffix(".part")
        _inflate(packed, whole, part_of_it, name)
        part_of_it.replace(target)
        warnings.warn(
            f"{name} is compressed, so it was extracted whole ({format_bytes(whole.size)}); it is kept as {target}.",
            Fetched,
            stacklevel=5,
        )
    return Member(locate(target), 0, whole.size)


def _inflate(packed: Member, whole: _Whole, path: Path, name: str) -> None:
    inflater, crc, size = zlib.decompressobj(whole.window), 0, 0
    starts = range(0, packed.size, _STEP)
    with path.open("wb") as file:
        for first in range(0, len(starts), _AHEAD):
            ranges = [(packed.start + s, min(_STEP, packed.size - s)) for s in starts[first : first + _AHEAD]]
            for coming in packed.place.fetch(ranges):
                try:
                    data = inflater.decompress(coming.result(), whole.size + 1 - size)
                except zlib.error as error:
                    raise GeodesError(f"{name} is damaged ({error}); fetch the product again.") from None
                size, crc = size + len(data), zlib.crc32(data, crc)
                if size > whole.size:
                    break
                file.write(data)
    if size != whole.size or crc != whole.crc:
        raise GeodesError(f"{name} is damaged: it inflates to other bytes than it says; fetch the product again.")
