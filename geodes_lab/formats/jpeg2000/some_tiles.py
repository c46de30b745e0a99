"""A JPEG 2000 file of the same image that has only some of its tiles; the others have one value.

Size, grid and names stay true, so that the file takes the place of the whole one. The bytes of the tiles that stay are
copied as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000.blank_tile import Blank
from geodes_lab.formats.jpeg2000.codestream import SOC_SIZ, SOT
from geodes_lab.formats.jpeg2000.openjpeg import Undecodable, decode
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.storage.object_location import ObjectLocation

_TLM, _PLM, _EOC = 0xFF55, 0xFF57, b"\xff\xd9"  # lists of lengths, which are other ones now
_BOX, _LONG_BOX = struct.Struct(">I4s"), struct.Struct(">I4sQ")
_MOST_AFTER = 2**20  # bytes of boxes behind the code-stream
_TOGETHER = 2**23  # bytes of tiles that are read at once


@dataclass(frozen=True)
class SomeTiles:
    """The file; see `of`."""

    index: Index
    place: ObjectLocation
    tiles: frozenset[int]
    head: bytes
    """Up to the first tile."""
    parts: dict[int, tuple[int, int]]
    """Offset and length of the tiles that stay."""
    blanks: dict[int, bytes]
    """The tile-parts of the others."""
    tail: bytes
    """Behind the last tile."""

    @property
    def size(self) -> int:
        """Its bytes."""
        kept = sum(length for _, length in self.parts.values())
        return len(self.head) + kept + sum(map(len, self.blanks.values())) + len(self.tail)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes; each tile that stays is decoded once, so that none is there which is not whole.

        Raises
        ------
        Undecodable, NotUnderstood
            If a tile is damaged, or the object was replaced meanwhile.
        GeodesError
            If it cannot be read.
        """
        yield self.head
        down, across = self.index.header.grid
        waiting: list[int] = []
        for tile in range(down * across):
            if tile in self.tiles:
                waiting.append(tile)
                if sum(self.parts[t][1] for t in waiting) >= _TOGETHER:
                    yield from self._kept(waiting)
                    waiting = []
            else:
                yield from self._kept(waiting)
                waiting = []
                yield self.blanks[tile]
        yield from self._kept(waiting)
        yield self.tail

    def _kept(self, tiles: Sequence[int]) -> Iterator[bytes]:
        if not tiles:
            return
        answers = self.place.fetch([self.parts[t] for t in tiles])
        for tile, coming in zip(tiles, answers, strict=True):
            part = coming.result()
            marker, _, number = struct.unpack_from(">HHH", part) if len(part) >= 12 else (0, 0, 0)
            if (marker, number, len(part)) != (SOT, tile, self.parts[tile][1]):
                raise NotUnderstood("a tile that is not where it was")
            try:
                decode(self.index.header.alone(tile, part, 0))
            except Undecodable as error:
                raise Undecodable(f"tile {tile}: {error}") from None
            yield part


def of(place: ObjectLocation, start: int, size: int, stored: tuple[int, int] | None, tiles: Collection[int],
       value: int) -> SomeTiles:  # fmt: skip
    """Make the file of some tiles; reads the beginning of the image and finds these tiles.

    Parameters
    ----------
    place
        The object that holds the image.
    start, size
        Where its file begins in the object, and its bytes.
    stored
        As for `Index`.
    tiles
        The tiles that stay.
    value
        Of the pixels of all others.

    Raises
    ------
    NotUnderstood, Mislabelled
        If it is coded in a way that this does not know.
    GeodesError
        If it cannot be read.
    """
    index = Index(place, stored)
    down, across = index.header.grid
    kept = sorted(tiles)
    parts = dict(zip(kept, index.parts(kept), strict=True))
    blank = Blank(index.header, value)
    blanks = {t: blank.part(t) for t in range(down * across) if t not in parts}
    original = place.read(start, index.first - start)
    begin = original.find(SOC_SIZ)
    boxes, main = original[: max(begin, 0)], _without_lists(original[begin:])
    length = len(main) + sum(n for _, n in parts.values()) + sum(map(len, blanks.values())) + len(_EOC)
    boxes, end = _resized(boxes, length, size)
    if size - end > _MOST_AFTER:
        raise NotUnderstood("a megabyte behind its code-stream")
    after = place.read(start + end, size - end) if end < size else b""
    return SomeTiles(index, place, frozenset(kept), boxes + main, parts, blanks, _EOC + after)


def _without_lists(main: bytes) -> bytes:
    """Return a main header without the lengths of tiles and packets."""
    at, kept = 2, bytearray(main[:2])
    while at + 4 <= len(main):
        marker, length = struct.unpack_from(">HH", main, at)
        if marker not in (_TLM, _PLM):
            kept += main[at : at + 2 + length]
        at += 2 + length
    if at != len(main):
        raise NotUnderstood("the main header is damaged")
    return bytes(kept)


def _resized(boxes: bytes, length: int, size: int) -> tuple[bytes, int]:
    """Return the boxes before a code-stream of another length, and where the former one ended in its file."""
    if not boxes:
        return boxes, size
    for form in (_BOX, _LONG_BOX):
        at = len(boxes) - form.size
        if at < 0:
            break
        fields = form.unpack_from(boxes, at)
        if fields[1] != b"jp2c" or (form is _LONG_BOX and fields[0] != 1):
            continue
        former, whole = fields[-1] if form is _LONG_BOX else fields[0], form.size + length
        if form is _BOX and former == 0:  # up to the end of the file
            return boxes, size
        if at + former > size:
            raise NotUnderstood("a code-stream that ends behind its file")
        fresh = form.pack(1, b"jp2c", whole) if form is _LONG_BOX else form.pack(whole, b"jp2c")
        return boxes[:at] + fresh, at + former
    raise NotUnderstood("a code-stream in an unknown box")
