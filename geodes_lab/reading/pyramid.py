"""Numbers of a band from an image and its overviews.

They come from the next finer level, pasted where the grids agree, else warped.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.raster import globe, pixel_places, warp
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import edges, overview, second_look, wavelet_mean
from geodes_lab.reading.gdal import Numbers
from geodes_lab.reading.image import Image, image_of, is_zarr_array
from geodes_lab.reading.kept_overview import WithKept
from geodes_lab.util import limits

__all__ = ["Image", "NotUnderstood", "image_of", "numbers"]

_AT_ONCE = 2**26  # pixels of an image that are warped at once: with a warp's buffers, a gigabyte


def numbers(source: RasterSource, grid: GeoBox, resampling: Resampling, within: GeoBox | None = None) -> Numbers:
    """Read the file's own numbers on a grid; returns what `gdal.numbers` returns.

    A grid coarser than the band's own is read from an overview (see `overview.level`), except for classes, which no
    overview preserves. Doubtful numbers beside nodata are read from the image itself, unless it is only looked at.

    Parameters
    ----------
    source, grid, resampling
        See `gdal.numbers`.
    within
        The larger grid that ``grid`` is a chunk of: the part of a tile beyond it is not decoded.

    Raises
    ------
    NotUnderstood
        If it is not an image that can be read by tiles; only its header has been read then.
    """
    image = image_of(source)
    _confirm(source, image)
    if source.is_picture and isinstance(image, jpeg2000_image.Jpeg2000):
        image = WithKept(image)
    level = 0 if source.place_on(grid) else overview.level(source, image, grid, resampling)
    return _at(source, image, level, grid, resampling, within)


def _at(
    source: RasterSource, image: Image, level: int, grid: GeoBox, resampling: Resampling, within: GeoBox | None
) -> Numbers:
    """Read the file's own numbers on a grid from one overview; 0: from the image itself."""
    if not level:
        return _read(source, image, 0, grid, resampling, _useful(source, within))
    scale, shape = image.scales[level], image.shapes[level]
    placed = source.reduced(scale, shape, image.wavelet)
    block = source.reduced(scale, shape)
    # The first pixel of a block is within half a block of its middle.
    reduced = block if resampling is Resampling.nearest and block.place_on(grid) else placed
    if not image.wavelet:
        return _read(reduced, image, level, grid, resampling, _useful(reduced, within))
    useful = _useful(placed, within, edges.far(placed, grid, resampling))
    means = wavelet_mean.of(source, image) if resampling is Resampling.average else None
    mean = means.mean(level, grid, useful) if means is not None else None
    seen: edges.Pyramid = image if means is None or mean is None else means
    plain = replace(reduced, nodata=None, saturated=None)
    result = _whole(grid, _read(plain, image, level, grid, resampling, useful)) if mean is None else mean
    if resampling is Resampling.nearest and reduced is placed:
        result = result[0], result[1] & pixel_places.inside(source, grid)
    if source.is_picture:
        return (
            result[0],
            result[1] & ~edges.holes(source, placed, seen, level, grid, resampling, useful),
            slice(None),
            slice(None),
        )
    if (source.nodata, source.saturated) != (None, None):
        doubtful = edges.doubtful(source, placed, seen, level, grid, resampling, useful)

        def read(here: GeoBox, finer: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            return _whole(here, _at(source, image, finer, here, resampling, here))

        second_look.replace(source, level, grid, doubtful, result[0], result[1], read)
    return *result, slice(None), slice(None)


def _read(
    reduced: RasterSource,
    image: Image,
    level: int,
    grid: GeoBox,
    resampling: Resampling,
    useful: tuple[Span, Span] | None,
) -> Numbers:
    """Read the image or one overview: pasted where the grids agree, else warped."""
    place = reduced.place_on(grid)
    if place is None:
        return _warp(reduced, image, level, grid, resampling, useful)
    rows, cols, window = place
    top, left = int(window.row_off), int(window.col_off)
    spans = (top, top + int(window.height)), (left, left + int(window.width))
    values, there = _window(reduced, image, level, *spans, useful)
    return values, there, rows, cols


def _useful(reduced: RasterSource, within: GeoBox | None, more: int = 0) -> tuple[Span, Span] | None:
    """Return a part as wide as the windows of all chunks, so that all need the same part of a tile."""
    if within is None:
        return None
    (top, bottom), (left, right) = reduced.spans(within)
    rows, cols = reduced.shape
    return (max(top - more, 0), min(bottom + more, rows)), (max(left - more, 0), min(right + more, cols))


def _whole(grid: GeoBox, values: Numbers) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the numbers of a whole grid, which may be written to."""
    numbers, there, rows, cols = values
    out, known = np.zeros(grid.shape, numbers.dtype), np.zeros(grid.shape, bool)
    out[rows, cols], known[rows, cols] = numbers, there
    return out, known


def _confirm(source: RasterSource, image: Image) -> None:
    rows, cols = image.shapes[0]
    if (rows, cols) != source.shape:
        raise source.contradiction(f"has {rows} × {cols} pixels, not {source.shape[0]} × {source.shape[1]}")
    if image.epsg is not None and image.epsg != source.epsg:
        raise source.contradiction(f"is in EPSG:{image.epsg}, not EPSG:{source.epsg}")
    a, _, c, _, e, f = source.transform
    x, y = image.centre[0] - a / 2 + source.turned * globe.TURN, image.centre[1] - e / 2
    if not math.isnan(x) and max(abs((x - c) / a), abs((y - f) / e)) > 1e-3:
        raise source.contradiction(f"begins at ({x}, {y}), not ({c}, {f})")


def _window(
    reduced: RasterSource, image: Image, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a window of the image, and where it is data."""
    if useful is not None:
        useful = _union(useful[0], rows), _union(useful[1], cols)
    bands = image.read(level, rows, cols, useful, reduced.index - 1)
    if reduced.index > len(bands):
        raise reduced.contradiction(f"has {len(bands)} bands, not {reduced.index}")
    band = bands[reduced.index - 1]
    return band, reduced.there(band)


def _union(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])


