"""Puts a window of a band on a grid: each number depends only on the grid's pixels, not on the window or the chunk.

GDAL guesses the scale of a kernel from the window, and places pixels to an eighth of a pixel: both differ from chunk to
chunk. Here the scale is that of the whole band, and positions come from PROJ.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject

from geodes_lab.raster import pixel_places
from geodes_lab.raster.source import MARGIN, RasterSource

Warped = tuple[NDArray[Any], NDArray[np.bool_]]
"""Numbers of a grid, and where they are data."""

MEANS = {Resampling[name] for name in ("bilinear", "cubic", "cubic_spline", "lanczos", "average", "rms", "sum")}
"""Resamplings that compute new numbers from several; the others choose one of the existing numbers."""

OF_MEASURES = {Resampling.rms, Resampling.sum}
"""Resamplings whose result for measures does not follow from that for numbers by scale and offset."""

_STRIP = 64  # rows whose positions are computed at once: they fit in the processor's cache
# Pixels by which GDAL may misplace: a mean changes by as little; a resampling that chooses a pixel could choose another
# one.
_CLOSE, _EXACT = 1e-4, 1e-12
# Pixels by which a grid is shifted for Lanczos. Where the centre of a large pixel is the centre of a pixel of the band,
# as from 10 m to 30 m, GDAL's weights lose all digits: numbers are off by up to half of the range (GDAL 3.10,
# GWKResampleOptimizedLanczos). A shift of 1e-6 avoids that.
_ASIDE = 1.37e-6
_MEMORY = 256  # MB


def warped(
    numbers: NDArray[Any],
    there: NDArray[np.bool_],
    corner: tuple[int, int],
    source: RasterSource,
    grid: GeoBox,
    resampling: Resampling,
) -> Warped:
    """Put a window of a band on a grid.

    Parameters
    ----------
    numbers, there
        The window, and where it is data; nodata is excluded from every mean.
    corner
        Row and column of the window's first pixel in the band.
    source
        The band, or an overview of it, with its grid.
    grid
        The output grid.
    resampling
        The kernel. Those of `MEANS` return floating-point numbers.

    Returns
    -------
    numbers : numpy.ndarray
        ``grid.shape``; arbitrary where there is no data.
    there : numpy.ndarray
        Where there is data.
    """
    if resampling is Resampling.nearest:
        return _nearest(numbers, there, corner, source, grid)
    small = numbers.dtype.itemsize <= (4 if numbers.dtype.kind == "f" else 2)
    if resampling in OF_MEASURES and source.offset:
        window = np.where(there, numbers * source.scale + source.offset, np.nan)
        out = (_by_gdal(window, float("nan"), corner, source, grid, resampling) - source.offset) / source.scale
        return out, ~np.isnan(out)
    if resampling in MEANS or numbers.dtype.kind == "f":
        kind = np.dtype("float32" if small else "float64")
        window = np.where(there, numbers, np.nan).astype(kind, copy=False)
        out = _by_gdal(window, float("nan"), corner, source, grid, resampling)
        return out, ~np.isnan(out)
    hole = -(2**31)  # less than any number
    window = numbers.astype(np.int32 if small else np.float64)
    window[~there] = hole
    out = _by_gdal(window, hole, corner, source, grid, resampling)
    return out, out != hole


def options(source: RasterSource, grid: GeoBox) -> dict[str, float]:
    """Return GDAL's options for a warp: the scale of the kernel, the same for all windows of a band.

    If the scale is almost 1, GDAL computes wrong weights (``cubic_spline``, 3.10), so it is rounded. GDAL also needs
    some more pixels than it takes by itself, or it omits pixels at a chunk's edges.
    """
    down, across = (1.0 if abs(r - 1) < 1e-3 else r for r in source.ratios(grid))
    return {"XSCALE": 1 / across, "YSCALE": 1 / down, "SOURCE_EXTRA": 2 + math.ceil(max(down, across))}


def margin(source: RasterSource, grid: GeoBox, resampling: Resampling) -> int:
    """Return how many pixels of the band are needed around those under a grid, at least.

    0 if the kernel uses only the pixel itself.
    """
    is_tight = grid.crs.epsg == source.epsg and resampling in (Resampling.nearest, Resampling.average)
    return 0 if is_tight else MARGIN


def tolerance(resampling: Resampling) -> float:
    """Return the pixels by which GDAL may misplace; `rasterio.vrt.WarpedVRT` does not accept 0."""
    return _CLOSE if resampling in MEANS else _EXACT


def _by_gdal(
    window: NDArray[Any],
    hole: float,
    corner: tuple[int, int],
    source: RasterSource,
    grid: GeoBox,
    resampling: Resampling,
) -> NDArray[Any]:
    out = np.full(grid.shape, hole, window.dtype)
    aside = _ASIDE if resampling is Resampling.lanczos else 0.0
    if grid.crs.epsg == source.epsg:
        # In pixels of the window, so that rounding of coordinates does not depend on it.
        row, col = pixel_places.affine(source, grid)
        to = Affine(col[0], 0, col[1] - corner[1] + aside, 0, row[0], row[1] - corner[0] + aside)
        crs = "EPSG:3857"  # any CRS: it is not used
        reproject(
            window,
            out,
            src_transform=Affine.identity(),
            src_crs=crs,
            src_nodata=hole,
            dst_transform=to,
            dst_crs=crs,
            dst_nodata=hole,
            resampling=resampling,
            num_threads=1,
            warp_mem_limit=_MEMORY,
            **options(source, grid),
        )
        return out
    high, wide = window.shape
    transform = Affine(*source.transform) * Affine.translation(corner[1] - aside, corner[0] - aside)
    native = f"EPSG:{source.epsg}"
    if source.geobox.crs.geographic and not -180 <= transform.c <= transform.c + transform.a * wide <= 180:
        # GDAL needs longitudes from -180 to 180: counted from the meridian in the window's middle, they are.
        meridian = round(transform.c + transform.a * wide / 2)
        native = _from_meridian(source.epsg, meridian)
        transform = Affine.translation(-meridian, 0) * transform
    profile = {"driver": "GTiff", "width": wide, "height": high, "count": 1, "dtype": window.dtype}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=native, transform=transform, nodata=hole) as file:
            file.write(window, 1)
        with (
            memory.open() as file,
            WarpedVRT(
                file,
                crs=str(grid.crs),
                transform=grid.affine,
                width=grid.shape[1],
                height=grid.shape[0],
                resampling=resampling,
                tolerance=tolerance(resampling),
                warp_mem_limit=_MEMORY,
                **options(source, grid),
            ) as virtual,
        ):
            virtual.read(1, out=out)
    return out


def _nearest(
    numbers: NDArray[Any],
    there: NDArray[np.bool_],
    corner: tuple[int, int],
    source: RasterSource,
    grid: GeoBox,
) -> Warped:
    """Return the pixel that contains the centre of each pixel of the grid."""
    out, known = np.zeros(grid.shape, numbers.dtype), np.zeros(grid.shape, bool)
    last, is_full = (numbers.shape[0] - 1, numbers.shape[1] - 1), bool(there.all())
    if grid.crs.epsg == source.epsg:  # rows and columns by themselves, in order
        rows, cols = (v.ravel() - first for v, first in zip(pixel_places.pixels(grid, source), corner, strict=True))
        down, across = (np.flatnonzero((v >= 0) & (v <= n)) for v, n in zip((rows, cols), last, strict=True))
        if down.size and across.size:
            y, x = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
            out[y, x] = numbers[rows[y]].take(cols[x], axis=1)
            known[y, x] = True if is_full else there[rows[y]].take(cols[x], axis=1)
        return out, known
    for top in range(0, grid.shape[0], _STRIP):
        strip = slice(top, min(top + _STRIP, grid.shape[0]))
        row, col = pixel_places.pixels(grid[strip, :], source)
        row, col = row - corner[0], col - corner[1]
        if min(row.min(), col.min()) >= 0 and row.max() <= last[0] and col.max() <= last[1]:
            out[strip] = numbers[row, col]
            known[strip] = True if is_full else there[row, col]
        else:
            inside = (row >= 0) & (row <= last[0]) & (col >= 0) & (col <= last[1])
            row, col = (np.broadcast_to(v, inside.shape)[inside] for v in (row, col))
            out[strip][inside], known[strip][inside] = numbers[row, col], there[row, col]
    return out, known


@lru_cache(maxsize=256)
def _from_meridian(epsg: int, meridian: int) -> str:
    """Return a CRS in degrees whose longitudes are counted from another meridian."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the text omits everything but datum and ellipsoid
        plain = CRS.from_epsg(epsg).to_proj4()
    beyond = (meridian + 180) % 360 - 180
    return f"{plain.replace('+no_defs', '').replace('+type=crs', '')} +pm={beyond} +no_defs"
