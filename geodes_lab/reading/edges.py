"""The pixels of an overview of JPEG 2000 beside missing data: its wavelets mix both, and undershoot."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.raster import warp
from geodes_lab.raster.source import RasterSource, Span

_REACH = 4  # pixels of an overview that JPEG 2000's wavelets mix: 2 for the reversible one, 4 for the other
# Half the width of a kernel, in pixels of the output.
RADII = {
    Resampling.nearest: 0.5,
    Resampling.average: 0.5,
    Resampling.bilinear: 1.0,
    Resampling.cubic: 2.0,
    Resampling.cubic_spline: 2.0,
    Resampling.lanczos: 3.0,
}
"""The kernels that have one."""


class Pyramid(Hashable, Protocol):
    """The part of `geodes_lab.reading.image.Image` that is used here."""

    shapes: tuple[tuple[int, int], ...]
    scales: tuple[tuple[float, float], ...]
    wavelet: bool
    nodata: float | None

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """See `geodes_lab.reading.image.Image`."""


def doubtful(
    source: RasterSource,
    reduced: RasterSource,
    image: Pyramid,
    number: int,
    grid: GeoBox,
    resampling: Resampling,
    useful: tuple[Span, Span] | None = None,
) -> NDArray[np.bool_]:
    """Return for which pixels of a grid an overview of JPEG 2000 gives no reliable number.

    Its wavelet mixes nodata with data, and undershoots below zero beside an edge: the nodata number may be data.

    Parameters
    ----------
    source
        The band.
    reduced
        The grid of the overview.
    image, number
        Its file, and the number of the overview.
    grid, resampling
        See `level`.
    useful
        See `geodes_lab.reading.image.Image.read`.
    """
    by = far(reduced, grid, resampling)
    rows, cols = _around(reduced, grid, by)
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return np.zeros(grid.shape, bool)
    suspect = source.suspect(image.read(number, rows, cols, useful, source.index - 1)[source.index - 1])
    if not suspect.any():
        return np.zeros(grid.shape, bool)
    from scipy.ndimage import maximum_filter  # half a second, rarely needed

    near = maximum_filter(suspect.astype(np.uint8), 2 * by + 1)
    return _under(near, (rows, cols), reduced, grid)


def holes(
    source: RasterSource,
    reduced: RasterSource,
    image: Pyramid,
    number: int,
    grid: GeoBox,
    resampling: Resampling,
    useful: tuple[Span, Span] | None = None,
) -> NDArray[np.bool_]:
    """Return where an overview of JPEG 2000 has no data as far as can be told from the overview itself, or mixes it in.

    Its wavelet undershoots: a dark pixel may have nodata's number. Where three by three pixels have it, it is nodata,
    and pixels so near that the wavelet reaches it are no numbers of the product: beside nodata they are too dark.

    Parameters
    ----------
    source, reduced, image, number, grid, resampling, useful
        See `doubtful`.
    """
    by = far(reduced, grid, resampling)
    rows, cols = _around(reduced, grid, by)
    if source.nodata is None or rows[0] >= rows[1] or cols[0] >= cols[1]:
        return np.zeros(grid.shape, bool)
    numbers = image.read(number, rows, cols, useful, source.index - 1)[source.index - 1]
    is_hole = numbers == source.nodata
    if not is_hole.any():
        return np.zeros(grid.shape, bool)
    from scipy.ndimage import maximum_filter, minimum_filter  # half a second, rarely needed

    # As wide as the hole again, then as far as it is mixed in.
    more = 1 + (_REACH if resampling is Resampling.nearest else by - 2)
    near = maximum_filter(minimum_filter(is_hole.astype(np.uint8), 3, mode="nearest"), 2 * more + 1, mode="nearest")
    return _under(near, (rows, cols), reduced, grid)


def _around(reduced: RasterSource, grid: GeoBox, by: int) -> tuple[Span, Span]:
    """Return the rows and columns of an overview under a grid, with some pixels around them."""
    (top, bottom), (left, right) = reduced.spans(grid, 0)
    rows = max(top - by, 0), min(bottom + by, reduced.shape[0])
    cols = max(left - by, 0), min(right + by, reduced.shape[1])
    return rows, cols


def _under(
    numbers: NDArray[np.uint8], window: tuple[Span, Span], reduced: RasterSource, grid: GeoBox
) -> NDArray[np.bool_]:
    """Return whether the number below each pixel of a grid is not 0, of a window of an overview of JPEG 2000."""
    # The last sample of a wavelet also stands for the pixels after it, up to the edge of the image.
    beyond = [(0, int(span[1] == side)) for span, side in zip(window, reduced.shape, strict=True)]
    numbers = np.pad(numbers, beyond, "edge")
    corner = window[0][0], window[1][0]
    nearest, _ = warp.warped(numbers, np.ones(numbers.shape, bool), corner, reduced, grid, Resampling.nearest)
    return nearest.astype(bool)


def far(reduced: RasterSource, grid: GeoBox, resampling: Resampling) -> int:
    """Return the distance, in pixels of a JPEG 2000 overview, from which nodata may reach a pixel of a grid."""
    return _REACH + 1 + math.ceil(RADII[resampling] * max(reduced.ratios(grid)))
