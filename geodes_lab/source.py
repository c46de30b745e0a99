"""One band of one product: where its file is, on what grid, and how its numbers become a measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geodes_lab.errors import GeodesError

Span = tuple[int, int]
"""First pixel and last pixel (excluded), in rows or in columns."""

_MARGIN = 8  # pixels around the window of a warp: no kernel reaches further


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
    stored: tuple[int, int] | None = None
    """Of a stored member of a zip: the offset of its local header, and its size."""
    tile: tuple[int, int] | None = None
    """Rows and columns of a tile of the file, where the metadata tell."""
    overviews: int = 0
    """How many times the file can be read halved, as far as the metadata tell."""

    @property
    def geobox(self) -> GeoBox:
        """The native grid."""
        return _geobox(self.shape, self.transform, self.epsg)

    @property
    def fill(self) -> float | int:
        """What stands for no data in the output: NaN, or the file's own number for classes."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else int(self.nodata or 0)

    def reduced(self, scale: tuple[float, float], shape: tuple[int, int]) -> Source:
        """Give the same band with larger pixels, in y and in x: the grid of an overview."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a * scale[1], b, c, d, e * scale[0], f), shape=shape)

    def place_on(self, grid: GeoBox) -> tuple[slice, slice, Window] | None:
        """Where this band's own pixels lie on a grid: output rows, output columns, window of the file.

        None if the grid has another CRS, another resolution, or cuts through pixels. The window is empty where the grid
        lies beyond the file's edge.
        """
        a, b, c, d, e, f = self.transform
        g = grid.affine
        if grid.crs.epsg != self.epsg or max(abs(g.a - a), abs(g.b - b), abs(g.d - d), abs(g.e - e)) > 1e-9 * abs(a):
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
        """Whether any of the band lies on a grid; of another CRS by its bounds, widened by a pixel."""
        place = self.place_on(grid)
        if place is not None:
            return 0 not in (place[2].width, place[2].height)
        a, _, c, _, e, f = self.transform
        left, bottom, right, top = _bounds(grid, self.epsg)
        rows, cols = self.shape
        return bool(left < c + (cols + 1) * a and right > c - a and top > f + (rows + 1) * e and bottom < f - e)

    def ratio(self, grid: GeoBox) -> float:
        """How many of this band's pixels in a row make one of a grid's."""
        a, _, _, _, e, _ = self.transform
        if grid.crs.epsg == self.epsg:
            return float(min(abs(grid.affine.a / a), abs(grid.affine.e / e)))
        left, bottom, right, top = _bounds(grid, self.epsg)
        return float(min((right - left) / abs(a) / grid.shape[1], (top - bottom) / abs(e) / grid.shape[0]))

    def spans(self, grid: GeoBox) -> tuple[Span, Span]:
        """Rows and columns of this band that a grid may need, with the margin that a warp needs; empty if none.

        Each as the first and the last (excluded); the last may be less than the first where the grid lies beside.
        """
        return _spans(self.shape, self.transform, self.epsg, grid)

    def there(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the file's numbers are data; NaN never is."""
        there = np.ones(numbers.shape, bool) if self.nodata is None else numbers != self.nodata
        return there & ~np.isnan(numbers) if numbers.dtype.kind == "f" else there

    def contradiction(self, problem: str) -> GeodesError:
        """The error of a file that is not what its metadata says."""
        return GeodesError(
            f"Band {self.band} of {self.product} contradicts its metadata: the file {problem}; leave the product out."
        )


@dataclass(frozen=True)
class Mask:
    """Which numbers of a band of classes hide the pixels of the other bands."""

    source: Source
    """The band of classes."""
    values: tuple[int, ...] = ()
    """The numbers that hide."""
    bits: int = 0
    """Or the bits, where the band is a field of bits; 0: it is none."""

    def hides(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the numbers of the band hide a pixel."""
        hidden: NDArray[np.bool_] = (numbers & self.bits) != 0 if self.bits else np.isin(numbers, self.values)
        return hidden


@lru_cache(maxsize=256)
def _geobox(shape: tuple[int, int], transform: tuple[float, ...], epsg: int) -> GeoBox:
    """Thousands of products lie on a few grids."""
    return GeoBox(shape, Affine(*transform), f"EPSG:{epsg}")


@lru_cache(maxsize=1024)
def _spans(shape: tuple[int, int], transform: tuple[float, ...], epsg: int, grid: GeoBox) -> tuple[Span, Span]:
    a, _, c, _, e, f = transform
    same = grid.crs.epsg == epsg
    left, bottom, right, top = _bounds(grid, epsg)
    on_pixels = same and abs(grid.affine.a - a) < 1e-9 * abs(a)
    margin = 0 if on_pixels else _MARGIN
    col0, col1 = math.floor((left - c) / a + 1e-3) - margin, math.ceil((right - c) / a - 1e-3) + margin
    row0, row1 = math.floor((top - f) / e + 1e-3) - margin, math.ceil((bottom - f) / e - 1e-3) + margin
    return (max(row0, 0), min(row1, shape[0])), (max(col0, 0), min(col1, shape[1]))


@lru_cache(maxsize=4096)
def _bounds(grid: GeoBox, epsg: int) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid in another CRS."""
    box = grid.boundingbox.bbox
    return box if grid.crs.epsg == epsg else transform_bounds(grid.crs, f"EPSG:{epsg}", *box)
