"""Where the pixels of a grid lie in a band, whatever the CRS of both."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.raster import globe
from geodes_lab.raster.source import RasterSource

_STEP = 8  # pixels between the points at which PROJ is asked
_LINEAR = 1e-5  # pixels: where a line between those points is further from PROJ, PROJ is asked for each pixel


def pixels(grid: GeoBox, source: RasterSource) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the pixel under each pixel of a grid.

    Of one on an edge but for rounding the next, as of GDAL.
    """
    if grid.crs.epsg != source.epsg:
        found = places(grid, source)
        if not np.isfinite(found).all():
            found[~np.isfinite(found)] = -1
        row, col = np.floor(found, out=found).astype(np.int64)
        return row, col
    down, across = (
        np.floor(np.round(per * (np.arange(size) + 0.5) + first, 6)).astype(np.int64)
        for size, (per, first) in zip(grid.shape, affine(source, grid), strict=True)
    )
    return down[:, np.newaxis], across[np.newaxis]


def inside(source: RasterSource, grid: GeoBox) -> NDArray[np.bool_]:
    """Which pixels of a grid have their centre in a band."""
    row, col = pixels(grid, source)
    found: NDArray[np.bool_] = (row >= 0) & (row < source.shape[0]) & (col >= 0) & (col < source.shape[1])
    return np.broadcast_to(found, grid.shape)


def affine(source: RasterSource, grid: GeoBox) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of rows and of columns: the band's pixels for one of a grid of the same CRS, and where the first begins."""
    a, _, c, _, e, f = source.transform
    to = grid.affine
    return (round(to.e / e, 12), round((to.f - f) / e, 9)), (round(to.a / a, 12), round((to.c - c) / a, 9))


def places(grid: GeoBox, source: RasterSource) -> NDArray[np.float64]:
    """Where the pixels of a grid in another CRS lie in a band, rows and columns from the band's corner.

    Not finite: nowhere.

    PROJ is asked at points of a lattice that is fixed to the CRS and not to the grid, and between them is a line, where
    that is PROJ's place; elsewhere PROJ is asked for each pixel.
    """
    a, _, c, _, e, f = source.transform
    to, (high, wide) = grid.affine, grid.shape
    transformer = _transformer(str(grid.crs), source.epsg)
    is_geographic, middle = source.geobox.crs.geographic, c + a * source.shape[1] / 2

    def placed(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north = transformer.transform(x, y)
        if is_geographic:  # which PROJ has from -180 to 180, wherever the band begins
            east = middle + (np.asarray(east) - middle + 180) % globe.TURN - 180
        return np.stack([(np.asarray(north) - f) / e, (np.asarray(east) - c) / a])

    # Centres of pixels, counted in steps from the origin of the CRS; rounded, so that the same pixel of two chunks is
    # the same.
    u = np.round((to.c / to.a + 0.5 + np.arange(wide)), 6) / _STEP
    v = np.round((to.f / to.e + 0.5 + np.arange(high)), 6) / _STEP
    (u0, u1), (v0, v1) = (np.floor([w[0], w[-1]]) for w in (u, v))
    across, down = np.arange(u0, u1 + 2) * _STEP, np.arange(v0, v1 + 2) * _STEP
    nodes = placed(*np.meshgrid(across * to.a, down * to.e))
    half = _STEP / 2
    middles = placed(*np.meshgrid((across[:-1] + half) * to.a, (down[:-1] + half) * to.e))
    with np.errstate(invalid="ignore"):
        lines = (nodes[:, :-1, :-1] + nodes[:, :-1, 1:] + nodes[:, 1:, :-1] + nodes[:, 1:, 1:]) / 4
        curved = ~(np.abs(lines - middles).max(axis=0) <= _LINEAR)
        i, j = (np.floor(w).astype(int) - int(w0) for w, w0 in ((v, v0), (u, u0)))
        p, q = (v - np.floor(v))[:, np.newaxis], u - np.floor(u)
        between = nodes[:, :, j] * (1 - q) + nodes[:, :, j + 1] * q
        found = between[:, i] * (1 - p) + between[:, i + 1] * p
    if curved.any():
        rows, cols = np.nonzero(curved[np.ix_(i, j)])
        found[:, rows, cols] = placed(u[cols] * _STEP * to.a, v[rows] * _STEP * to.e)
    return found


@lru_cache(maxsize=256)
def _transformer(crs: str, epsg: int) -> Transformer:
    return Transformer.from_crs(crs, epsg, always_xy=True)
