"""Where the pixels of a grid are in a band, whatever the CRS of both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.raster import globe, overlap
from geodes_lab.raster.source import RasterSource

_STEP = 8  # pixels between the points that PROJ transforms
_FAR = 16  # pixels: more than the bounds of a grid in another CRS can be wrong by
_SMALL, _KEPT = 2**16, 32  # pixels of a grid that is remembered, which are 1 MiB, and how many such grids
_SMOOTH = 1e-5  # pixels: where interpolation differs more from PROJ, PROJ transforms each pixel
_MIDDLE = (-1 / 16, 9 / 16, 9 / 16, -1 / 16)  # the weights of `_weights` in the middle, where it errs most


_Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]
_known: OrderedDict[Any, _Pixels] = OrderedDict()
_guard, _turns = threading.Lock(), [threading.Lock() for _ in range(16)]


def pixels(grid: GeoBox, source: RasterSource) -> _Pixels:
    """Return row and column of the band's pixel under each pixel of a grid.

    A position within rounding of an edge belongs to the next pixel, as in GDAL. The arrays are not for writing: those
    of the last small grids are kept, because the bands of a picture ask for the same, side by side.
    """
    if grid.crs.epsg != source.epsg:
        return _elsewhere(grid, source) if grid.shape[0] * grid.shape[1] > _SMALL else _remembered(grid, source)
    down, across = (
        np.floor(np.round(per * (np.arange(size) + 0.5) + first, 6)).astype(np.int64)
        for size, (per, first) in zip(grid.shape, affine(source, grid), strict=True)
    )
    return down[:, np.newaxis], across[np.newaxis]


def _remembered(grid: GeoBox, source: RasterSource) -> _Pixels:
    """Return the pixels of a small grid in another CRS; computed once, even if several threads want them."""
    key = (str(grid.crs), tuple(grid.affine), tuple(grid.shape), source.epsg, tuple(source.transform), source.shape)
    with _turns[hash(key) % len(_turns)]:
        with _guard:
            if key in _known:
                _known.move_to_end(key)
                return _known[key]
        made = _elsewhere(grid, source)
        with _guard:
            _known[key] = made
            while len(_known) > _KEPT:
                _known.popitem(last=False)
        return made


def _elsewhere(grid: GeoBox, source: RasterSource) -> _Pixels:
    positions = places(grid, source)
    if not np.isfinite(positions).all():
        positions[~np.isfinite(positions)] = -1
    row, col = np.floor(positions, out=positions).astype(np.int64)
    row.flags.writeable = col.flags.writeable = False
    return row, col


def inside(source: RasterSource, grid: GeoBox) -> NDArray[np.bool_]:
    """Return which pixels of a grid have their centre in a band."""
    if grid.crs.epsg != source.epsg and _far_inside(source, grid):
        return np.broadcast_to(np.True_, grid.shape)
    row, col = pixels(grid, source)
    is_inside: NDArray[np.bool_] = (row >= 0) & (row < source.shape[0]) & (col >= 0) & (col < source.shape[1])
    return np.broadcast_to(is_inside, grid.shape)


def _far_inside(source: RasterSource, grid: GeoBox) -> bool:
    """Whether a grid in another CRS is so far from a band's edges that no pixel needs to be looked at."""
    box = None if source.geobox.crs.geographic else overlap.bounds(grid, source.geobox)
    if box is None:
        return False
    a, _, c, _, e, f = source.transform
    cols, rows = sorted((x - c) / a for x in (box[0], box[2])), sorted((y - f) / e for y in (box[1], box[3]))
    return all(low > _FAR and high < size - _FAR for (low, high), size in zip((rows, cols), source.shape, strict=True))


def affine(source: RasterSource, grid: GeoBox) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return, for rows and columns, the band's pixels per pixel of a grid in the same CRS, and the first position."""
    a, _, c, _, e, f = source.transform
    to = grid.affine
    return (round(to.e / e, 12), round((to.f - f) / e, 9)), (round(to.a / a, 12), round((to.c - c) / a, 9))


def places(grid: GeoBox, source: RasterSource) -> NDArray[np.float64]:
    """Return where the pixels of a grid in another CRS are in a band: rows and columns from the band's corner.

    Not finite: nowhere.

    PROJ transforms the points of a lattice that is fixed to the CRS and not to the grid; between them, a cubic through
    the four nearest in x and in y interpolates, where that agrees with PROJ. Elsewhere PROJ transforms each pixel.
    """
    a, _, c, _, e, f = source.transform
    to, (high, wide) = grid.affine, grid.shape
    transformer = _transformer(str(grid.crs), source.epsg)
    is_geographic, middle = source.geobox.crs.geographic, c + a * source.shape[1] / 2

    def placed(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north = transformer.transform(x, y)
        if is_geographic:  # PROJ returns -180 to 180, wherever the band begins
            east = middle + (np.asarray(east) - middle + 180) % globe.TURN - 180
        return np.stack([(np.asarray(north) - f) / e, (np.asarray(east) - c) / a])

    # Centres of pixels, counted in steps from the origin of the CRS; rounded, so that the same pixel is equal in two
    # chunks.
    u = np.round((to.c / to.a + 0.5 + np.arange(wide)), 6) / _STEP
    v = np.round((to.f / to.e + 0.5 + np.arange(high)), 6) / _STEP
    (u0, u1), (v0, v1) = (np.floor([w[0], w[-1]]) for w in (u, v))
    across, down = np.arange(u0 - 1, u1 + 3) * _STEP, np.arange(v0 - 1, v1 + 3) * _STEP  # one more on each side
    nodes = placed(*np.meshgrid(across * to.a, down * to.e))
    half = _STEP / 2
    middles = placed(*np.meshgrid((across[1:-2] + half) * to.a, (down[1:-2] + half) * to.e))
    with np.errstate(invalid="ignore"):
        aside = _sum([nodes[:, :, k : k - 3 or None] for k in range(4)], _MIDDLE)
        cubic = _sum([aside[:, k : k - 3 or None] for k in range(4)], _MIDDLE)
        curved = ~(np.abs(cubic - middles).max(axis=0) <= _SMOOTH)
        i, j = (np.floor(w).astype(int) - int(w0) for w, w0 in ((v, v0), (u, u0)))
        p, q = _weights((v - np.floor(v))[:, np.newaxis]), _weights(u - np.floor(u))
        between = _sum([nodes[:, :, j + k] for k in range(4)], q)
        positions = _sum([between[:, i + k] for k in range(4)], p)
    if curved.any():
        rows, cols = np.nonzero(curved[np.ix_(i, j)])
        positions[:, rows, cols] = placed(u[cols] * _STEP * to.a, v[rows] * _STEP * to.e)
    return positions


def _weights(t: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    """Return the weights of four points, at -1, 0, 1 and 2, in a cubic through them (Lagrange's) at 0 ≤ ``t`` ≤ 1."""
    return (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )


def _sum(four: Sequence[NDArray[np.float64]], weights: Sequence[Any]) -> NDArray[np.float64]:
    """Return a weighted sum, always in the same order: the same pixel is equal in two chunks."""
    return four[0] * weights[0] + four[1] * weights[1] + four[2] * weights[2] + four[3] * weights[3]


@lru_cache(maxsize=256)
def _transformer(crs: str, epsg: int) -> Transformer:
    return Transformer.from_crs(crs, epsg, always_xy=True)
