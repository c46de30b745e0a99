"""A window of a band as numpy: by tiles of JPEG 2000 where they are understood, else by GDAL; masked, then scaled."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geodes_lab import gdal, jpeg2000
from geodes_lab.datalake import Unreachable
from geodes_lab.errors import GeodesError
from geodes_lab.jp2 import NotUnderstood
from geodes_lab.source import Source

ways: Counter[str] = Counter()
"""How often this process has read a window by ``tiles``, by ``gdal``, and by GDAL since tiles were not understood."""


def read(source: Source, grid: GeoBox, resampling: str = "nearest") -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read one band on a grid.

    Parameters
    ----------
    source
        The band.
    grid
        The output grid; where it lies on the source's own pixels, they are pasted as they are.
    resampling
        How to resample where it does not: a name of `rasterio.enums.Resampling`.

    Returns
    -------
    values : numpy.ndarray
        ``grid.shape`` values of ``source.dtype``: the measure, or the class; ``source.fill`` where there is none.
    valid : numpy.ndarray
        Where the product has data: neither nodata nor beyond its edge.

    Raises
    ------
    GeodesError
        If the file is missing, damaged or cut, or lies elsewhere than its metadata says; names product, band, window.
    """
    values = np.full(grid.shape, source.fill, dtype=source.dtype)
    valid = np.zeros(grid.shape, bool)
    if not source.touches(grid):
        return values, valid
    reason = ""
    try:
        numbers, there, rows, cols = _numbers(source, grid, Resampling[resampling])
    except (RasterioError, OSError, Unreachable) as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason.partition("?")[0]  # a signature in an address is not shown
    if reason:
        # Raised outside the handler: GDAL's error would travel along as the context, and cannot be pickled by a worker.
        bounds = ", ".join(f"{v:.0f}" for v in grid.boundingbox.bbox)
        raise GeodesError(
            f"Band {source.band} of {source.product} could not be read at ({bounds}) in EPSG:{grid.crs.epsg}: its file "
            f"is damaged or out of reach ({reason}); fetch the product again, or leave it out."
        )
    if (source.scale, source.offset) != (1.0, 0.0):
        measure = numbers.astype(source.dtype)
        measure *= np.asarray(source.scale, source.dtype)
        measure += np.asarray(source.offset, source.dtype)
        numbers = measure
    np.copyto(values[rows, cols], numbers, where=there, casting="unsafe")
    valid[rows, cols] = there
    return values, valid


def _numbers(source: Source, grid: GeoBox, resampling: Resampling) -> gdal.Numbers:
    if source.href.lower().endswith((".jp2", ".j2k")):
        try:
            found = jpeg2000.numbers(source, grid, resampling)
        except NotUnderstood:
            ways["not understood"] += 1
        else:
            ways["tiles"] += 1
            return found
    ways["gdal"] += 1
    return gdal.numbers(source, grid, resampling)


def lazy(source: Source, chunk: int = 1024) -> da.Array:
    """One band on its own grid as a lazy array; nothing is opened until it is computed.

    Returns
    -------
    dask.array.Array
        ``source.shape`` values of ``source.dtype``, in chunks of ``chunk`` pixels from the file's first pixel: where
        the file is tiled so, each tile is decoded once.
    """
    chunks = da.core.normalize_chunks(chunk, source.shape, dtype=source.dtype)
    return da.map_blocks(_block, source=source, chunks=chunks, dtype=source.dtype, meta=np.empty((0, 0), source.dtype))


def _block(source: Source, block_info: Any = None) -> NDArray[Any]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    return read(source, source.geobox[top:bottom, left:right])[0]


class MosaicReader:
    """stackstac's Reader for one slice of a cube: several products of one day, pasted one over the other.

    stackstac passes whatever stands in the ``url`` column of its asset table: here a tuple of `Source`, in order of
    precedence. Each has its own radiometry, so that products of two baselines meet in one slice. Our reader replaces
    stackstac's own because that one ignores overviews, has no mosaic, and decodes JPEG 2000 one band at a time.
    """

    def __init__(
        self,
        *,
        url: tuple[Source, ...],
        spec: Any,
        resampling: Resampling,
        dtype: DTypeLike,
        fill_value: float | int,
        scale_offset: tuple[float, float],
        gdal_env: Any,
        errors_as_nodata: tuple[Exception, ...] = (),
    ) -> None:
        self.sources = url
        self.spec = spec
        self.resampling = resampling
        self.dtype = np.dtype(dtype)
        self.fill_value = fill_value

    def read(self, window: Window) -> NDArray[Any]:
        """Read a window of the cube's grid: the first product with data wins each pixel."""
        shape = (int(window.height), int(window.width))
        grid = GeoBox(
            shape, self.spec.transform * Affine.translation(window.col_off, window.row_off), f"EPSG:{self.spec.epsg}"
        )
        out = np.full(shape, self.fill_value, self.dtype)
        empty = np.ones(shape, bool)
        for source in self.sources:
            values, valid = read(source, grid, self.resampling.name)
            np.copyto(out, values, where=empty & valid, casting="same_kind")
            empty &= ~valid
            if not empty.any():
                break
        return out

    def close(self) -> None:
        """Nothing stays open between reads."""
