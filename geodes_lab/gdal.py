"""Numbers of a band by GDAL: any raster that it opens, pasted where the grids agree, else warped."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT

from geodes_lab import gdalenv, limits, rasters
from geodes_lab.source import Source

# Rasterio silences it around itself, which threads undo for each other: it would say so of grids that begin at zero.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.(features|warp)")

Numbers = tuple[NDArray[Any], NDArray[np.bool_], slice, slice]


def numbers(source: Source, grid: GeoBox, resampling: Resampling) -> Numbers:
    """Read the file's own numbers on a grid.

    Returns
    -------
    numbers : numpy.ndarray
        As they are in the file.
    there : numpy.ndarray
        Where they are data.
    rows, cols : slice
        The part of the grid that they fill.
    """
    return gdalenv.within(source.href, lambda: _read(source, grid, resampling))


def _read(source: Source, grid: GeoBox, resampling: Resampling) -> Numbers:
    place = source.place_on(grid)
    if place is None:
        down, across = source.spans(grid)
        limits.refuse_pixels(source, max(down[1] - down[0], 0) * max(across[1] - across[0], 0))
    with rasters.opened(source.href) as file:
        _confirm(source, file)
        if place is None:
            return *_warp(source, file, grid, resampling), slice(None), slice(None)
        rows, cols, window = place
        found = file.read(source.index, window=window)
        there = source.there(found)
        if source.nodata is None and MaskFlags.per_dataset in file.mask_flag_enums[source.index - 1]:
            there &= file.read_masks(source.index, window=window) > 0  # a mask or an alpha band inside the file
        return found, there, rows, cols


def _confirm(source: Source, file: Any) -> None:
    """Hold the file against what its metadata said: data are never put where they are not."""
    if source.index > file.count:
        raise source.contradiction(f"has {file.count} bands, not {source.index}")
    if file.shape != source.shape:
        problem = f"has {file.shape[0]} × {file.shape[1]} pixels, not {source.shape[0]} × {source.shape[1]}"
    elif (epsg := rasters.epsg(file.crs)) not in (None, source.epsg):
        problem = f"is in EPSG:{epsg}, not EPSG:{source.epsg}"
    elif file.crs and not file.transform.almost_equals(Affine(*source.transform), precision=1e-3):
        problem = (
            f"begins at ({file.transform.c}, {file.transform.f}), not ({source.transform[2]}, {source.transform[5]})"
        )
    else:
        return
    raise source.contradiction(problem)


def means(source: Source, dtype: Any, resampling: Resampling) -> bool:
    """Whether integers are to be resampled as floats: a mean of them is none, and GDAL rounds to the file's kind."""
    is_measure = np.dtype(source.dtype).kind == "f" and not source.is_class
    keeping = (Resampling.nearest, Resampling.mode, Resampling.min, Resampling.max)
    return is_measure and np.dtype(dtype).kind in "iu" and resampling not in keeping


def _warp(source: Source, file: Any, grid: GeoBox, resampling: Resampling) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp numbers as they are in the file, with their nodata left out of every average."""
    height, width = grid.shape
    kind = np.dtype(file.dtypes[source.index - 1])
    floats = means(source, kind, resampling)
    with WarpedVRT(
        file,
        src_crs=f"EPSG:{source.epsg}",
        src_transform=Affine(*source.transform),
        crs=str(grid.crs),
        transform=grid.affine,
        width=width,
        height=height,
        resampling=resampling,
        src_nodata=source.nodata,
        nodata=float("nan") if floats and source.nodata is not None else source.nodata,
        dtype=("float32" if kind.itemsize <= 2 else "float64") if floats else None,
        add_alpha=source.nodata is None and not _has_alpha(file),
        warp_mem_limit=256,
    ) as warped:
        numbers = warped.read(source.index)
        there = ~np.isnan(numbers) if floats else source.there(numbers)
        return numbers, there if source.nodata is not None else there & (warped.read(warped.count) > 0)


def _has_alpha(file: Any) -> bool:
    return bool(file.colorinterp[-1] == ColorInterp.alpha)
