"""An image in JPEG 2000 as a pyramid of tiles: byte ranges are tiles, and the first bytes of each tile an overview."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000 import packets, rough
from geodes_lab.formats.jpeg2000.code_blocks import is_plain
from geodes_lab.formats.jpeg2000.codestream import SOT
from geodes_lab.formats.jpeg2000.open_tile import OpenTile
from geodes_lab.formats.jpeg2000.openjpeg import Area, Undecodable, decode, library
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.formats.tile_cache import Pixels, later, shared
from geodes_lab.raster.source import Span
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.util import limits

# The share of a tile-part that an overview is expected to need, by level; increased when it was too small.
_share = {1: 0.33, 2: 0.09, 3: 0.026, 4: 0.010, 5: 0.006}
_FLOOR = 1_024
_SMALL = 128  # pixels in y and x: decoding an area of less than this saves nothing


class Jpeg2000:
    """One image in JPEG 2000: a `geodes_lab.reading.image.Image`.

    Parameters
    ----------
    index
        The number type of the file.
    """

    wavelet = True
    """Its overviews are low-pass results of the wavelets."""
    nodata: float | None = None
    """The file does not contain it."""

    def __init__(self, index: Index, stamp: int = 0) -> None:
        self._stamp = stamp
        self.index = index
        header = index.header
        levels = header.levels if header.prefixes else 0
        self.shapes = tuple((_halved(header.size[0], n), _halved(header.size[1], n)) for n in range(levels + 1))
        self.scales = tuple((float(1 << n), float(1 << n)) for n in range(levels + 1))
        self.centre = index.centre
        self.epsg = index.epsg or None

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """Read a window; see `geodes_lab.reading.image.Image`. All bands of a tile are decoded together."""
        return self._read(level, rows, cols, useful, False)

    def read_roughly(self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None) -> NDArray[Any]:
        """Read a window of an overview for a mean: no number differs by more than `rough.SLACK`, a mean hardly."""
        return self._read(level, rows, cols, useful, rough.planes(self.index.header, level) is not None)

    def _read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None, roughly: bool
    ) -> NDArray[Any]:
        header = self.index.header
        if level >= len(self.shapes):
            raise NotUnderstood(f"no overview {level} at the beginning of its tiles")
        # A tile may be larger than the image.
        down, across = (min(t >> level, s) for t, s in zip(header.tile, self.shapes[level], strict=True))
        together = min(down * across * header.components, limits.TILE)  # numbers of a tile, decoded as four bytes each
        count = (-(-rows[1] // down) - rows[0] // down) * (-(-cols[1] // across) - cols[0] // across)
        if count > max(limits.WINDOW // (4 * together), 4):
            raise NotUnderstood("a window whose tiles are too many to be held at once")
        places = list(
            product(range(rows[0] // down, -(-rows[1] // down)), range(cols[0] // across, -(-cols[1] // across)))
        )
        areas = [self._area(level, r * down, c * across, (down, across), useful) for r, c in places]
        numbers = [r * header.grid[1] + c for r, c in places]
        file = self.index.place, self._stamp, self.index.stored, self.index.made, roughly
        keys = [(*file, n, level, a) for n, a in zip(numbers, areas, strict=True)]

        def begin(missing: list[int]) -> Sequence[Future[Pixels]]:
            return self._begin([numbers[n] for n in missing], [areas[n] for n in missing], level, file)

        tiles_read = shared().get(keys, begin)
        if len(tiles_read) == 1 and tiles_read[0].shape[1:] == (rows[1] - rows[0], cols[1] - cols[0]):
            return tiles_read[0]  # the tile itself, which all readers share
        out: NDArray[Any] | None = None
        for (r, c), area, pixels in zip(places, areas, tiles_read, strict=True):
            if out is None:
                out = np.empty((pixels.shape[0], rows[1] - rows[0], cols[1] - cols[0]), pixels.dtype)
            top, left = r * down + (area[0] if area else 0), c * across + (area[1] if area else 0)
            y0, y1 = max(top, rows[0]), min(top + pixels.shape[1], rows[1])
            x0, x1 = max(left, cols[0]), min(left + pixels.shape[2], cols[1])
            out[:, y0 - rows[0] : y1 - rows[0], x0 - cols[0] : x1 - cols[0]] = pixels[
                :, y0 - top : y1 - top, x0 - left : x1 - left
            ]
        assert out is not None
        return out

    def _area(self, level: int, top: int, left: int, tile: Span, useful: tuple[Span, Span] | None) -> Area | None:
        """Return the part of a tile that will be needed; None: so large a part that the whole tile is decoded."""
        if useful is None or min(tile) < 2 * _SMALL:
            return None
        height = min(tile[0], self.shapes[level][0] - top)
        width = min(tile[1], self.shapes[level][1] - left)
        (y0, y1), (x0, x1) = useful
        area = max(y0 - top, 0), max(x0 - left, 0), min(y1 - top, height), min(x1 - left, width)
        part = (area[2] - area[0]) * (area[3] - area[1])
        return area if 0 < part <= 0.8 * height * width else None

    def _begin(
        self, tiles: list[int], areas: list[Area | None], level: int, file: tuple[Any, ...]
    ) -> Sequence[Future[Pixels]]:
        """Begin to read tiles; each is decoded when its bytes arrive, or now if it is open."""
        futures: list[Future[Pixels]] = [Future() for _ in tiles]
        kept = [shared().opened.get((*file, t, level)) if a else None for t, a in zip(tiles, areas, strict=True)]
        wanted = [n for n, opened in enumerate(kept) if opened is None]
        if wanted:
            self._fetch(
                [tiles[n] for n in wanted], [areas[n] for n in wanted], level, file, [futures[n] for n in wanted]
            )
        for tile, area, opened, pixels in zip(tiles, areas, kept, futures, strict=True):
            if opened is not None and area is not None:
                later(partial(self._again, opened, tile, area, level, file, pixels), [pixels])
        return futures

    def _again(
        self, opened: OpenTile, tile: int, area: Area, level: int, file: tuple[Any, ...], pixels: Future[Pixels]
    ) -> None:
        """Decode another area of an open tile; whatever fails is tried with the tile's bytes, which tell why."""
        key = (*file, tile, level)
        try:
            decoded = opened.area(area)
            shared().opened.keep(key, opened, opened.size)
        except BaseException:
            shared().opened.drop(key)
            try:
                self._fetch([tile], [area], level, file, [pixels])
            except BaseException as error:
                pixels.set_exception(error)
            return
        pixels.set_result(decoded)

    def _fetch(
        self, tiles: list[int], areas: list[Area | None], level: int, file: tuple[Any, ...],
        futures: Sequence[Future[Pixels]],
    ) -> None:  # fmt: skip
        """Begin to read tiles; each is decoded when its bytes arrive."""
        share = _share.get(level, 1.0) if level else 1.0
        parts = self.index.parts(tiles)
        ends = [min(length, max(int(length * share), _FLOOR)) for _, length in parts]
        coming = self.index.place.fetch_near([(start, end) for (start, _), end in zip(parts, ends, strict=True)])
        for tile, area, part, data, pixels in zip(tiles, areas, parts, coming, futures, strict=True):
            self._when_there(data, _Tile(tile, area, level, *part, (*file, tile, level)), b"", pixels)

    def _when_there(self, coming: Future[bytes], tile: _Tile, before: bytes, pixels: Future[Pixels]) -> None:
        """Decode a tile in another thread when its bytes have arrived; an overview may need several attempts."""

        def work() -> None:
            try:
                data, now = (before + coming.result(), tile) if before else self._checked(tile, coming)
                if before and len(data) == len(before):
                    raise OSError(f"the file ends within tile {now.number} of the JPEG 2000")
                decoded = self._decoded(now, data)
                if decoded is None:
                    # Half as much again.
                    more = min(now.length, len(data) * 3 // 2 + _FLOOR) - len(data)
                    (rest,) = self.index.place.fetch([(now.start + len(data), more)])
                    self._when_there(rest, now, data, pixels)
                    return
                # the next overviews in this process begin with the size that this one needed
                if before and len(data) > 2 * _FLOOR:
                    _share[now.level] += 0.1 * (len(data) / now.length - _share[now.level])
                pixels.set_result(decoded)
            except BaseException as error:
                pixels.set_exception(error)

        coming.add_done_callback(lambda _: later(work, [pixels]))

    def _decoded(self, tile: _Tile, data: bytes) -> Pixels | None:
        """Return the pixels; None if the bytes are too few for this overview."""
        *_, roughly, _, _ = tile.key
        size = len(data)
        plain = is_plain(data)
        if plain is False:
            raise NotUnderstood("a tile with a coding style of its own")
        if plain is None and len(data) < tile.length:
            return None
        header = self.index.header
        if tile.level and (roughly or len(data) < tile.length):
            try:
                found = packets.read(header, tile.number, data, tile.level)
            except packets.TooShort:
                if len(data) < tile.length:
                    return None
                found = None  # a damaged tile, which the decoder tells
            else:
                if found is None and len(data) < tile.length:
                    return None  # coded in a way of its own, in which a beginning cannot be told from a whole
            most = rough.planes(header, tile.level)
            if found is not None and most is not None and roughly:
                data = rough.spared(data, found, most)
        stream = header.alone(tile.number, data, tile.level)
        try:
            if tile.area is None or library() is None or not shared().opened.limit:
                return decode(stream, tile.area)
            return _opened(tile.key, stream, tile.area)
        except Undecodable as error:
            if size < tile.length:
                return None
            raise OSError(f"tile {tile.number} of the JPEG 2000 does not decode: {error}") from None

    def _checked(self, tile: _Tile, coming: Future[bytes]) -> tuple[bytes, _Tile]:
        """Return the bytes of a tile, which must begin like one.

        Else the object has been replaced since its index was made.
        """
        begins = struct.pack(">HHHI", SOT, 10, tile.number, tile.length)
        try:
            data = coming.result()
        except Unreachable:
            data = b""  # perhaps beyond the end of an object that has become smaller
        if not data.startswith(begins):
            self.index.forget(tile.number, (tile.start, tile.length))
            (part,) = self.index.parts([tile.number])
            tile = replace(tile, start=part[0], length=part[1])
            some = min(part[1], max(len(data), _FLOOR)) if tile.level else part[1]
            data = self.index.place.read(part[0], some)
            begins = struct.pack(">HHHI", SOT, 10, tile.number, tile.length)
            if not data.startswith(begins) or self.index.header.size != self.shapes[0]:
                raise NotUnderstood("tiles are not where the file says")
        return data, tile


@dataclass(frozen=True)
class _Tile:
    """A tile that is being read."""

    number: int
    area: Area | None
    level: int
    start: int
    """The offset of its tile-part in the object, in bytes."""
    length: int
    """The length of its tile-part, in bytes."""
    key: tuple[Any, ...]
    """By which it is known while it is open."""


def _opened(key: tuple[Any, ...], stream: bytes, area: Area) -> Pixels:
    """Decode an area of a tile that stays open."""
    opened, mine = shared().opened, OpenTile(stream)
    kept = opened.keep(key, mine, mine.size)
    try:
        pixels = kept.area(area)
        opened.keep(key, kept, kept.size)
        return pixels
    except BaseException:
        opened.drop(key)
        if kept is mine:
            raise
    return decode(stream, area)  # another thread may have had fewer bytes of it


@lru_cache(maxsize=4096)
def open(place: ObjectLocation, stored: tuple[int, int] | None, _stamp: int) -> Jpeg2000:
    """Open an image, which stays in memory; ``_stamp`` is the time of change of a local file, which may be replaced.

    Raises
    ------
    NotUnderstood
        If it is not a JPEG 2000 that can be read by tiles; only its header has been read then.
    """
    return Jpeg2000(Index(place, stored), _stamp)


def _halved(size: int, level: int) -> int:
    return -(-size // (1 << level))
