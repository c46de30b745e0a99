"""Compressed files, in a zip or by gzip: extracted once into the user's cache, and read there."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from dask.utils import format_bytes

from geodes_lab.archive.central_directory import DEFLATED, Entry
from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage import file_cache
from geodes_lab.storage.file_cache import CacheFull, Part
from geodes_lab.storage.location import place_of
from geodes_lab.storage.resolve import Fetched
from geodes_lab.util.progress import bar

_STEP = 2**23  # bytes of a request
_AHEAD = 4  # requests at the same time
_PIECE = 2**22  # bytes that are inflated at once
_RATIO = 1100  # Deflate expands a byte to 1032 at most
# Only images without data are packed so tightly, and they are small; a gigabyte of measurements is not.
_LARGE, _TIGHT = 2**30, 200


def member(packed: Member, entry: Entry) -> Member:
    """Extract a member, unless the cache has it.

    Parameters
    ----------
    packed
        Its compressed bytes.
    entry
        Its entry in the zip's list.

    Returns
    -------
    Member
        The file on disk. A `Fetched` warning says what was extracted, its size and its path.

    Raises
    ------
    GeodesError
        If it is damaged, compressed by an unsupported method, or larger than its entry says; or the disk has no space
        for it.
    """
    name = f"{entry.name} in {packed.place.href}"
    if entry.method != DEFLATED:
        raise GeodesError(
            f"{name} is compressed by a method that is not supported ({entry.method}): pack the product again, "
            "without compression or with Deflate."
        )
    part = f"{entry.name}|{entry.offset}|{entry.crc}"
    return _kept(packed, part, name, entry.name.rsplit("/", 1)[-1], _Whole(entry.size, entry.crc, -15))


def gunzipped(packed: Member, name: str) -> Member:
    """Decompress a file of gzip, unless the cache has it.

    Parameters
    ----------
    packed
        Its bytes.
    name
        Its name in error messages; without its last suffix, ``.gz``, it is the end of the name on disk.

    Returns
    -------
    Member
        The file on disk. A `Fetched` warning says what was extracted, its size and its path.

    Raises
    ------
    GeodesError
        If it is not such a file, is damaged, holds several files, or one of 4 GiB and more; or the disk has no space
        for it.
    """
    if packed.size < 20 or packed.read(0, 3) != b"\x1f\x8b\x08":
        raise GeodesError(f"{name} is not a gzip file ({packed.size} bytes): fetch the product again.")
    crc, size = struct.unpack("<II", packed.read(packed.size - 8, 8))
    plain = name.rsplit("/", 1)[-1].removesuffix(".gz")
    return _kept(packed, f"{packed.start}|{crc}", name, plain, _Whole(size, crc, 31))


class _Whole(NamedTuple):
    """What a compressed file promises to be."""

    size: int
    crc: int
    window: int
    """``wbits`` of `zlib`: -15 for raw Deflate, 31 for gzip."""


def _kept(packed: Member, part: str, name: str, plain: str, whole: _Whole) -> Member:
    """Extract a file, unless the cache has it or another thread or process is extracting it."""
    key = packed.place.cache_path("members", part).name
    target = file_cache.path_of(key, f"-{plain}")
    extracted = Member(place_of(str(target)), 0, whole.size)
    if file_cache.is_cached(target, whole.size):
        return extracted
    if whole.size > packed.size * _RATIO:
        raise GeodesError(
            f"{name} is damaged: it claims to hold {whole.size} bytes in {packed.size} compressed bytes. It is "
            "refused; fetch the product again."
        )
    if whole.size > max(packed.size * _TIGHT, _LARGE):
        raise GeodesError(
            f"{name} would grow from {format_bytes(packed.size)} to {format_bytes(whole.size)}, more than real data "
            "ever do. It is refused: fetch the product again, or extract it yourself."
        )
    try:
        with file_cache.making(file_cache.path_of(key, ".part"), whole.size) as part_file:
            if file_cache.is_cached(target, whole.size):
                return extracted
            part_file.reserve(whole.size)
            _extract(packed, whole, part_file, name)
            part_file.keep(target)
    except CacheFull as error:
        raise GeodesError(f"{name} is compressed and could not be extracted: {error}.") from error
    warnings.warn(
        shown(f"{name} is compressed, so the whole file was extracted ({format_bytes(whole.size)}) to {target}."),
        Fetched,
        stacklevel=5,
    )
    return extracted


def _extract(packed: Member, whole: _Whole, part_file: Part, name: str) -> None:
    inflater, crc, size = zlib.decompressobj(whole.window), 0, 0
    with bar(name.rsplit("/", 1)[-1]) as tell:
        for data in _coming(packed, name):
            try:
                for piece in _pieces(inflater, data):
                    size, crc = size + len(piece), zlib.crc32(piece, crc)
                    if size > whole.size:
                        raise zlib.error("it has more bytes than the zip states")
                    part_file.file.write(piece)
            except zlib.error as error:
                raise GeodesError(f"{name} is damaged ({error}); fetch the product again.") from None
            tell(size, whole.size)
    if size != whole.size or crc != whole.crc:
        raise GeodesError(f"{name} is damaged: its bytes differ from the checksum of the zip; fetch the product again.")


def _coming(packed: Member, name: str) -> Iterator[bytes]:
    """Return the compressed bytes, in order; some requests run while earlier bytes are processed."""
    starts = range(0, packed.size, _STEP)
    for first in range(0, len(starts), _AHEAD):
        ranges = [(packed.start + s, min(_STEP, packed.size - s)) for s in starts[first : first + _AHEAD]]
        for coming in packed.place.fetch(ranges):
            try:
                yield coming.result()
            except OSError as error:  # from the disk that is read, not the one that is written
                raise GeodesError(f"{name} could not be read ({error.strerror}): check its disk.") from error


def _pieces(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Inflate bytes, in small pieces: a few bytes may hold gigabytes."""
    full = True
    while full:
        piece = inflater.decompress(data, _PIECE)
        data, full = inflater.unconsumed_tail, len(piece) == _PIECE
        yield piece
