"""Images in sensor geometry: rows and columns of a file without a map projection."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError, NotUnderstood
from geodes_lab.formats import gdal_dataset
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import pyramid
from geodes_lab.storage import gdal_env
from geodes_lab.storage.location import object_of
from geodes_lab.storage.request import Unreachable
from geodes_lab.util import limits

_CHUNK = 2048  # pixels


def window(source: RasterSource, rows: Span, cols: Span) -> NDArray[Any]:
    """Read a window of a file's own numbers, by tiles or strips where the format allows it, else by GDAL.

    A compressed member of a zip is first extracted into the user's cache, once, and a warning says so.

    Parameters
    ----------
    source
        The band; only the shape of its grid is used.
    rows, cols
        First and last (excluded) pixel; within the shape.

    Returns
    -------
    numpy.ndarray
        (rows, cols), the numbers in the file; other readers may hold the same array: do not write to it.

    Raises
    ------
    GeodesError
        If the file is missing, damaged, truncated or of another shape; the message names product, band and window.
    """
    source = _extracted(source)
    try:
        try:
            image = pyramid.image_of(source)
            shape = image.shapes[0]
            pixels = None
            if shape == source.shape:
                bands = image.read(0, rows, cols, None, source.index - 1)
                _refuse(source, len(bands))
                pixels = bands[source.index - 1]
        except NotUnderstood:
            shape, pixels = _by_gdal(source, rows, cols)
    except (RasterioError, OSError, Unreachable) as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
    else:
        if pixels is None:
            raise source.contradiction(f"has {shape[0]} × {shape[1]} pixels, not {source.shape[0]} × {source.shape[1]}")
        return pixels
    # Raised outside of the handler: GDAL's error would become the context, which a worker cannot pickle.
    raise GeodesError(
        f"Band {source.band} of {source.product} could not be read in rows {rows[0]} to {rows[1]} and columns "
        f"{cols[0]} to {cols[1]}: its file is damaged or out of reach ({reason}); fetch the product again, or leave "
        "it out."
    )


@lru_cache(maxsize=1024)
def _extracted(source: RasterSource) -> RasterSource:
    """Return a compressed member of a zip as the extracted file on disk; any other band unchanged."""
    if source.stored is not None or not source.href.startswith("/vsizip/"):
        return source
    member = Archive(object_of(source.href)).member(source.href.partition("}/")[2])
    return replace(source, href=member.place.gdal)


def _by_gdal(source: RasterSource, rows: Span, cols: Span) -> tuple[tuple[int, int], NDArray[Any] | None]:
    part = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])

    def read() -> tuple[tuple[int, int], NDArray[Any] | None]:
        with gdal_dataset.opened(source.href) as file:
            _refuse(source, file.count)
            return file.shape, file.read(source.index, window=part) if file.shape == source.shape else None

    return gdal_env.within(source.href, read)


def _refuse(source: RasterSource, count: int) -> None:
    if source.index > count:
        raise source.contradiction(f"has {count} bands, not {source.index}")


def lazy(source: RasterSource, dtype: str, rows: Span | None = None, chunks: tuple[int, int] | None = None) -> da.Array:
    """Return an image, or some rows of it, as a lazy array; nothing is opened until it is computed.

    Parameters
    ----------
    source
        The band.
    dtype
        The type of the file's numbers.
    rows
        First and last (excluded); None: all.
    chunks
        Rows and columns of a chunk; None: 2048.

    Returns
    -------
    dask.array.Array
        (rows, ``source.shape[1]``), the numbers in the file.
    """
    limits.refuse_image(source)
    first, last = rows or (0, source.shape[0])
    sizes = da.core.normalize_chunks(chunks or (_CHUNK, _CHUNK), (last - first, source.shape[1]), dtype=dtype)
    return da.map_blocks(_block, source=source, first=first, chunks=sizes, dtype=dtype, meta=np.empty((0, 0), dtype))


def _block(source: RasterSource, first: int, block_info: Any = None) -> NDArray[Any]:
    (top, bottom), cols = block_info[None]["array-location"]
    return window(source, (first + top, first + bottom), cols)
