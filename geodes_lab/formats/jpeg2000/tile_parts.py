"""The offsets of the tile-parts of a JPEG 2000 code-stream.

Listed in its main header, or found in a few small reads.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000.codestream import SOT
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable

_HOP = 4_096  # a tile-part's header; several of them if tiles are tiny (no data)
_NEAR = 3  # tiles that are followed one by one; farther ones are searched for
_MANY = 12  # with so many unknown tiles, several places are searched at once
_WHOLE = 2**22  # bytes of a code-stream, at most, all of which are read to find its tiles
_BEGIN = b"\xff\x90\x00\x0a"  # the marker and the length of SOT
_TLM = 0xFF55

Part = tuple[int, int]
"""Offset and length, from the beginning of the object."""


def listed(header: bytes, first: int, count: int) -> dict[int, Part]:
    """Read the list of tile-parts from a main header (TLM), which products have since 2026.

    Parameters
    ----------
    header
        From SOC to the first tile-part.
    first
        The offset of the first tile-part.
    count
        The number of tiles.

    Returns
    -------
    dict
        By tile; empty without a list, or if the list does not have one part for each tile.
    """
    at, entries, runs = 2, list[tuple[int, int]](), dict[int, bytes]()
    while at + 4 <= len(header):
        marker, length = struct.unpack_from(">HH", header, at)
        if marker == _TLM and length > 4:
            runs[header[at + 4]] = header[at + 5 : at + 2 + length]
        at += 2 + length
    for _, run in sorted(runs.items()):
        numbered, wide = run[0] >> 4 & 3, run[0] >> 6 & 1
        entry = struct.Struct(">" + ("", "B", "H", "")[numbered] + ("H", "I")[wide])
        if numbered == 3 or (len(run) - 1) % entry.size:
            return {}
        for values in entry.iter_unpack(run[1:]):
            entries.append((values[0] if numbered else len(entries), values[-1]))
    if sorted(tile for tile, _ in entries) != list(range(count)) or any(length < 14 for _, length in entries):
        return {}
    parts, start = {}, first
    for tile, length in entries:
        parts[tile] = (start, length)
        start += length
    return parts


class TileParts:
    """The tile-parts of one code-stream, found as far as they are needed.

    A tile-part contains its length, which leads to the next one. Far tiles are found by reading about a tile's length
    around their expected offset: the two bytes of the marker that begins a tile-part cannot occur in coded data.

    Parameters
    ----------
    place
        The object that holds the code-stream.
    first
        The offset of its first tile-part, in bytes.
    end
        The end of the code-stream; 0: unknown.
    count
        The number of tiles.
    known
        The known tile-parts.
    """

    def __init__(self, place: ObjectLocation, first: int, end: int, count: int, known: dict[int, Part]) -> None:
        self._place, self.first, self.end, self._count = place, first, end, count
        self.known = known

    def find(self, tiles: Sequence[int]) -> bool:
        """Find tiles; returns whether any was unknown.

        Raises
        ------
        NotUnderstood
            If the tiles are not in order with one part each, or the file ends early.
        """
        unknown = sorted(t for t in tiles if t not in self.known)
        if len(unknown) > _MANY and not self.end:
            with contextlib.suppress(Unreachable):  # without its end, the file is followed from tile to tile
                self.end = self._place.size()
        if self.end and self.end - self.first <= min(len(unknown) * self._place.gap, _WHOLE):
            self._read_all()
        elif len(unknown) > _MANY and 3 * len(unknown) > unknown[-1] - unknown[0] and self.end:
            self._survey(unknown)
        for tile in unknown:
            if tile not in self.known:
                self._find(tile)
        return bool(unknown)

    def _find(self, tile: int) -> None:
        """Find one tile, starting from the nearest known one before it."""
        before = max((t for t in self.known if t < tile), default=-1)
        if tile - before > _NEAR and self.end:
            before = self._search(tile, before)
        self._hop(before, tile)

    def _read_all(self) -> None:
        """Find all tiles of a small code-stream, such as a mask, by one request for all of its bytes."""
        with contextlib.suppress(Unreachable, NotUnderstood):  # `_find` says why
            self._note(self._place.read(self.first, self.end - self.first), self.first)

    def _survey(self, unknown: list[int]) -> None:
        """Find many tiles: search for some far ones at once, and follow the tiles from each of them in parallel.

        The latency dominates: a hundred steps in sequence would wait a hundred times. Tiles that are not found are left
        to `_find`, which reports why.
        """
        mean = max((self.end - self.first) // self._count, 64)
        steps = round(len(unknown) ** 0.5)
        guesses = [self.first + mean * unknown[len(unknown) * n // steps] - mean // 2 for n in range(steps)]
        ranges = [(g, min(mean + 65_536, self.end - g)) for g in guesses if g > self.first]
        try:
            for (guess, _), answer in zip(ranges, self._place.fetch(ranges), strict=True):
                self._note(answer.result(), guess)
            heads = {self._next(t) for t in [-1, *self.known] if t + _NEAR >= unknown[0]}
            while heads := {h for h in heads if h is not None and h[0] <= unknown[-1]}:
                ways = sorted(heads)
                coming = self._place.fetch([(at, min(_HOP, self.end - at)) for _, at in ways])
                for (tile, at), data in zip(ways, coming, strict=True):
                    self._take(tile, at, data.result(), at)
                heads = {self._next(tile) for tile, _ in ways}
        except (Unreachable, NotUnderstood):
            return

    def _next(self, tile: int) -> tuple[int, int] | None:
        """Return the first unknown tile after one, and its offset, if known; None if it is not in between."""
        while tile + 1 in self.known:
            tile += 1
        return (tile + 1, self._after(tile)) if tile + 1 < self._count else None

    def _after(self, tile: int) -> int:
        """Return the offset of the tile after a known one."""
        return sum(self.known[tile]) if tile >= 0 else self.first

    def _note(self, data: bytes, begin: int) -> None:
        """Note the tile-parts that begin in bytes from somewhere in the code-stream."""
        at = data.find(_BEGIN)
        while at >= 0 and at + 12 <= len(data):
            tile, length = _part(data, at)
            if tile < self._count and begin + at + length <= self.end:
                self.known[tile] = (begin + at, length)
            at = data.find(_BEGIN, at + 12)

    def _take(self, tile: int, at: int, data: bytes, begin: int) -> None:
        """Note the tile-part at offset ``at``, which is in ``data``, whose first byte is at ``begin``."""
        if at - begin + 12 > len(data):
            raise NotUnderstood("the file ends before its last tile")
        actual, length = _part(data, at - begin)
        if actual != tile:
            raise NotUnderstood("tiles out of order")
        if self.end and at + length > self.end:
            raise NotUnderstood("the file ends within a tile")
        self.known[tile] = (at, length)

    def _search(self, tile: int, before: int) -> int:
        """Find a known tile nearer to the wanted one, from the mean length of the tiles between."""
        start = self._after(before)
        mean = max((self.end - start) // (self._count - before - 1), 64)
        guess = start + mean * (tile - before - 1) - mean // 2
        for _ in range(4):
            if guess <= start:
                break
            try:
                self._note(self._place.read(guess, min(mean + 65_536, self.end - guess)), guess)
            except Unreachable:
                # the object ends earlier than its zip's list says, or fails now: following the tiles will show which
                break
            before = max(t for t in [before, *self.known] if t <= tile)
            if tile - before <= _NEAR:
                break
            # The expected offset of this tile, between the nearest known tiles on both sides.
            start, last = self._after(before), min((t for t in self.known if t > before), default=self._count)
            end = self.known[last][0] if last in self.known else self.end
            mean = max((end - start) // max(last - before - 1, 1), 64)
            guess = start + mean * (tile - before - 1) - mean // 2
        return before

    def _hop(self, before: int, last: int) -> None:
        at, tile = self._after(before), before + 1
        data, begin = b"", at
        while tile <= last:
            if tile not in self.known:
                if at + 12 > begin + len(data):
                    begin, data = at, self._place.read(at, min(_HOP, self.end - at) if self.end else _HOP)
                self._take(tile, at, data, begin)
            at, tile = self._after(tile), tile + 1


def _part(data: bytes, at: int) -> tuple[int, int]:
    """Return the tile and the length of the tile-part at an offset."""
    marker, _, tile, length, part, parts = struct.unpack_from(">HHHIBB", data, at)
    if marker != SOT or part != 0 or parts > 1 or length < 14:
        raise NotUnderstood("tiles in several parts, or of unknown length")
    return tile, length
