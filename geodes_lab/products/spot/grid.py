"""A raw Spot scene on a map: placed with its corners or its location model, for each chunk of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.spot import dimap, location
from geodes_lab.products.spot.dimap import Scene
from geodes_lab.products.tiepoints import sampled
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import sensor_window
from geodes_lab.storage.location import place_of

_ORDERS = {Resampling.nearest: 0, Resampling.bilinear: 1, Resampling.cubic: 3}
_MARGIN = 16  # pixels of the image around the samples
_PIXELS = 2**22  # pixels of the image that are in memory at once


@dataclass(frozen=True)
class Placed:
    """Puts one band of a scene on a grid; a `geodes_lab.raster.source.Gridder`."""

    product: str
    """The path by which GDAL opens the product."""
    image: RasterSource
    """The band; only the shape of its grid is used."""
    way: str
    """A description of how the scene is placed."""
    satellite: str
    """Its number."""

    @property
    def note(self) -> str:
        """State that it is not an orthoimage."""
        return location.note(self.way, self.satellite)

    def numbers(
        self, source: RasterSource, grid: GeoBox, resampling: Resampling
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return numbers of the image on a grid, and where they are data; see `geodes_lab.raster.source.Gridder`."""
        order = _ORDERS.get(resampling)
        if order is None:
            raise GeodesError(
                f"Band {source.band} of {source.product} is in raw geometry: its resampling is nearest, bilinear or "
                f"cubic, not {resampling.name}."
            )
        line, pixel = _scene(self.product).location.ties.places(grid)
        out = np.full(grid.shape, np.nan, np.float32)
        rows, cols = self.image.shape
        inside = (line >= -0.5) & (line < rows - 0.5) & (pixel >= -0.5) & (pixel < cols - 0.5)
        if inside.any():
            line, pixel = line[inside], pixel[inside]
            left, right = max(int(pixel.min()) - _MARGIN, 0), min(int(pixel.max()) + _MARGIN + 2, cols)
            number = np.clip(np.rint(line).astype(int), 0, rows - 1) // max(_PIXELS // (right - left), 1)
            values = np.full(line.shape, np.nan, np.float32)
            for n in np.unique(number):
                here = number == n
                top, bottom = max(int(line[here].min()) - _MARGIN, 0), min(int(line[here].max()) + _MARGIN + 2, rows)
                numbers = sensor_window.window(self.image, (top, bottom), (left, right))
                window = np.where(self.image.there(numbers), numbers, np.nan).astype(np.float32)
                values[here] = sampled(window, line[here] - top, pixel[here] - left, order)
            out[inside] = values
        return out, ~np.isnan(out)


@lru_cache(maxsize=256)
def _scene(product: str) -> Scene:
    return dimap.read(Archive(place_of(product)))