def _warp(
    reduced: RasterSource,
    image: Image,
    level: int,
    grid: GeoBox,
    resampling: Resampling,
    useful: tuple[Span, Span] | None,
) -> Numbers:
    """Warp the part of the band that the grid needs; nodata is excluded from every average."""
    rows, cols = reduced.spans(grid, warp.margin(reduced, grid, resampling))
    everywhere = slice(None), slice(None)
    # The last sample of a wavelet also stands for the pixels after it, up to the edge of the image.
    is_last = image.wavelet and level > 0 and resampling is Resampling.nearest
    if is_last:
        rows, cols = (
            (min(w[0], n - 1), w[1]) if w[1] == n else w for w, n in zip((rows, cols), reduced.shape, strict=True)
        )
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return np.zeros(grid.shape, "uint16"), np.zeros(grid.shape, bool), *everywhere
    pixels = (rows[1] - rows[0]) * (cols[1] - cols[0])
    limits.refuse_pixels(reduced, pixels)
    if pixels > _AT_ONCE and not is_zarr_array(reduced):
        raise NotUnderstood("a window that is too large to be warped at once: GDAL does so in parts")
    if pixels > _AT_ONCE and max(grid.shape) > 1:
        axis = int(grid.shape[1] > grid.shape[0])
        middle = grid.shape[axis] // 2
        halves = (grid[:, :middle], grid[:, middle:]) if axis else (grid[:middle], grid[middle:])
        parts = [_warp(reduced, image, level, half, resampling, useful) for half in halves]
        numbers, there = (np.concatenate([p[n] for p in parts], axis) for n in (0, 1))
        return numbers, there, *everywhere
    window, there = _window(reduced, image, level, rows, cols, useful)
    if is_last:
        beyond = [(0, int(w[1] == n)) for w, n in zip((rows, cols), reduced.shape, strict=True)]
        window, there = np.pad(window, beyond, "edge"), np.pad(there, beyond, "edge")
    return *warp.warped(window, there, (rows[0], cols[0]), reduced, grid, resampling), *everywhere
