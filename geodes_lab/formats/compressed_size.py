"""How many bytes compressed data hold, without decompressing them all at once.

A few kilobytes may claim gigabytes.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Protocol

_PIECE = 2**20  # bytes that are decompressed at once, and discarded
_BLOCK = 2**17  # bytes that a block of zstd can hold
_MEMORY = 2**27  # bytes that a decompressor may use


class Decompressor(Protocol):
    """The interface of the decompressors in Python's standard library."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Decompress more data."""


def held(way: str, data: bytes, most: int) -> int:
    """Return how many bytes a frame holds, or an upper limit.

    Parameters
    ----------
    way
        ``blosc``, ``lz4``, ``zstd``, ``gzip``, ``zlib``, ``bz2`` or ``lzma``, as numcodecs and Zarr write them.
    data
        The frame.
    most
        The limit of interest: the count may stop beyond it.

    Raises
    ------
    ValueError
        If the frame is damaged.
    """
    try:
        return _WAYS[way](data, most)
    except (struct.error, IndexError, zlib.error, OSError, EOFError, lzma.LZMAError) as error:
        raise ValueError(str(error) or "it ends too early") from None


def _blosc(data: bytes, _: int) -> int:
    size, _, packed = struct.unpack_from("<III", data, 4)
    if packed != len(data):  # the decompressor would continue with the memory behind it
        raise ValueError("it ends too early")
    return int(size)


def _lz4(data: bytes, _: int) -> int:
    return int(struct.unpack_from("<I", data)[0])


def _zstd(data: bytes, most: int) -> int:
    """Return the sum from the frames' headers; where a header has no size, from its blocks."""
    at = total = 0
    while at < len(data):
        magic = struct.unpack_from("<I", data, at)[0]
        if magic & 0xFFFFFFF0 == 0x184D2A50:  # a frame to skip
            at += 8 + int(struct.unpack_from("<I", data, at + 4)[0])
            continue
        if magic != 0xFD2FB528:
            raise ValueError("it is not a zstd frame")
        flags = data[at + 4]
        is_single, wide = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
        wide = wide or is_single
        at += 5 + (not is_single) + (0, 1, 2, 4)[flags & 3]
        size_in_header = int.from_bytes(data[at : at + wide], "little") + (256 if wide == 2 else 0)
        at, blocks, is_last = at + wide, 0, False
        while not is_last:
            head = int.from_bytes(data[at : at + 3], "little")
            if at + 3 > len(data):
                raise ValueError("it ends too early")
            is_last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
            blocks += _BLOCK if kind == 2 else size
            at += 3 + (1 if kind == 1 else size)
            if total + blocks > most + _BLOCK and not wide:
                return total + blocks
        at += 4 * (flags >> 2 & 1)
        total += max(size_in_header, 0) if wide else blocks
        if total > most:
            return total
    return total


def _counted(make: Callable[[], Decompressor], several: bool) -> Callable[[bytes, int], int]:
    def count(data: bytes, most: int) -> int:
        total, rest = 0, data
        while rest:
            inflater = make()
            total, rest = _count(inflater, rest, total, most)
            if total > most or not several:
                break
            rest = rest.lstrip(b"\0")
        return total

    return count


def _count(inflater: Decompressor, data: bytes, total: int, most: int) -> tuple[int, bytes]:
    """Decompress one stream, and count its bytes."""
    while True:
        piece = inflater.decompress(data, _PIECE)
        total += len(piece)
        data = getattr(inflater, "unconsumed_tail", b"")  # only zlib has this: the others keep it inside
        if total > most or inflater.eof:  # type: ignore[attr-defined]
            return total, inflater.unused_data  # type: ignore[attr-defined]
        if not piece and not data:
            raise ValueError("it ends too early")


_WAYS: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": _counted(lambda: zlib.decompressobj(31), True),
    "zlib": _counted(lambda: zlib.decompressobj(15), False),
    "bz2": _counted(bz2.BZ2Decompressor, True),
    "lzma": _counted(lambda: lzma.LZMADecompressor(memlimit=_MEMORY), True),
}
"""Counters, by the names of numcodecs and Zarr."""
WAYS = frozenset(_WAYS)
"""The compressors whose frames are understood."""
