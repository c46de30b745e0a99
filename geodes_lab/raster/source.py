"""One band of one product: where its file is, its grid, and how its numbers become a measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geodes_lab.errors import GeodesError
from geodes_lab.raster import copies, globe, overlap
from geodes_lab.raster.geometry import Gridder, PredictedBand

Span = tuple[int, int]
"""First pixel and last pixel (excluded), in rows or in columns."""

_FIFTEEN_BITS = 2**15 - 1
MARGIN = 8  # pixels around the window of a warp: no kernel reaches further


@dataclass(frozen=True)
class RasterSource:
    """One band of one product: where its file is, its grid, and how its numbers become a measure."""

    href: str
    """The path by which GDAL opens the file in place."""
    product: str
    """The product's name, for errors and provenance."""
    band: str
    """The band's name in the product."""
    epsg: int
    """The EPSG code of the native grid."""
    transform: tuple[float, float, float, float, float, float]
    """Pixel to CRS, as in ``proj:transform``: metres per pixel, origin at the outer corner of the first pixel."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str = "float32"
    """The type of the values: ``float32`` for a measure, an integer for classes and masks."""
    scale: float = 1.0
    """Measure = ``number * scale + offset``."""
    offset: float = 0.0
    """See ``scale``; applied after nodata is masked."""
    nodata: float | None = None
    """The number that stands for no data in the file."""
    saturated: float | None = None
    """The number that stands for saturation: more than can be measured, and not a measure."""
    index: int = 1
    """The number of the band in the file, from 1."""
    stored: tuple[int, int] | None = None
    """For a stored member of a zip: the offset of its local header, and its size."""
    tile: tuple[int, int] | None = None
    """Rows and columns of a tile of the file, if the metadata have them."""
    overviews: int = 0
    """How many times the file can be read at half the size, according to the metadata."""
    exact: bool = False
    """Whether means must come from the file's own pixels, without overviews."""
    promise: PredictedBand | None = None
    """Finds the rest at the first access, if ``href``, ``stored`` and radiometry are only predicted."""
    native: Gridder | None = None
    """Puts the band on a grid, if the file has none; ``transform`` and ``shape`` are then a suitable grid."""
    turned: int = 0
    """Whole turns of the Earth by which ``transform`` is moved from the file's degrees; see `moved`."""
    is_picture: bool = False
    """Whether it is only looked at: what an overview leaves in doubt beside no data is not looked up in the image."""
    is_class: bool = False
    """Whether the numbers are classes or bits: they are not averaged, and not read from overviews."""

    def moved(self, turn: int) -> RasterSource:
        """Return a band in degrees at the same place, whole turns of the Earth further east."""
        a, b, c, d, e, f = self.transform
        return (
            replace(self, transform=(a, b, c + turn * globe.TURN, d, e, f), turned=self.turned + turn) if turn else self
        )

    def copies(self, grid: GeoBox) -> list[RasterSource]:
        """Return the copies of the band that a grid needs.

        None or one; two for a band in degrees on both sides of where its file begins.
        """
        of_grid = (grid.height, grid.width), tuple(grid.affine)[:6], str(grid.crs)
        turns = copies.turns(self.shape, self.transform, self.epsg, self.native is None, *of_grid)
        return [self.moved(turn) for turn in turns]

    def resolved(self) -> RasterSource:
        """Return the real band, if it was only predicted; see `PredictedBand`."""
        return self if self.promise is None else self.promise.resolve(self)

    @property
    def geobox(self) -> GeoBox:
        """The native grid."""
        return copies.geobox(self.shape, self.transform, self.epsg)

    @property
    def fill(self) -> float | int:
        """The value for no data in the output: NaN, or the file's own number for classes."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else int(self.nodata or 0)

    def reduced(self, scale: tuple[float, float], shape: tuple[int, int], is_wavelet: bool = False) -> RasterSource:
        """Return the same band with larger pixels, in y and in x: the grid of an overview.

        The centre of a wavelet's pixel is the centre of the first pixel that it stands for.
        """
        a, b, c, d, e, f = self.transform
        if is_wavelet:
            c, f = c - a * (scale[1] - 1) / 2, f - e * (scale[0] - 1) / 2
        return replace(self, transform=(a * scale[1], b, c, d, e * scale[0], f), shape=shape)

    def place_on(self, grid: GeoBox) -> tuple[slice, slice, Window] | None:
        """Return where this band's own pixels are on a grid: output rows, output columns, window of the file.

        None if the grid has another CRS, another resolution, or cuts through pixels. The window is empty if the grid is
        beyond the file's edge.
        """
        a, b, c, d, e, f = self.transform
        g = grid.affine
        if grid.crs.epsg != self.epsg or max(abs(g.a - a), abs(g.d - d)) > 1e-9 * abs(a):
            return None
        if max(abs(g.b - b), abs(g.e - e)) > 1e-9 * abs(e):
            return None
        col, row = (g.c - c) / a, (g.f - f) / e
        if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
            return None
        col, row = round(col), round(row)
        height, width = grid.shape
        left, top = max(col, 0), max(row, 0)
        right, bottom = min(col + width, self.shape[1]), min(row + height, self.shape[0])
        return (
            slice(top - row, max(bottom, top) - row),
            slice(left - col, max(right, left) - col),
            Window(left, top, max(right - left, 0), max(bottom - top, 0)),
        )

    def touches(self, grid: GeoBox) -> bool:
        """Whether any part of the band is on a grid; in another CRS by its bounds, widened by a pixel."""
        place = self.place_on(grid)
        if place is not None:
            return 0 not in (place[2].width, place[2].height)
        box = overlap.bounds(grid, self.geobox)
        if box is None:
            return False
        a, _, c, _, e, f = self.transform
        left, bottom, right, top = box
        rows, cols = self.shape
        x, y = sorted((c, c + cols * a)), sorted((f, f + rows * e))
        return bool(left < x[1] + abs(a) and right > x[0] - abs(a) and top > y[0] - abs(e) and bottom < y[1] + abs(e))

    def ratio(self, grid: GeoBox) -> float:
        """Return how many of this band's pixels in a row fit in one pixel of a grid."""
        return min(self.ratios(grid))

    def ratios(self, grid: GeoBox) -> tuple[float, float]:
        """Return how many of this band's pixels fit in one pixel of a grid, down and across.

        In another CRS, measured in the middle of the band: the same for all grids of a resolution, whatever their
        extent.
        """
        return overlap.ratios(self.geobox, grid.crs, abs(grid.affine.a), abs(grid.affine.e))

    def spans(self, grid: GeoBox, margin: int = MARGIN) -> tuple[Span, Span]:
        """Return the rows and columns of this band that a grid may need, with the margin of a warp; empty if none.

        Each is the first and the last (excluded); the last may be less than the first if the grid is beside the band.
        With a ``margin`` of 0, only the pixels under the grid.
        """
        # Thousands of products are on one grid.
        return _spans(RasterSource("", "", "", self.epsg, self.transform, self.shape), grid, margin)

    def there(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where the file's numbers are data; NaN and saturation are not."""
        there = np.ones(numbers.shape, bool) if self.nodata is None else numbers != self.nodata
        if self.saturated is not None:
            there &= ~self.is_saturated(numbers)
        return there & ~np.isnan(numbers) if numbers.dtype.kind == "f" else there

    def is_saturated(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where the file's numbers mean saturation.

        In 15 bits, as ESA encodes Sentinel-2, 65535 became the largest 15-bit number.
        """
        if self.saturated is None:
            return np.zeros(numbers.shape, bool)
        is_equal: NDArray[np.bool_] = numbers == self.saturated
        return is_equal | (numbers == _FIFTEEN_BITS) if self.saturated > _FIFTEEN_BITS else is_equal

    def suspect(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where numbers of a wavelet overview may contain some nodata.

        In most files nodata is far from any measure: a number is in doubt if it is nearer to nodata than to a measure
        of 0, or more than half of saturation.
        """
        highest = None if self.saturated is None else min(self.saturated, _FIFTEEN_BITS)
        is_high = np.zeros(numbers.shape, bool) if highest is None else numbers >= highest / 2
        if self.nodata is None:
            return is_high
        zero = -self.offset / self.scale
        low = numbers <= max((self.nodata + zero) / 2, self.nodata) if self.nodata <= zero else numbers >= self.nodata
        return is_high | low

    def contradiction(self, problem: str) -> GeodesError:
        """Return the error for a file that differs from its metadata."""
        return GeodesError(
            f"Band {self.band} of {self.product} does not agree with its metadata: the file {problem}; leave the "
            "product out."
        )


@lru_cache(maxsize=4096)
def _spans(source: RasterSource, grid: GeoBox, margin: int) -> tuple[Span, Span]:
    box = overlap.bounds(grid, source.geobox)
    if box is None:
        return (0, 0), (0, 0)
    a, _, c, _, e, f = source.transform
    down = across = 0
    if margin and source.place_on(grid) is None:
        # A kernel of GDAL widens with the ratio of the pixels.
        down, across = (max(margin, math.ceil(4 * r)) for r in source.ratios(grid))
    left, bottom, right, top = box
    cols, rows = sorted(((left - c) / a, (right - c) / a)), sorted(((top - f) / e, (bottom - f) / e))
    col0, col1 = math.floor(cols[0] + 1e-3) - across, math.ceil(cols[1] - 1e-3) + across
    row0, row1 = math.floor(rows[0] + 1e-3) - down, math.ceil(rows[1] - 1e-3) + down
    return (max(row0, 0), min(row1, source.shape[0])), (max(col0, 0), min(col1, source.shape[1]))


@lru_cache(maxsize=1024)  # the same for thousands of Items
def holds(dtype: str, number: float) -> bool:
    """Whether a file of this dtype can hold a number."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return not math.isfinite(number) or abs(number) <= np.finfo(kind).max
    if kind.kind not in "iu":
        return True
    limits = np.iinfo(kind)
    return math.isfinite(number) and number == int(number) and limits.min <= number <= limits.max
