"""How much memory a JPEG 2000 needs to be decoded, according to its markers.

A few bytes can ask for billions of code-blocks and precincts.

See ISO 15444-1, annexes A and B. OpenJPEG allocates some hundred bytes for each, before it reads coded data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from geodes_lab.errors import GeodesError
from geodes_lab.formats.jpeg2000.codestream import SOC_SIZ, SOT
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.util import limits

_BLOCKS = 2**20  # code-blocks of a tile; 1024² in blocks of 4², the smallest, are 65 536
UNSEEN = 2**22
"""Numbers of a tile whose own header is not checked: even code-blocks of one pixel would be acceptable."""
_PARTS = 4096  # tile-parts whose headers are checked
_HEAD, _LONG_HEAD = 4096, 2**18  # bytes of a header that are read: at first, and if it is longer
_COD, _COC, _SOD, _PLT, _COM = 0xFF52, 0xFF53, 0xFF93, 0xFF58, 0xFF64


def check(name: str, header: bytes) -> None:
    """Check that a tile of a code-stream needs no more than any product's, by its main header.

    Parameters
    ----------
    name
        The name of the file in error messages.
    header
        The code-stream from its beginning to its first tile-part.

    Raises
    ------
    GeodesError
        If a tile has more code-blocks than any product's.
    """
    tile, components = _tile(header)
    _check_styles(name, tile, components, _segments(header, 2))


def check_file(name: str, place: ObjectLocation, first: int, size: int) -> None:
    """Check a whole code-stream, including the headers of its tile-parts: for files that GDAL decodes.

    Parameters
    ----------
    name
        The name of the file in error messages.
    place
        The object that holds the file.
    first
        The offset of the file in the object.
    size
        Its size in bytes, or more.

    Raises
    ------
    GeodesError
        If a tile has more code-blocks than any product's, or there is no code-stream.
    """
    _check_file(name, place, first, size)


@lru_cache(maxsize=256)
def _check_file(name: str, place: ObjectLocation, first: int, size: int) -> None:
    data = place.read(first, min(2**16, size))
    begin = _begin(data)
    if begin is None:
        raise GeodesError(
            f"{name} does not begin with a JPEG 2000 code-stream: it is damaged; fetch the product again."
        )
    end = _first_part(data, begin)
    if end is None:
        raise GeodesError(f"{name} has a longer main header than any product. It is refused; fetch the product again.")
    tile, components = _tile(data[begin:end])
    _check_styles(name, tile, components, _segments(data[begin:end], 2))
    at, number = first + end, 0
    while at + 12 <= first + size:
        if number == _PARTS:
            limits.refuse(f"A tile of {name}", tile[0] * tile[1] * components, UNSEEN, "numbers")
            return
        try:
            head = place.read(at, min(_HEAD, first + size - at))
        except Unreachable:
            return
        if len(head) < 12 or struct.unpack_from(">H", head)[0] != SOT:
            return  # the end, or what no decoder reads
        if not _is_whole(head) and len(head) == _HEAD:
            head = place.read(at, min(_LONG_HEAD, first + size - at))
            if not _is_whole(head):
                limits.refuse(f"A tile of {name}", tile[0] * tile[1] * components, UNSEEN, "numbers")
        _check_styles(name, tile, components, _segments(head, 12))
        length = struct.unpack_from(">I", head, 6)[0]
        if length < 14:
            return  # without a length, it is the last one
        at, number = at + length, number + 1


def _begin(data: bytes) -> int | None:
    """Return the offset of the code-stream that decoders read: bare, or in the first box that holds one.

    Another box may hold similar bytes.
    """
    if data.startswith(SOC_SIZ):
        return 0
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        if kind == b"jp2c":
            return at + head if data.startswith(SOC_SIZ, at + head) else None
        if length < head:
            return None
        at += length
    return None


def check_beginning(name: str, data: bytes) -> None:
    """Check a code-stream of which only the beginning is known; see `check`, and `UNSEEN`."""
    begin = _begin(data)
    end = None if begin is None else _first_part(data, begin)
    if end is None:
        raise GeodesError(
            f"{name} does not begin with a JPEG 2000 code-stream: it is damaged; fetch the product again."
        )
    check(name, data[begin:end])


def is_plain(part: bytes) -> bool | None:
    """Return whether the header of a tile-part changes nothing of the coding, so that the main header describes it.

    None: the header is incomplete.
    """
    at = 12
    while at + 4 <= len(part):
        marker, length = struct.unpack_from(">HH", part, at)
        if marker == _SOD:
            return True
        if marker not in (_PLT, _COM) or length < 2:
            return False
        at += 2 + length
    return True if part[at : at + 2] == b"\xff\x93" else None


def _first_part(data: bytes, begin: int) -> int | None:
    at = begin + 2
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == SOT:
            return at
        if marker < 0xFF4F or length < 2:
            return None
        at += 2 + length
    return None


def _is_whole(head: bytes) -> bool:
    """Return whether the header of a tile-part is complete."""
    end = 12 + sum(len(segment) for _, segment in _segments(head, 12))
    return len(head) >= end + 2 and struct.unpack_from(">H", head, end)[0] == _SOD


def _segments(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the marker segments of a header."""
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker in (SOT, _SOD) or marker < 0xFF4F or length < 2:
            return
        yield marker, data[at : at + 2 + length]
        at += 2 + length


def _tile(header: bytes) -> tuple[tuple[int, int], int]:
    """Return rows and columns of a tile, and the number of components."""
    if len(header) < 42:
        return (0, 0), 0
    width, height, x0, y0, across, down = struct.unpack_from(">IIIIII", header, 8)
    components = struct.unpack_from(">H", header, 40)[0]
    return (min(max(height - y0, 0), down), min(max(width - x0, 0), across)), components


def _check_styles(name: str, tile: tuple[int, int], components: int, segments: Iterator[tuple[int, bytes]]) -> None:
    """Refuse a header whose components have too many code-blocks together.

    A component with its own style is counted with both, its own and the default.
    """
    of_all, of_one = 0, 0
    for marker, segment in segments:
        if marker == _COD and len(segment) >= 14:
            of_all = max(of_all, _blocks(tile, segment[9:], bool(segment[4] & 1)) * components)
        elif marker == _COC:
            wide = 1 if components < 257 else 2
            if len(segment) >= 9 + wide:
                of_one += _blocks(tile, segment[5 + wide :], bool(segment[4 + wide : 5 + wide] > b"\0"))
        limits.refuse(f"A tile of {name}", of_all + of_one, _BLOCKS, "code-blocks")


def _blocks(tile: tuple[int, int], style: bytes, precincts: bool) -> int:
    """Count the code-blocks and precincts of one component; ``style`` begins with the number of decompositions."""
    levels, exponents, total = min(style[0], 32), (style[2] % 16 + 2, style[1] % 16 + 2), 0
    for level in range(levels + 1):
        sides = [-(-side // (1 << (levels - level))) for side in tile]
        precinct = style[5 + level] if precincts and len(style) > 5 + level else 0xFF
        sizes = precinct >> 4, precinct & 15
        blocks = precinct = 1
        for side, exponent, size in zip(sides, exponents, sizes, strict=True):
            precinct *= -(-side // (1 << size))
            blocks *= -(-side // (1 << max(min(exponent, size - (level > 0)), 0)))
        total += 3 * precinct + blocks
    return total
