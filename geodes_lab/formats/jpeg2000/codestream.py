"""The code-stream of a JPEG 2000 file: its main header, and one tile of it as a code-stream of its own.

ISO 15444-1, annex A; measured on ESA's files, see docs/explanation/design/0002-jpeg2000.md. In progression LRCP with
one layer a tile-part begins with its low resolutions: its first bytes are an overview, once the main header is
rewritten for the smaller image.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from geodes_lab.errors import NotUnderstood
from geodes_lab.util import limits

SOC_SIZ = b"\xff\x4f\xff\x51"  # the first two markers of any code-stream
SOT = 0xFF90
_SIZ, _COD, _QCD, _EOC = 0xFF51, 0xFF52, 0xFF5C, b"\xff\xd9"
# Main-header markers that a single tile does not need: lengths of tile-parts and packets, comments.
_DROPPED = (0xFF55, 0xFF57, 0xFF64)
# Coding styles and quantisation of single components, regions of interest, changes of progression, packed headers.
_UNUSUAL = (0xFF53, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61)

_TILES = 65_535  # of an image, according to the standard
# Numbers of a tile, all components together, that are decoded at once: OpenJPEG needs ten bytes for each. An image in
# one piece has 10980².
_LARGEST = limits.TILE // 2


_JP2 = b"\x00\x00\x00\x0cjP  "  # the first box of a file that holds more than a code-stream
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def kind(beginning: bytes) -> str | None:
    """Return ``JPEG 2000`` or ``TIFF`` from the first bytes of a file; None: neither."""
    if beginning.startswith((SOC_SIZ, _JP2)):
        return "JPEG 2000"
    return "TIFF" if beginning.startswith(_TIFF) else None


@dataclass(frozen=True)
class Header:
    """The main header of a code-stream."""

    raw: bytes
    """From SOC to the first tile-part, without what a single tile does not need."""
    size: tuple[int, int]
    """Rows and columns of the image."""
    tile: tuple[int, int]
    """Rows and columns of a tile."""
    levels: int
    """Number of decompositions: how many times the image can be halved."""
    prefixes: bool
    """Whether a tile-part begins with its low resolutions (LRCP or RLCP, one layer)."""

    @property
    def grid(self) -> tuple[int, int]:
        """How many tiles, down and across."""
        return -(-self.size[0] // self.tile[0]), -(-self.size[1] // self.tile[1])

    @property
    def components(self) -> int:
        """The bands of the image."""
        count: int = struct.unpack_from(">H", self.raw, 40)[0]
        return count

    @property
    def wavelet(self) -> int:
        """1: 5/3, lossless; 0: 9/7."""
        return self.segment(_COD)[13]

    def segment(self, marker: int) -> bytes:
        """Return the segment of a marker; see `segment`."""
        return segment(self.raw, marker)

    @classmethod
    def parse(cls, data: bytes) -> tuple[Header, int]:
        """Read a main header from the beginning of a code-stream; return it and its length.

        Raises
        ------
        NotUnderstood
            If it is truncated, or uses what is not supported: image offsets, components of several resolutions, coding
            styles of their own for components or tiles.
        """
        at, header, segments = 2, bytearray(data[:2]), dict[int, bytes]()
        while True:
            if at + 4 > len(data):
                raise NotUnderstood("the main header is longer than expected")
            marker, length = struct.unpack_from(">HH", data, at)
            if marker == SOT:
                break
            if marker < 0xFF50 or marker in _UNUSUAL:
                raise NotUnderstood(f"marker {marker:#06x} in the main header")
            segment = data[at : at + 2 + length]
            if marker not in _DROPPED:
                header += segment
                segments[marker] = segment
            at += 2 + length
        try:
            siz, cod = segments[_SIZ], segments[_COD]
            _, width, height, x0, y0, across, down, tx0, ty0, components = struct.unpack_from(">HIIIIIIIIH", siz, 4)
            progression, layers, levels = cod[5], struct.unpack_from(">H", cod, 6)[0], cod[9]
            steps = {tuple(siz[41 + 3 * n : 43 + 3 * n]) for n in range(components)}
        except (KeyError, IndexError, struct.error) as error:
            raise NotUnderstood("the main header is damaged") from error
        if (x0, y0, tx0, ty0) != (0, 0, 0, 0) or steps != {(1, 1)} or not across or not down or _QCD not in segments:
            raise NotUnderstood("an image with offsets, or components of several resolutions")
        if not width or not height or levels > 32 or -(-width // across) * -(-height // down) > _TILES:
            raise NotUnderstood("the main header is damaged")
        if min(width, across) * min(height, down) * components > _LARGEST:
            raise NotUnderstood("tiles too large to be decoded at once")
        whole = (across % (1 << levels) == 0 and down % (1 << levels) == 0) or (across >= width and down >= height)
        prefixes = progression in (0, 1) and layers == 1 and whole and cod[4] & 6 == 0
        return cls(bytes(header), (height, width), (down, across), levels, prefixes), at

    def alone(self, tile: int, part: bytes, level: int) -> bytes:
        """Make a code-stream of one tile, halved ``level`` times, from (the beginning of) its tile-part.

        Its image is the tile in its place; the last ``level`` resolutions are removed from COD and QCD, so that the
        decoder ends where the part may end.
        """
        row, col = divmod(tile, self.grid[1])

        def halved(value: int) -> int:
            return -(-value // (1 << level))

        top, left = row * self.tile[0], col * self.tile[1]
        bottom, right = min(top + self.tile[0], self.size[0]), min(left + self.tile[1], self.size[1])
        head, at = bytearray(self.raw[:2]), 2
        while at < len(self.raw):
            marker, length = struct.unpack_from(">HH", self.raw, at)
            segment = bytearray(self.raw[at : at + 2 + length])
            if marker == _SIZ:
                corners = (right, bottom, left, top, self.tile[1], self.tile[0], left, top)
                struct.pack_into(">IIIIIIII", segment, 6, *map(halved, corners))
            elif marker == _COD and level:
                segment[9] -= level
                if segment[4] & 1:  # precincts are listed, one byte for each resolution
                    del segment[len(segment) - level :]
            elif marker == _QCD and level:
                del segment[len(segment) - 3 * level * (1 if segment[4] & 31 == 0 else 2) :]
            struct.pack_into(">H", segment, 2, len(segment) - 2)
            head += segment
            at += 2 + length
        sot = struct.pack(">HHHIBB", SOT, 10, 0, len(part), 0, 1)
        return bytes(head) + sot + part[12:] + _EOC


def segment(data: bytes, marker: int) -> bytes:
    """Return the segment of a marker in a main header, from the marker itself.

    Raises
    ------
    NotUnderstood
        If there is none.
    """
    at = 2
    while at + 4 <= len(data):
        found, length = struct.unpack_from(">HH", data, at)
        if found == marker:
            return data[at : at + 2 + length]
        at += 2 + length
    raise NotUnderstood("the main header is damaged")
