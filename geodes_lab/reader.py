"""A window of a band as numpy: pasted where the grids agree, warped only where they do not, masked, then scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import DTypeLike, NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geodes_lab.datalake import gdal_options
from geodes_lab.errors import GeodesError


@dataclass(frozen=True)
class Source:
    """One band of one product: where its file is, on what grid, and how its numbers become a measure."""

    href: str
    """The path by which GDAL opens the file in place."""
    product: str
    """The product's name, for errors and provenance."""
    band: str
    """The band's name in the product."""
    epsg: int
    """The EPSG code of the native grid."""
    transform: tuple[float, float, float, float, float, float]
    """Pixel to CRS, as in ``proj:transform``: metres a pixel, origin at the outer corner of the first pixel."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str = "float32"
    """What a reader gives: ``float32`` for a measure, an integer for classes and masks."""
    scale: float = 1.0
    """Measure = ``number * scale + offset``."""
    offset: float = 0.0
    """See ``scale``; applied after nodata is masked."""
    nodata: float | None = None
    """The number that stands for no data in the file."""
    index: int = 1
    """Which band of the file, from 1."""

    @property
    def geobox(self) -> GeoBox:
        """The native grid."""
        return GeoBox(self.shape, Affine(*self.transform), f"EPSG:{self.epsg}")

    @property
    def fill(self) -> float | int:
        """What stands for no data in the output: NaN, or the file's own number for classes."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else int(self.nodata or 0)


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
    place = native_window(source, grid)
    if place is not None and 0 in (place[2].width, place[2].height):
        return values, valid
    reason = ""
    try:
        numbers, there, rows, cols = _numbers(source, grid, place, Resampling[resampling])
    except (RasterioError, OSError) as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
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


def _numbers(
    source: Source, grid: GeoBox, place: tuple[slice, slice, Window] | None, resampling: Resampling
) -> tuple[NDArray[Any], NDArray[np.bool_], slice, slice]:
    """The file's own numbers, where they are data, and to which rows and columns of the grid they go."""
    with rasterio.Env(**gdal_options(source.href)), rasterio.open(source.href) as file:
        _confirm(source, file)
        if place is None:
            return *_warp(source, file, grid, resampling), slice(None), slice(None)
        rows, cols, window = place
        numbers = file.read(source.index, window=window)
        return numbers, _there(numbers, source.nodata), rows, cols


def _there(numbers: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Where the file's numbers are data; NaN never is."""
    there = np.ones(numbers.shape, bool) if nodata is None else numbers != nodata
    return there & ~np.isnan(numbers) if numbers.dtype.kind == "f" else there


def native_window(source: Source, grid: GeoBox) -> tuple[slice, slice, Window] | None:
    """Where a grid lies on the source's own pixels: output rows, output columns, window of the file.

    None if the grid has another CRS, another resolution, or cuts through pixels. The window is empty where the grid
    lies beyond the file's edge.
    """
    a, b, c, d, e, f = source.transform
    g = grid.affine
    if grid.crs.epsg != source.epsg or max(abs(g.a - a), abs(g.b - b), abs(g.d - d), abs(g.e - e)) > 1e-9 * abs(a):
        return None
    col, row = (g.c - c) / a, (g.f - f) / e
    if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
        return None
    col, row = round(col), round(row)
    height, width = grid.shape
    left, top = max(col, 0), max(row, 0)
    right, bottom = min(col + width, source.shape[1]), min(row + height, source.shape[0])
    return (
        slice(top - row, max(bottom, top) - row),
        slice(left - col, max(right, left) - col),
        Window(left, top, max(right - left, 0), max(bottom - top, 0)),
    )


def _confirm(source: Source, file: Any) -> None:
    """Hold the file against what its metadata said: data are never put where they are not."""
    if file.shape != source.shape:
        problem = f"has {file.shape[0]} × {file.shape[1]} pixels, not {source.shape[0]} × {source.shape[1]}"
    elif file.crs and file.crs.to_epsg() not in (None, source.epsg):
        problem = f"is in EPSG:{file.crs.to_epsg()}, not EPSG:{source.epsg}"
    elif file.crs and not file.transform.almost_equals(Affine(*source.transform), precision=1e-3):
        problem = (
            f"begins at ({file.transform.c}, {file.transform.f}), not ({source.transform[2]}, {source.transform[5]})"
        )
    else:
        return
    raise GeodesError(
        f"Band {source.band} of {source.product} contradicts its metadata: the file {problem}; leave the product out."
    )


def _warp(source: Source, file: Any, grid: GeoBox, resampling: Resampling) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp numbers as they are in the file, with their nodata left out of every average."""
    height, width = grid.shape
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
        nodata=source.nodata,
        add_alpha=source.nodata is None,
        warp_mem_limit=256,
    ) as warped:
        numbers = warped.read(source.index)
        there = _there(numbers, source.nodata)
        return numbers, there if source.nodata is not None else there & (warped.read(warped.count) > 0)


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
