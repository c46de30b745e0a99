"""Compressed files, in a zip or by gzip: extracted once into the user's cache, and read there."""

from __future__ import annotations

import struct
import warnings

from dask.utils import format_bytes

from geodes_lab.archive import stream
from geodes_lab.archive.central_directory import Entry
from geodes_lab.archive.member import Member
from geodes_lab.archive.stream import Whole
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage import file_cache
from geodes_lab.storage.file_cache import CacheFull, Part
from geodes_lab.storage.location import place_of
from geodes_lab.storage.resolve import Fetched
from geodes_lab.util.progress import bar


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
    whole = stream.promised(entry, name)
    part = f"{entry.name}|{entry.offset}|{entry.crc}"
    return _kept(packed, part, name, entry.name.rsplit("/", 1)[-1], whole)


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
    return _kept(packed, f"{packed.start}|{crc}", name, plain, Whole(size, crc, 31))


def _kept(packed: Member, part: str, name: str, plain: str, whole: Whole) -> Member:
    """Extract a file, unless the cache has it or another thread or process is extracting it."""
    key = packed.place.cache_path("members", part).name
    target = file_cache.path_of(key, f"-{plain}")
    extracted = Member(place_of(str(target)), 0, whole.size)
    if file_cache.is_cached(target, whole.size):
        return extracted
    stream.refuse(packed, whole, name)
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


def _extract(packed: Member, whole: Whole, part_file: Part, name: str) -> None:
    size = 0
    with bar(name.rsplit("/", 1)[-1]) as tell:
        for piece in stream.content(packed, whole, name):
            part_file.file.write(piece)
            size += len(piece)
            tell(size, whole.size)
