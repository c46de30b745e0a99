"""The overviews of an image: which one serves a grid, and of what its pixels are made."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.raster import warp
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import edges

_SLACK = 1.01  # the overviews of a COG are slightly coarser than their factor
_FINER = 4  # times finer than the grid: an overview whose pixels are not means, if a mean is needed
WAVELET, MEAN, NEAR, UNLIKE = "wavelet", "mean", "near", "unlike"
"""The kind of an overview's pixels.

A coefficient of JPEG 2000, the mean of the pixels below, close to that mean, or different: picked or blurred.
"""

_NEAR = 0.05  # of the differences below: the distance from the mean
_SIDE = 32  # pixels of an overview that are compared with the image
_ENOUGH = 16  # of them whose pixels below are not all equal


def level(source: RasterSource, image: edges.Pyramid, grid: GeoBox, resampling: Resampling) -> int:
    """Choose the overview that serves a grid; 0: the image itself.

    ``nearest`` accepts any pixel within half a pixel of the grid, so the next finer overview serves. A mean of an
    overview's pixels is the image's mean if these are means; for a wavelet or a smoother kernel it is close to that if
    the overview is four times finer. Picked or blurred pixels serve no mean; and means serve no minimum, maximum,
    median or sum.

    Parameters
    ----------
    source
        The band.
    image
        Its file.
    grid
        The output grid.
    resampling
        The kernel.
    """
    if len(image.shapes) == 1 or not _may_serve(source, resampling):
        return 0
    if not image.wavelet and not _agree(source.nodata, image.nodata):
        return 0  # the overviews mix in a nodata value that the file does not declare
    ratio = source.ratio(grid) * _SLACK
    if resampling is not Resampling.nearest and ratio >= image.scales[1][0]:
        kind = WAVELET if image.wavelet else _kind(source, image)
        if kind == UNLIKE:
            return 0
        if (kind, resampling) == (MEAN, Resampling.average):
            nested = [
                n for n in range(1, len(image.scales)) if _nests(source.reduced(image.scales[n], image.shapes[n]), grid)
            ]
            if nested:
                return max(nested)
        ratio /= _FINER
    return max(n for n, scale in enumerate(image.scales) if n == 0 or max(scale) <= ratio)


def _nests(reduced: RasterSource, grid: GeoBox) -> bool:
    """Whether each pixel of a grid consists of whole pixels of an overview.

    The mean of their means is then the mean.
    """
    if grid.crs.epsg != reduced.epsg:
        return False
    a, _, c, _, e, f = reduced.transform
    to = grid.affine
    numbers = to.a / a, to.e / e, (to.c - c) / a, (to.f - f) / e
    return min(numbers[:2]) >= 1 - 1e-6 and all(abs(n - round(n)) < 1e-3 for n in numbers)


def expected(source: RasterSource, grid: GeoBox, resampling: Resampling, is_wavelet: bool) -> int:
    """Guess the overview that `level` will choose, before the file is opened.

    Assumes that each overview has half the size of the one before, and that its pixels are means, except for wavelets.
    """
    if not _may_serve(source, resampling):
        return 0
    ratio = source.ratio(grid) * _SLACK / _finer(WAVELET if is_wavelet else MEAN, resampling)
    return max(min(math.floor(math.log2(ratio)), source.overviews), 0)


def _may_serve(source: RasterSource, resampling: Resampling) -> bool:
    return np.dtype(source.dtype).kind == "f" and not source.is_class and not source.exact and resampling in edges.RADII


def _finer(kind: str, resampling: Resampling) -> float:
    return 1 if resampling is Resampling.nearest or (kind, resampling) == (MEAN, Resampling.average) else _FINER


def _agree(one: float | None, other: float | None) -> bool:
    return one is None or (other is not None and (one == other or (math.isnan(one) and math.isnan(other))))


@lru_cache(maxsize=1024)
def _kind(source: RasterSource, image: edges.Pyramid) -> str:
    """Find what the first overview's pixels are, from the image under some of them.

    The same for all windows of the file.
    """
    rows, cols = image.shapes[1]
    places = [(0.5, 0.5), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25)]
    kinds = (_compared(source, image, int(p * rows), int(q * cols)) for p, q in places)
    return next((kind for kind in kinds if kind), UNLIKE)


def _compared(source: RasterSource, image: edges.Pyramid, top: int, left: int) -> str | None:
    """Find what the first overview's pixels are at a place; None if all pixels below are equal."""
    high, wide = image.shapes[1]
    rows, cols = (top, min(top + _SIDE, high)), (left, min(left + _SIDE, wide))
    coarse = image.read(1, rows, cols, None, source.index - 1)[source.index - 1]
    reduced = source.reduced(image.scales[1], image.shapes[1])
    grid = reduced.geobox[rows[0] : rows[1], cols[0] : cols[1]]
    below, across = source.spans(grid, 0)
    fine = image.read(0, below, across, None, source.index - 1)[source.index - 1]
    there = source.there(fine)
    low, high_, mean = (
        warp.warped(fine, there, (below[0], across[0]), source, grid, r)
        for r in (Resampling.min, Resampling.max, Resampling.average)
    )
    whole, _ = warp.warped(
        there.astype(np.float32), np.ones(fine.shape, bool), (below[0], across[0]), source, grid, Resampling.min
    )
    use = (whole == 1) & source.there(coarse) & (high_[0].astype(float) > low[0])
    if use.sum() < _ENOUGH:
        return None
    value, true = coarse[use].astype(float), mean[0][use].astype(float)
    spread = high_[0][use].astype(float) - low[0][use]
    rounding = 0.0 if coarse.dtype.kind == "f" else 1.0
    if (np.abs(value - true) <= 0.02 * spread + rounding).mean() > 0.95:
        return MEAN
    off = float(np.sqrt(np.mean((value - true) ** 2) / np.mean(spread**2)))
    return NEAR if off <= _NEAR else UNLIKE
