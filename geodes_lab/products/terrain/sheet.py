"""Adjacent tiles of a terrain model: read where a grid needs them, and interpolated across their seams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.products.terrain.datum import Datum
from geodes_lab.products.tiepoints import Lattice, sampled
from geodes_lab.raster import overlap
from geodes_lab.raster.points import Points
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window as reading_window

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MESH = 500.0  # metres between positions that are transformed; linear in between
_STEP = 16  # pixels of a grid between them, at most
_APART = 90.0  # degrees: tiles on both sides of 180° are not neighbours in this lattice


@dataclass(frozen=True)
class Tile:
    """One raster of a terrain model."""

    source: RasterSource
    """The band of heights, read as float32."""
    datum: Datum
    """The vertical datum."""


@dataclass(frozen=True)
class Sheet:
    """Tiles whose pixels are on one lattice: they are interpolated across their seams."""

    tiles: tuple[Tile, ...]

    @property
    def datum(self) -> Datum:
        """The vertical datum of all tiles."""
        return self.tiles[0].datum

    @cached_property
    def whole(self) -> RasterSource:
        """A source as large as all tiles; only its grid is used."""
        boxes = [t.source.geobox.boundingbox for t in self.tiles]
        west, south = min(b.left for b in boxes), min(b.bottom for b in boxes)
        east, north = max(b.right for b in boxes), max(b.top for b in boxes)
        a, _, _, _, e, _ = self.tiles[0].source.transform
        shape = round((south - north) / e), round((east - west) / a)
        return RasterSource("", "", "", self.tiles[0].source.epsg, (a, 0.0, west, 0.0, e, north), shape)

    def read(self, points: Points) -> Floats | None:
        """Return heights at points, in their own unit and datum; None if no tile is near."""
        # A global model ends at 180°, where a grid may continue.
        parts = [p for turn in _turns(self.whole) if (p := self._read(points, turn)) is not None]
        if len(parts) < 2:
            return parts[0] if parts else None
        return np.where(np.isnan(parts[0]), parts[1], parts[0])

    def _read(self, points: Points, turn: int) -> Floats | None:
        times = max(math.floor(min(overlap.ratios(self.whole.geobox, points.crs, *points.spacing))), 1)
        shape = -(-self.whole.shape[0] // times), -(-self.whole.shape[1] // times)
        coarse = self.whole.reduced((times, times), shape).geobox
        places = _places(points, coarse, turn)
        if places is None:
            return None
        row, col = places
        # Half a pixel beyond the outermost centres, the model ends.
        near = (row >= -0.5) & (row <= shape[0] - 0.5) & (col >= -0.5) & (col <= shape[1] - 0.5)
        if not near.any():
            return None
        (top, bottom), (left, right) = (
            (max(math.floor(v[near].min()), 0), min(math.ceil(v[near].max()) + 1, n))
            for v, n in zip((row, col), shape, strict=True)
        )
        window = coarse[top:bottom, left:right]
        total, count = np.zeros(window.shape), np.zeros(window.shape, int)
        for tile in self.tiles:
            if not tile.source.touches(window):
                continue
            values, there = reading_window.read(tile.source, window, "average" if times > 1 else "nearest")
            there &= (count == 0) | (times > 1)  # a cell across a seam belongs to both tiles
            total[there] += values[there]
            count += there
        if not count.any():
            return None
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        if near.all():
            return sampled(mean, row.ravel() - top, col.ravel() - left, 1).reshape(points.shape).astype(float)
        out = np.full(points.shape, np.nan)
        out[near] = sampled(mean, row[near] - top, col[near] - left, 1)
        return out


def sheets(tiles: tuple[Tile, ...]) -> list[Sheet]:
    """Group the tiles that are on one lattice and have the same datum."""
    groups: list[list[Tile]] = []
    for tile in tiles:
        same = next((s for s in groups if _is_of_one_lattice(s[0], tile)), None)
        if same is None:
            groups.append([tile])
        else:
            same.append(tile)
    return [Sheet(tuple(s)) for s in groups]


def points(grid: GeoBox) -> Points:
    """Return the centres of a grid's pixels: positions and the geoid are linear between some of them."""
    size = abs(grid.affine.a), abs(grid.affine.e)
    metres = max(size) * (111_320 if grid.crs.geographic else 1)
    lattice = Lattice(grid, int(np.clip(_MESH / metres, 1, _STEP)))
    return Points(grid.crs, lattice.centres, lattice.between, grid.shape, size)


def covered(source: RasterSource, points: Points) -> Flags:
    """Return which points a raster covers."""
    inside = np.zeros(points.shape, bool)
    for turn in _turns(source):
        if (places := _places(points, source.geobox, turn)) is not None:
            (row, col), (rows, cols) = places, source.shape
            inside |= (row >= -0.5) & (row <= rows - 0.5) & (col >= -0.5) & (col <= cols - 0.5)
    return inside


def _turns(source: RasterSource) -> tuple[int, ...]:
    """Return the turns by which longitudes of a grid may be inside of a raster."""
    box = source.geobox.boundingbox
    return (0, -1, 1) if source.geobox.crs.geographic and box.right - box.left > 360 - _APART else (0,)


def _places(points: Points, native: GeoBox, turn: int) -> tuple[Floats, Floats] | None:
    """Return rows and columns of a grid at points, counted from the centre of its first pixel.

    None if they are outside of it.

    Longitudes are moved to the nearest turn, and by further turns: the points may cross 180°.
    """
    box, (x, y) = native.boundingbox, points.centres
    if points.crs.epsg != native.crs.epsg:
        x, y = Transformer.from_crs(str(points.crs), native.crs.epsg, always_xy=True).transform(x, y)
    x, y = np.asarray(x), np.asarray(y)
    if native.crs.geographic:
        if np.ptp(x) > 180:  # they would jump in between
            x = np.mod(x, 360)
        x = x + 360 * (turn - np.rint((x.mean() - (box.left + box.right) / 2) / 360))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    col, row = ~(native.affine * Affine.translation(0.5, 0.5)) * (x, y)
    if min(row.max(), col.max()) < -1 or row.min() > native.shape[0] or col.min() > native.shape[1]:
        return None
    return points.between(row), points.between(col)


def _is_of_one_lattice(one: Tile, other: Tile) -> bool:
    first, second = one.source, other.source
    (a, _, c, _, e, f), (a2, _, c2, _, e2, f2) = first.transform, second.transform
    alike = (first.epsg, one.datum.above, one.datum.metre) == (second.epsg, other.datum.above, other.datum.metre)
    if first.geobox.crs.geographic and abs(c2 - c) > _APART:
        return False
    if not alike or first.native or second.native or max(abs(a - a2), abs(e - e2)) > 1e-9 * abs(a):
        return False
    return all(abs(d - round(d)) < 1e-3 for d in ((c2 - c) / a, (f2 - f) / e))
