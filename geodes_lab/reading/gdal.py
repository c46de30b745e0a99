"""Numbers of a band with GDAL: any raster that it opens, pasted where the grids agree, else warped."""

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
from rasterio.windows import Window

from geodes_lab.errors import GeodesError
from geodes_lab.formats import gdal_dataset
from geodes_lab.raster import warp
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage import gdal_env
from geodes_lab.util import limits

# Rasterio filters this warning within its own calls, but threads undo each other's filters: it would appear for grids
# that begin at zero.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.(features|warp)")

Numbers = tuple[NDArray[Any], NDArray[np.bool_], slice, slice]


def numbers(source: RasterSource, grid: GeoBox, resampling: Resampling) -> Numbers:
    """Read the file's own numbers on a grid.

    Returns
    -------
    numbers : numpy.ndarray
        The numbers in the file.
    there : numpy.ndarray
        Where they are data.
    rows, cols : slice
        The part of the grid that they fill.
    """
    return gdal_env.within(source.href, lambda: _read(source, grid, resampling))


def _read(source: RasterSource, grid: GeoBox, resampling: Resampling) -> Numbers:
    place = source.place_on(grid)
    if place is None:
        down, across = source.spans(grid)
        limits.refuse_pixels(source, max(down[1] - down[0], 0) * max(across[1] - across[0], 0))
    with gdal_dataset.opened(source.href) as file:
        _confirm(source, file)
        if place is None:
            return *_warp(source, file, grid, resampling), slice(None), slice(None)
        rows, cols, window = place
        stored = file.read(source.index, window=window)
        there = source.there(stored)
        if source.nodata is None and MaskFlags.per_dataset in file.mask_flag_enums[source.index - 1]:
            there &= file.read_masks(source.index, window=window) > 0  # a mask or an alpha band inside the file
        return stored, there, rows, cols


def _confirm(source: RasterSource, file: Any) -> None:
    """Check the file against its metadata: data must not be put in a wrong place."""
    if source.index > file.count:
        raise source.contradiction(f"has {file.count} bands, not {source.index}")
    if file.shape != source.shape:
        problem = f"has {file.shape[0]} × {file.shape[1]} pixels, not {source.shape[0]} × {source.shape[1]}"
    elif (epsg := gdal_dataset.epsg(file.crs)) not in (None, source.epsg):
        problem = f"is in EPSG:{epsg}, not EPSG:{source.epsg}"
    elif file.crs and not _lies(file, source):
        problem = (
            f"begins at ({file.transform.c}, {file.transform.f}), not ({source.transform[2]}, {source.transform[5]})"
        )
    else:
        return
    raise source.contradiction(problem)


def _lies(file: Any, source: RasterSource) -> bool:
    """Whether the file's first and last pixels are where its metadata say, to a thousandth of a pixel."""
    rows, cols = source.shape
    to = ~Affine(*source.moved(-source.turned).transform) * file.transform
    first, last = to * (0, 0), to * (cols, rows)
    return max(map(abs, first)) <= 1e-3 and max(abs(last[0] - cols), abs(last[1] - rows)) <= 0.05


def _warp(
    source: RasterSource, file: Any, grid: GeoBox, resampling: Resampling
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp the file's numbers, with their nodata excluded from every average."""
    if resampling in warp.OF_MEASURES and source.offset:
        raise GeodesError(
            f"Band {source.band} of {source.product} has an offset, and GDAL reads its file without the offset, so "
            f"resampling= cannot be {resampling.name!r} here: use 'average', or compute it from a cube at full "
            "resolution."
        )
    if source.saturated is not None:  # GDAL can exclude one number, not two
        rows, cols = source.spans(grid, warp.margin(source, grid, resampling))
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return np.zeros(grid.shape, file.dtypes[source.index - 1]), np.zeros(grid.shape, bool)
        stored = file.read(source.index, window=Window.from_slices(rows, cols))
        return warp.warped(stored, source.there(stored), (rows[0], cols[0]), source, grid, resampling)
    height, width = grid.shape
    # The mean of integers is not an integer; and a pixel without any source pixel is nodata, whatever its number.
    is_mean = resampling in warp.MEANS
    kind = file.dtypes[source.index - 1]
    working = ("float64" if np.dtype(kind).itemsize > 2 and kind != "float32" else "float32") if is_mean else None
    hole = float("nan") if is_mean and source.nodata is not None else source.nodata
    with WarpedVRT(
        file,
        src_crs=f"EPSG:{source.epsg}",
        src_transform=Affine(*source.transform),
        crs=str(grid.crs),
        transform=grid.affine,
        width=width,
        height=height,
        resampling=resampling,
        tolerance=warp.tolerance(resampling),
        src_nodata=source.nodata,
        nodata=hole,
        dtype=working,
        add_alpha=source.nodata is None and not _has_alpha(file),
        warp_mem_limit=256,
        **warp.options(source, grid),
    ) as warped:
        numbers = warped.read(source.index)
        there = ~np.isnan(numbers) if is_mean else source.there(numbers)
        return numbers, there if source.nodata is not None else there & (warped.read(warped.count) > 0)


def _has_alpha(file: Any) -> bool:
    return bool(file.colorinterp[-1] == ColorInterp.alpha)
