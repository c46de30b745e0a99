"""One band of one product: where its file is, on what grid, and how its numbers become a measure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.warp import transform_bounds
from rasterio.windows import Window

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
    stored: tuple[int, int] | None = None
    """Of a stored member of a zip: the offset of its local header, and its size."""

    @property
    def geobox(self) -> GeoBox:
        """The native grid."""
        return GeoBox(self.shape, Affine(*self.transform), f"EPSG:{self.epsg}")

    @property
    def fill(self) -> float | int:
        """What stands for no data in the output: NaN, or the file's own number for classes."""
        return float("nan") if np.dtype(self.dtype).kind == "f" else int(self.nodata or 0)

    def halved(self, level: int) -> Source:
        """Give the same band with pixels ``2 ** level`` as large: the grid of its overview."""
        a, b, c, d, e, f = self.transform
        step = 1 << level
        rows, cols = self.shape
        return replace(self, transform=(a * step, b, c, d, e * step, f), shape=(-(-rows // step), -(-cols // step)))

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
        left, bottom, right, top = transform_bounds(grid.crs, f"EPSG:{self.epsg}", *grid.boundingbox.bbox)
        rows, cols = self.shape
        return bool(left < c + (cols + 1) * a and right > c - a and top > f + (rows + 1) * e and bottom < f - e)

    def there(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the file's numbers are data; NaN never is."""
        there = np.ones(numbers.shape, bool) if self.nodata is None else numbers != self.nodata
        return there & ~np.isnan(numbers) if numbers.dtype.kind == "f" else there

    def contradiction(self, problem: str) -> GeodesError:
        """The error of a file that is not what its metadata says."""
        return GeodesError(
            f"Band {self.band} of {self.product} contradicts its metadata: the file {problem}; leave the product out."
        )
