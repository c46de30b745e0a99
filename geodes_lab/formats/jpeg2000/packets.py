"""The packets of a tile: what their headers say of the code-blocks, and where they end.

A tile-part is a sequence of packets, which no list tells apart (ISO 15444-1, annex B). A decoder that gets the
beginning of a tile-part does not complain if that ends with a packet: it takes the others for empty. So their ends are
computed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache

from geodes_lab.formats.jpeg2000.codestream import Header

_COD, _SOD = 0xFF52, 0xFF93
_WIDEST = 32  # bits of a code-block's number of bytes

_Span = tuple[int, int]
Bands = list[tuple[int, int]]
"""For each band of a packet, rows and columns of its code-blocks."""


class TooShort(Exception):
    """The packets of a tile are not all there."""


def read(header: Header, tile: int, part: bytes, level: int) -> list[list[Packet]] | None:
    """Read the packets of a tile, for each resolution, from (the beginning of) its tile-part.

    Parameters
    ----------
    header
        The image's.
    tile
        The tile's number.
    part
        The tile-part, from its first marker.
    level
        How many times the image is halved: finer resolutions are not read.

    Returns
    -------
    list of list of Packet
        None: it is coded in a way that this does not know.

    Raises
    ------
    TooShort
        If ``part`` ends earlier.
    """
    at = _begin(part)
    layout = _layout(header, _place(header, tile), level)
    if layout is None or at is None:
        return None
    found = list[list[Packet]]()
    try:
        for packets in layout:
            found.append([])
            for bands in packets:
                found[-1].append(Packet(part, at, bands))
                at = found[-1][-1].end
    except IndexError:
        raise TooShort from None
    if at > len(part):
        raise TooShort
    return found


def _place(header: Header, tile: int) -> tuple[_Span, _Span]:
    row, col = divmod(tile, header.grid[1])
    top, left = row * header.tile[0], col * header.tile[1]
    return (top, min(top + header.tile[0], header.size[0])), (left, min(left + header.tile[1], header.size[1]))


def _begin(part: bytes) -> int | None:
    at = 12
    while at + 2 <= len(part):
        marker = struct.unpack_from(">H", part, at)[0]
        if marker == _SOD:
            return at + 2
        if at + 4 > len(part):
            break
        at += 2 + struct.unpack_from(">H", part, at + 2)[0]
    return None


@lru_cache(maxsize=512)
def _layout(header: Header, place: tuple[_Span, _Span], level: int) -> list[list[Bands]] | None:
    """Return the bands of each packet, resolution by resolution."""
    cod = header.segment(_COD)
    wide, high, style = cod[10] + 2, cod[11] + 2, cod[12]
    if not header.prefixes or style or not 0 <= level <= header.levels:
        return None
    listed = cod[14:] if cod[4] & 1 else bytes([0xFF] * (header.levels + 1))
    if len(listed) <= header.levels - level or min(p & 15 for p in listed[1:] or b"\1") < 1 or min(listed) < 16:
        return None
    resolutions = []
    for resolution in range(header.levels - level + 1):
        high_, wide_ = listed[resolution] >> 4, listed[resolution] & 15
        times = header.levels - resolution
        rows, cols = ((-(-a // (1 << times)), -(-b // (1 << times))) for a, b in place)
        packets = [
            [
                (_count(y, down, high_, high), _count(x, across, wide_, wide))
                for down, across in ([(None, None)] if resolution == 0 else [(0, 1), (1, 0), (1, 1)])
            ]
            for y in cut(rows, high_)
            for x in cut(cols, wide_)
        ]
        resolutions.append(packets * header.components)
    return resolutions


def _count(span: _Span, odd: int | None, precinct: int, block: int) -> int:
    """Count the code-blocks of a band in one direction; ``odd``: which of two numbers it has; None: each."""
    if odd is None:
        return len(list(cut(span, min(block, precinct))))
    low, high = (-(-(v - odd) // 2) for v in span)
    return len(list(cut((low, high), min(block, precinct - 1))))


def cut(span: _Span, exponent: int) -> Iterator[_Span]:
    """Yield the parts of a span between multiples of a power of two."""
    side = 1 << exponent
    for start in range(span[0] // side * side, span[1], side):
        yield max(start, span[0]), min(start + side, span[1])


class Packet:
    """One packet, whose header is read.

    Parameters
    ----------
    data
        What it is in.
    at
        Where it begins.
    bands
        The code-blocks of its bands.

    Raises
    ------
    IndexError
        If the data end within the header.
    """

    def __init__(self, data: bytes, at: int, bands: Sequence[tuple[int, int]]) -> None:
        self.blocks: list[tuple[str, int, int, int, int]] = []
        """Of each code-block the bits before its passes, its band, missing bit planes, coding passes and bytes."""
        self._data, self._at, self._left = data, at, 8
        self._said: list[str] = []
        total = 0
        if self._bit():
            for number, (down, across) in enumerate(bands):
                total += self._band(number, down, across)
        # The last byte of a header is not FF.
        self.body: int = self._at + (self._left < 8 or self._at == at)
        if self.body > at and data[self.body - 1] == 0xFF:
            self.body += 1
        """Where its code-blocks begin."""
        self.end: int = self.body + total
        """Where it ends."""
        self.rest = "".join(self._said)
        """The bits behind the last code-block's."""

    def _bit(self) -> int:
        if not self._left:
            stuffed = self._data[self._at] == 0xFF
            self._at += 1
            self._left = 7 if stuffed else 8
        self._left -= 1
        bit = self._data[self._at] >> self._left & 1
        self._said.append("1" if bit else "0")
        return bit

    def _number(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + self._bit()
        return value

    def _band(self, number: int, down: int, across: int) -> int:
        """Read what is said of the code-blocks of a band; return the bytes of their data."""
        total = 0
        included: dict[tuple[int, int, int], bool] = {}
        missing: dict[tuple[int, int, int], int] = {}
        levels, size = 0, (down, across)
        while down and across and size != (1, 1):
            size, levels = (-(-size[0] // 2), -(-size[1] // 2)), levels + 1
        for row in range(down):
            for col in range(across):
                is_in, planes = True, 0
                for level in range(levels, -1, -1):
                    node = level, row >> level, col >> level
                    if node not in included:
                        included[node] = bool(is_in and self._bit())
                    is_in = included[node]
                    if not is_in:
                        break
                if not is_in:
                    continue
                for level in range(levels, -1, -1):
                    node = level, row >> level, col >> level
                    if node not in missing:
                        while not self._bit():
                            planes += 1
                        missing[node] = planes
                    planes = missing[node]
                before = "".join(self._said)
                self._said = []
                passes = self._passes()
                length = self._length(passes)
                self._said = []
                self.blocks.append((before, number, planes, passes, length))
                total += length
        return total

    def _length(self, passes: int) -> int:
        wide = 3
        while self._bit():
            wide += 1
            if wide > _WIDEST:
                raise TooShort  # no code-block is that long: once all is there, the decoder says so
        return self._number(wide + passes.bit_length() - 1)

    def _passes(self) -> int:
        if not self._bit():
            return 1
        if not self._bit():
            return 2
        some = self._number(2)
        if some < 3:
            return 3 + some
        some = self._number(5)
        if some < 31:
            return 6 + some
        return 37 + self._number(7)
