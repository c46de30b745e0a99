"""A mean from an overview of JPEG 2000, whose numbers are no means: their sum that is nearest to the true one.

An overview's number is a weighted sum of the pixels around it, with some negative weights. Which sum of such numbers is
nearest to the mean of the pixels below a larger one follows from those weights, if neighbouring pixels are alike. The
edges of tiles are taken into account: the wavelet mirrors the image there.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.formats.jpeg2000 import rough
from geodes_lab.formats.jpeg2000.image import Jpeg2000
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import edges

_ALIKE = 0.99  # the correlation of neighbouring pixels; 0.9 to 0.999 give the same mean to four digits
_REACH = 2  # numbers on each side of a mean that help
_MARGIN = 8  # more of them, beyond which a wavelet does not reach
_WIDEST = 16  # numbers under one pixel; with more, any weights do
_LONGEST = 2048  # pixels that are weighed together: the square of them is held, 32 MB
_COVERED = 1e-3  # pixels of the image below which a pixel of the grid has nothing
_MOST = 2**26  # numbers that are held at once
_ROUNDING, _SPARED = 0.5, 0.25
"""By how much more than the pixels below an overview's numbers are, on average: the wavelet's own roundings, each time
that the image is halved; and where its finest details lack bit planes."""

Weights = tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]
"""(out, n) the overview's rows or columns, (out, n) their weights, and (out,) whether there are any."""


