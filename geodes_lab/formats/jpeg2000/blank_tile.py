"""A tile of one value, coded as the other tiles of its image are: it takes the place of a tile that is left out.

Of such a tile, the wavelets keep only the smallest image: its code-blocks are coded by OpenJPEG, once for each size,
and all other packets are empty (ISO 15444-1, annex B). So the image stays a valid one, at each of its resolutions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import imagecodecs
import numpy as np

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000 import packet_codes
from geodes_lab.formats.jpeg2000.codestream import SOT, Header, segment
from geodes_lab.formats.jpeg2000.packets import Packet, cut

_COD, _QCD, _SOD = 0xFF52, 0xFF5C, b"\xff\x93"
_EMPTY = b"\x00"  # a packet of no code-block
_SIDE = 64  # of a code-block that OpenJPEG codes in one piece


@dataclass(frozen=True)
class _Coded:
    """A code-block of one value."""

    planes: int
    """Bit planes of its numbers; 0: all are zero, and nothing is coded."""
    passes: int
    data: bytes


@dataclass(frozen=True)
class Blank:
    """Tiles of one value for an image.

    Parameters
    ----------
    header
        The image's; reversible, in one layer, resolution after resolution.
    value
        The value of all pixels.
    """

    header: Header
    value: int

    def part(self, tile: int) -> bytes:
        """Return the tile-part of a tile.

        Raises
        ------
        NotUnderstood
            If the image is coded in a way that this does not know.
        """
        header, style = self.header, self._style
        row, col = divmod(tile, header.grid[1])
        top, left = row * header.tile[0], col * header.tile[1]
        bottom, right = min(top + header.tile[0], header.size[0]), min(left + header.tile[1], header.size[1])
        body = bytearray(_SOD)
        for resolution in range(header.levels + 1):
            ys, xs = (_halved(span, header.levels - resolution) for span in ((top, bottom), (left, right)))
            precincts = list(_cells(ys, style.precincts[resolution][0], xs, style.precincts[resolution][1]))
            for component in range(header.components):
                for precinct in precincts:
                    if resolution or (style.mixes and component):
                        body += _EMPTY  # what the components share is in the first one
                    else:
                        body += self._lowest(precinct)
        return struct.pack(">HHHIBB", SOT, 10, tile, 12 + len(body), 0, 1) + bytes(body)

    @property
    def _style(self) -> _Style:
        return _style(self.header)

    def _lowest(self, precinct: tuple[tuple[int, int], tuple[int, int]]) -> bytes:
        """Return the packet of a part of the smallest image."""
        style = self._style
        rows, cols = precinct
        high, wide = (min(a, p) for a, p in zip(style.block, style.precincts[0], strict=True))
        blocks = list(_cells(rows, high, cols, wide))
        across = len(list(cut(cols, wide)))
        coded = [_coded(y[1] - y[0], x[1] - x[0], style.bits, self.value) for y, x in blocks]
        if not any(c.planes for c in coded):
            return _EMPTY
        bits = "1"
        seen = set[tuple[int, int, int]]()
        for number, one in enumerate(coded):
            place = divmod(number, across)
            missing = style.planes - one.planes
            if missing < 0:
                raise NotUnderstood("fewer bit planes than its numbers have")
            new = [n for n in _nodes(place, (len(coded) // across, across)) if n not in seen]
            seen.update(new)
            bits += "1" * len(new)  # it is in this packet
            bits += "0" * (0 if number else missing) + "1" * len(new)  # the same for all: only the root tells it
            bits += packet_codes.count(one.passes) + packet_codes.length(len(one.data), one.passes)
        return packet_codes.stuffed(bits) + b"".join(c.data for c in coded)


@dataclass(frozen=True)
class _Style:
    """How an image is coded; heights before widths, as exponents of two."""

    bits: int
    planes: int
    """Bit planes of the smallest image, at most."""
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]
    """For each resolution, the smallest first."""
    mixes: bool
    """Whether the components are made of each other (colours)."""


@lru_cache(maxsize=64)
def _style(header: Header) -> _Style:
    cod, qcd = (header.segment(marker) for marker in (_COD, _QCD))
    depths = {header.raw[42 + 3 * n] for n in range(header.components)}
    wide, high, style, wavelet = cod[10] + 2, cod[11] + 2, cod[12], cod[13]
    if not header.prefixes or style or wavelet != 1 or qcd[4] & 31 or len(depths) != 1 or max(depths) > 15:
        raise NotUnderstood("a coding other than the products' own: lossless, unsigned, in one layer")
    listed = cod[14:] if cod[4] & 1 else bytes([0xFF] * (header.levels + 1))
    precincts = tuple((p >> 4, p & 15) for p in listed)
    return _Style(depths.pop() + 1, (qcd[4] >> 5) + (qcd[5] >> 3) - 1, (high, wide), precincts, bool(cod[8]))


@lru_cache(maxsize=64)
def _coded(height: int, width: int, bits: int, value: int) -> _Coded:
    """Have a code-block coded: as an image of its own, without wavelets."""
    if max(height, width) > _SIDE:
        raise NotUnderstood("code-blocks longer than 64 pixels")
    if value == 1 << bits - 1:  # zero, once half of the range is taken off
        return _Coded(0, 0, b"")
    if not 0 <= value < 1 << bits:
        raise NotUnderstood(f"a number for no data that {bits} bits cannot hold")
    pixels = np.full((height, width), value, "uint8" if bits <= 8 else "uint16")
    stream = bytes(
        imagecodecs.jpeg2k_encode(
            pixels, 0, codecformat="j2k", bitspersample=bits, resolutions=1, reversible=True, mct=False, numthreads=1
        )
    )
    cod, qcd = (segment(stream, marker) for marker in (_COD, _QCD))
    packet = stream[stream.index(_SOD, stream.index(struct.pack(">HH", SOT, 10))) + 2 : -2]
    if cod[9] or cod[12] or cod[13] != 1:
        raise NotUnderstood("an OpenJPEG that codes in another way")
    return _read(packet, (qcd[4] >> 5) + (qcd[5] >> 3) - 1)


def _read(packet: bytes, planes: int) -> _Coded:
    """Read the packet of one code-block."""
    read = Packet(packet, 0, [(1, 1)])
    if len(read.blocks) != 1 or read.end != len(packet):
        raise NotUnderstood("an OpenJPEG that codes in another way")
    _, _, missing, passes, _ = read.blocks[0]
    return _Coded(planes - missing, passes, packet[read.body :])


def _nodes(place: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return the nodes of a tag tree from its root to a leaf: level, row and column."""
    nodes, level = [(0, *place)], 0
    while size != (1, 1):
        size, level = (-(-size[0] // 2), -(-size[1] // 2)), level + 1
        nodes.append((level, place[0] >> level, place[1] >> level))
    return nodes[::-1]


def _halved(span: tuple[int, int], times: int) -> tuple[int, int]:
    return -(-span[0] // (1 << times)), -(-span[1] // (1 << times))


def _cells(
    rows: tuple[int, int], high: int, cols: tuple[int, int], wide: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for y in cut(rows, high):
        for x in cut(cols, wide):
            yield y, x
