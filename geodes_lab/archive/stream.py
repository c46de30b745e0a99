"""The bytes of a file in a zip, from the first to the last: inflated if it is compressed, verified at the end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from dask.utils import format_bytes

from geodes_lab.archive.central_directory import DEFLATED, STORED, Entry
from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError

_STEP = 2**23  # bytes of a request
_AHEAD = 4  # requests at the same time
_DISK = 2**21  # bytes that are read from a disk at once, which answers at once
_PIECE = 2**22  # bytes that are inflated at once
_RATIO = 1100  # Deflate expands a byte to 1032 at most
# Only images without data are packed so tightly, and they are small; a gigabyte of measurements is not.
_LARGE, _TIGHT = 2**30, 200
PLAIN = 0
"""The window of a file that is not compressed."""


class Whole(NamedTuple):
    """What a file in an archive promises to be."""

    size: int
    """Bytes."""
    crc: int
    """The CRC-32."""
    window: int
    """``wbits`` of `zlib`: -15 for raw Deflate, 31 for gzip, `PLAIN` for none."""


def promised(entry: Entry, name: str) -> Whole:
    """Return what a member of a zip promises to be.

    Raises
    ------
    GeodesError
        If it is compressed by an unsupported method; ``name`` is its name in the message.
    """
    if entry.method not in (STORED, DEFLATED):
        raise GeodesError(
            f"{name} is compressed by a method that is not supported ({entry.method}): pack the product again."
        )
    return Whole(entry.size, entry.crc, -15 if entry.method == DEFLATED else PLAIN)


def refuse(packed: Member, whole: Whole, name: str) -> None:
    """Refuse a file that claims to hold more than is possible, or than any measures do.

    Raises
    ------
    GeodesError
        One sentence with its name.
    """
    if whole.size > packed.size * _RATIO:
        raise GeodesError(f"{name} is damaged: it claims to hold {whole.size} bytes in {packed.size}; refused.")
    if whole.size > max(packed.size * _TIGHT, _LARGE) and whole.window != PLAIN:
        raise GeodesError(
            f"{name} would take {format_bytes(whole.size)} out of {format_bytes(packed.size)}, more than any measures "
            "do: refused; fetch the product again, or extract it yourself."
        )


def content(
    packed: Member, whole: Whole, name: str, result: Callable[[Future[bytes]], bytes] = Future.result
) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces; some requests run while earlier bytes are processed.

    Parameters
    ----------
    packed
        Its bytes in the archive.
    whole
        What it promises to be.
    name
        Its name in error messages.
    result
        Waits for a request.

    Raises
    ------
    GeodesError
        If it cannot be read; after the last piece, if it is not what it promises.
    """
    inflater = None if whole.window == PLAIN else zlib.decompressobj(whole.window)
    crc = size = 0
    for data in _coming(packed, name, result):
        try:
            for piece in [data] if inflater is None else _pieces(inflater, data):
                size, crc = size + len(piece), zlib.crc32(piece, crc)
                if size > whole.size:
                    raise zlib.error("it has more bytes than the zip states")
                yield piece
        except zlib.error as error:
            raise GeodesError(f"{name} is damaged ({error}); fetch the product again.") from None
    if size != whole.size or crc != whole.crc:
        raise GeodesError(f"{name} is damaged: its bytes differ from the checksum of the zip; fetch the product again.")


def _coming(packed: Member, name: str, result: Callable[[Future[bytes]], bytes]) -> Iterator[bytes]:
    step, ahead = (_DISK, 1) if packed.place.scheme == "file" else (_STEP, _AHEAD)
    starts = range(0, packed.size, step)
    for first in range(0, len(starts), ahead):
        ranges = [(packed.start + s, min(step, packed.size - s)) for s in starts[first : first + ahead]]
        for coming in packed.place.fetch(ranges):
            try:
                yield result(coming)
            except OSError as error:  # from the disk that is read, not the one that is written
                raise GeodesError(f"{name} could not be read ({error.strerror}): check its disk.") from error


def _pieces(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Inflate bytes, in small pieces: a few bytes may hold gigabytes."""
    full = True
    while full:
        piece = inflater.decompress(data, _PIECE)
        data, full = inflater.unconsumed_tail, len(piece) == _PIECE
        yield piece