class Means:
    """The numbers of an overview, as a mean needs them: see `edges.Pyramid`.

    Parameters
    ----------
    source
        The band.
    image
        Its file.
    """

    wavelet = True

    def __init__(self, source: RasterSource, image: Jpeg2000) -> None:
        self._source, self._image = source, image
        self.shapes, self.scales, self.nodata = image.shapes, image.scales, image.nodata

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """Read a window; where a number could be no data, the tile is read once more, with all of its bit planes."""
        numbers = self._image.read_roughly(level, rows, cols, useful)
        index, down, across = self._source.index - 1, *self._tile(level)
        out = numbers
        for top in range(rows[0] // down * down, rows[1], down):
            for left in range(cols[0] // across * across, cols[1], across):
                y, x = (max(top, rows[0]), min(top + down, rows[1])), (max(left, cols[0]), min(left + across, cols[1]))
                part = slice(y[0] - rows[0], y[1] - rows[0]), slice(x[0] - cols[0], x[1] - cols[0])
                some = numbers[index][part]
                ends = np.array([int(some.min()) - rough.SLACK, int(some.max()) + rough.SLACK])
                if self._source.suspect(ends).any():
                    out = numbers.copy() if out is numbers else out
                    out[:, *part] = self._image.read(level, y, x, useful, band)
        return out

    def _tile(self, level: int) -> Span:
        down, across = self._image.index.header.tile
        return min(down >> level, self.shapes[level][0]), min(across >> level, self.shapes[level][1])

    def mean(
        self, level: int, grid: GeoBox, useful: tuple[Span, Span] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        """Return the means of a grid from an overview, and where the image is; None: this grid or file needs a warp."""
        header, source = self._image.index.header, self._source
        a, b, c, d, e, f = source.transform
        to = grid.affine
        is_along = grid.crs.epsg == source.epsg and not any((b, d, to.b, to.d)) and to.a / a > 0 and to.e / e > 0
        widest = max(to.a / a, to.e / e) / (1 << level) if is_along else math.inf
        if header.wavelet != 1 or not header.prefixes or widest > _WIDEST:
            return None
        if (widest + 2 * (_REACH + _MARGIN + 1)) * (1 << level) > _LONGEST:
            return None
        down = _weights((to.f - f) / e, to.e / e, grid.shape[0], source.shape[0], header.tile[0], level)
        across = _weights((to.c - c) / a, to.a / a, grid.shape[1], source.shape[1], header.tile[1], level)
        there = np.logical_and.outer(down[2], across[2])
        if not there.any():
            return np.zeros(grid.shape, np.float32), there
        rows, cols = (_span(w) for w in (down, across))
        if (rows[1] - rows[0]) * (cols[1] - cols[0]) > _MOST:
            return None
        if useful is not None:
            useful = _union(useful[0], rows), _union(useful[1], cols)
        numbers = self.read(level, rows, cols, useful, source.index - 1)
        if source.index > len(numbers):
            raise source.contradiction(f"has {len(numbers)} bands, not {source.index}")
        of_rows = _summed(numbers[source.index - 1], down[0] - rows[0], down[1])
        means = _summed(np.ascontiguousarray(of_rows.T), across[0] - cols[0], across[1]).T
        means -= _ROUNDING * level + _SPARED * (rough.planes(header, level) is not None)
        return np.ascontiguousarray(means), there


def _summed(numbers: NDArray[Any], places: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weighted sums of rows."""
    out = np.zeros((len(places), numbers.shape[1]), np.float32)
    for n in range(places.shape[1]):
        out += numbers[places[:, n]] * weights[:, n, np.newaxis]
    return out


def _span(weights: Weights) -> Span:
    some = weights[0][weights[1] != 0]
    return int(some.min()), int(some.max()) + 1


def _union(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])


@lru_cache(maxsize=64)
def _weights(start: float, width: float, count: int, length: int, tile: int, level: int) -> Weights:
    """Return what makes the means along one axis.

    Parameters
    ----------
    start, width, count
        Where the grid begins, in pixels of the image, how many of them make one of its own, and its length.
    length, tile
        Pixels of the image and of its tiles.
    level
        The overview.
    """
    step, each = 1 << level, list[tuple[list[int], list[float]]]()
    for number in range(count):
        low, high = max(start + number * width, 0.0), min(start + (number + 1) * width, float(length))
        places, weights = list[int](), list[float]()
        for of in range(int(max(low, 0)) // tile, -(-math.ceil(max(high, 0)) // tile)) if high - low > _COVERED else ():
            begin, end = of * tile, min((of + 1) * tile, length)
            a, b = max(low, begin) - begin, min(high, end) - begin
            if b - a <= _COVERED:
                continue
            first = max((int(a / step) - _REACH - _MARGIN) * step, 0)
            last = min((math.ceil(b / step) + _REACH + _MARGIN) * step, end - begin)
            mine = _best(round(a - first, 4), round(b - first, 4), last - first, level)
            places += [(begin + first) // step + n for n in mine[0]]
            weights += [w * (b - a) / (high - low) for w in mine[1]]
        each.append((places, weights))
    most = max((len(p) for p, _ in each), default=1) or 1
    at, of_each = np.zeros((count, most), np.intp), np.zeros((count, most), np.float32)
    for number, (places, weights) in enumerate(each):
        if places:
            at[number] = places[0]
            at[number, : len(places)], of_each[number, : len(places)] = places, weights
    there: NDArray[np.bool_] = (of_each != 0).any(axis=1).astype(bool)
    at[~there] = at[there].min() if there.any() else 0
    return at, of_each, there


@lru_cache(maxsize=8192)
def _best(low: float, high: float, length: int, level: int) -> tuple[list[int], list[float]]:
    """Return the overview's numbers and weights that are nearest to the mean of some of ``length`` pixels."""
    step = 1 << level
    of_pixels = _low_pass(length, level)
    first = max(int(low / step) - _REACH, 0)
    last = min(math.ceil(high / step) + _REACH, len(of_pixels))
    some = of_pixels[first:last]
    covered = np.clip(np.minimum(np.arange(length) + 1, high) - np.maximum(np.arange(length), low), 0, 1) / (high - low)
    alike = _ALIKE ** np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    both = some @ alike
    # A slope stays as it is: the weights keep the mean of a constant image and of a plane.
    kept = np.stack([np.ones(length), np.arange(length) - (low + high - 1) / 2])[: len(some)]
    count, more = len(some), len(kept)
    system, wanted = np.zeros((count + more, count + more)), np.zeros(count + more)
    system[:count, :count], system[:count, count:] = both @ some.T, some @ kept.T
    system[count:, :count], wanted[:count], wanted[count:] = system[:count, count:].T, both @ covered, kept @ covered
    found = np.linalg.solve(system, wanted)[:count]
    return list(range(first, last)), [float(w) for w in found]


@lru_cache(maxsize=64)
def _low_pass(length: int, level: int) -> NDArray[np.float64]:
    """Return the weights of the pixels in each number of an overview: the 5/3 wavelet without its roundings."""
    numbers = np.eye(length)
    for _ in range(level):
        even, odd = numbers[::2].copy(), numbers[1::2].copy()
        if not len(odd):
            break
        after = np.concatenate([even[1:], even[-1:]])[: len(odd)]
        odd -= (even[: len(odd)] + after) / 2
        before, behind = np.concatenate([odd[:1], odd])[: len(even)], np.concatenate([odd, odd[-1:]])[: len(even)]
        numbers = even + (before + behind) / 4
    return numbers


def of(source: RasterSource, image: edges.Pyramid) -> Means | None:
    """Return the means of a file; None: it is no JPEG 2000."""
    return Means(source, image) if isinstance(image, Jpeg2000) else None
