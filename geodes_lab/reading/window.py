"""A window of a band as numpy: by JPEG 2000 or TIFF tiles where the format allows it, else by GDAL.

Masked, then scaled.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

import dask.array as da
import numpy as np
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geodes_lab.archive import member_index
from geodes_lab.errors import GeodesError, NotUnderstood
from geodes_lab.formats import gdal_dataset, gml
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import gdal, pyramid
from geodes_lab.storage import gdal_env as storage_gdal_env
from geodes_lab.storage import spelling
from geodes_lab.storage.request import Unreachable
from geodes_lab.util import limits

_log = logging.getLogger("geodes_lab.reading")

ways: Counter[str] = Counter()
"""How many windows this process has read by ``tiles``, and by ``gdal``."""


_CHUNK = 2048  # pixels
_LARGEST = 2**26  # pixels of a tile that is a chunk of its own; one strip of an image of 10980² has twice as many


def read(
    source: RasterSource, grid: GeoBox, resampling: str = "nearest", within: GeoBox | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read one band on a grid.

    Parameters
    ----------
    source
        The band.
    grid
        The output grid; where its pixels are the source's own, they are copied without resampling.
    resampling
        How to resample elsewhere: a name of `rasterio.enums.Resampling`.
    within
        The larger grid that ``grid`` is a chunk of, if any: the part of a tile beyond it is not decoded.

    Returns
    -------
    values : numpy.ndarray
        ``grid.shape`` values of ``source.dtype``: the measure, or the class; ``source.fill`` where there is no data.
    valid : numpy.ndarray
        Where the product has data: neither nodata nor beyond its edge.

    Raises
    ------
    GeodesError
        If the file is missing, damaged or truncated, or is not where its metadata say; the message names product, band
        and window.
    """
    if not source.touches(grid):
        return np.full(grid.shape, source.fill, dtype=source.dtype), np.zeros(grid.shape, bool)
    reason = ""
    try:
        source = source.resolved()
        numbers, there, rows, cols = _numbers(source, grid, Resampling[resampling], within)
    except (RasterioError, OSError, Unreachable) as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason.partition("?")[0]  # a signature in an address is not shown
    if reason:
        # Raised outside of the handler: GDAL's error would become the context, which a worker cannot pickle.
        bounds = ", ".join(f"{v:.0f}" for v in grid.boundingbox.bbox)
        raise GeodesError(
            f"Band {source.band} of {source.product} could not be read at ({bounds}) in EPSG:{grid.crs.epsg}: its "
            f"file is damaged or out of reach ({reason}); fetch the product again, or leave it out."
        )
    measure = _measure(source, numbers)
    if not there.all():
        measure[~there] = source.fill
    if measure.shape == grid.shape:
        return measure, there
    values = np.full(grid.shape, source.fill, dtype=source.dtype)
    valid = np.zeros(grid.shape, bool)
    values[rows, cols], valid[rows, cols] = measure, there
    return values, valid


def _measure(source: RasterSource, numbers: NDArray[Any]) -> NDArray[Any]:
    """Convert numbers to a new array, in as few passes as possible: this is the main cost beside decoding."""
    # a mean of a band that is declared as integers
    if numbers.dtype.kind == "f" and np.dtype(source.dtype).kind != "f":
        return np.rint(np.nan_to_num(numbers)).astype(source.dtype)
    if (source.scale, source.offset) == (1.0, 0.0):
        return numbers.astype(source.dtype)
    dtype = np.dtype(source.dtype)
    measure: NDArray[Any] = np.multiply(numbers, dtype.type(source.scale), dtype=dtype)
    if source.offset:
        measure += dtype.type(source.offset)
    return measure


def _numbers(source: RasterSource, grid: GeoBox, resampling: Resampling, within: GeoBox | None) -> gdal.Numbers:
    if source.native is not None:
        return *source.native.numbers(source, grid, resampling), slice(None), slice(None)
    if source.href.lower().endswith(".gml"):
        try:
            return *gml.numbers(source, grid), slice(None), slice(None)
        except NotUnderstood as error:
            raise OSError(str(error)) from None
    try:
        result = pyramid.numbers(source, grid, resampling, within)
    except NotUnderstood as error:
        ways["gdal"] += 1
        _log.info("Band %r of %r is read by GDAL, not by tiles: %r.", source.band, source.product, str(error)[:200])
        return gdal.numbers(source, grid, resampling)
    ways["tiles"] += 1
    return result


def lazy(source: RasterSource) -> da.Array:
    """Return one band on its own grid as a lazy array; nothing is opened until it is computed.

    Returns
    -------
    dask.array.Array
        ``source.shape`` values of ``source.dtype``, in chunks of whole tiles of the file, of 2048 pixels or a little
        less.
    """
    limits.refuse_image(source)
    tile = source.tile or (1024, 1024)
    if not 0 < min(tile) <= max(tile) <= limits.SIDE or tile[0] * tile[1] > _LARGEST:
        tile = (1024, 1024)  # the metadata's tile size is no reason to read a whole image at once
    chunk = tuple(max(_CHUNK // side, 1) * side for side in tile)
    chunks = da.core.normalize_chunks(chunk, source.shape, dtype=source.dtype)
    return da.map_blocks(_block, source=source, chunks=chunks, dtype=source.dtype, meta=np.empty((0, 0), source.dtype))


def _block(source: RasterSource, block_info: Any = None) -> NDArray[Any]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    return read(source, source.geobox[top:bottom, left:right])[0]


class Reader:
    """stackstac's Reader: pass it to ``stackstac.stack(items, reader=geodes_lab.reading.window.Reader, …)``.

    stackstac's own reader ignores overviews and decodes JPEG 2000 one band at a time; this one reads a stackstac cube
    through tiles and overviews. Information that stackstac does not forward (the band Item's nodata) comes from the
    file.
    """

    def __init__(
        self,
        *,
        url: str,
        spec: Any,
        resampling: Resampling,
        dtype: DTypeLike,
        fill_value: float | int,
        scale_offset: tuple[float, float],
        gdal_env: Any = None,
        errors_as_nodata: tuple[Exception, ...] = (),
    ) -> None:
        self.url = url
        self.spec = spec
        self.resampling = resampling
        self.dtype = np.dtype(dtype)
        self.fill_value = fill_value
        self.scale_offset = scale_offset

    def read(self, window: Window) -> NDArray[Any]:
        """Read a window of the grid of ``spec``."""
        shape = (int(window.height), int(window.width))
        affine = self.spec.transform * Affine.translation(window.col_off, window.row_off)
        grid = GeoBox(shape, affine, f"EPSG:{self.spec.epsg}")
        source = replace(_source(self.url), scale=self.scale_offset[0], offset=self.scale_offset[1])
        source = replace(source, dtype=str(np.result_type(self.dtype, "float32")))
        values, valid = read(source, grid, self.resampling.name)
        return np.where(valid, values, self.fill_value).astype(self.dtype)

    def close(self) -> None:
        """Nothing stays open between reads."""


@lru_cache(maxsize=4096)
def _source(url: str) -> RasterSource:
    """Describe the first band of a file from the file itself."""
    path = spelling.path_of(url)
    stored = member_index.stored(path)
    with storage_gdal_env.environment(path), gdal_dataset.opened(path) as file:
        epsg = gdal_dataset.epsg(file.crs)
        if epsg is None:
            raise GeodesError(f"{url} has no EPSG code in its file: it cannot be placed on a map.")
        grid, shape = tuple(file.transform)[:6], file.shape
        return RasterSource(path, url, "1", epsg, grid, shape, file.dtypes[0], nodata=file.nodata, stored=stored)
