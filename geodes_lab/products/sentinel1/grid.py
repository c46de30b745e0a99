"""Sentinel-1 backscatter on a map: for each chunk of a grid, the image's window is read, calibrated and resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
import scipy
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling

from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel1 import border as sentinel1_border
from geodes_lab.products.sentinel1 import calibration as sentinel1_calibration
from geodes_lab.products.sentinel1 import documents, geometry
from geodes_lab.products.sentinel1 import orbit as sentinel1_orbit
from geodes_lab.products.sentinel1.annotation import Annotation, Floats
from geodes_lab.products.sentinel1.calibration import Noise
from geodes_lab.products.sentinel1.flattening import angle as flattening_angle
from geodes_lab.products.sentinel1.flattening import area as flattening_area
from geodes_lab.products.sentinel1.flattening.facets import UNKNOWN
from geodes_lab.products.sentinel1.flattening.scene import Scene, heights
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.products.sentinel1.plane import MARGIN, Plane
from geodes_lab.products.terrain import sheet
from geodes_lab.products.tiepoints import sampled
from geodes_lab.raster.geometry import Gridder, Relief
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import sensor_window
from geodes_lab.storage.object_location import ObjectLocation

_ORDERS = {Resampling.nearest: 0, Resampling.bilinear: 1, Resampling.cubic: 3}
_PIXELS, _READ = 2**22, 2**24  # pixels of the image that are calibrated and that are read at once
_ABOVE = 0.5  # squared digital numbers by which the border may exceed the noise, from ESA's note MPC-0243
_PART = 512  # pixels of a grid, along each side, that are placed in the image at once: its arrays are ten times a chunk
_FINE = 1536  # pixels of a finer grid, along each side, that are averaged at once

Values = NDArray[np.float32]

ON_SLOPES = ("gamma0_rtc", "local_incidence_angle", "layover_shadow_mask")
"""Quantities that need a terrain model."""
_NOTES = {
    "incidence": "the angle is that on the ellipsoid, not on the slope",
    "gamma0_rtc": "flattened by the area of ground in each pixel (Small 2011)",
    "local_incidence_angle": "between the direction to the radar and the normal of the terrain",
    "layover_shadow_mask": "by the terrain in each line of the image",
}


@dataclass(frozen=True)
class Geocoded:
    """Puts one image on a grid.

    A `geodes_lab.raster.source.TerrainAware` and `geodes_lab.planning.needed_tiles.Windowed`.
    """

    place: ObjectLocation
    """The product."""
    annotation: str
    """The members of the product that describe the image."""
    calibration: str
    noise: str | None
    """None if the noise is not subtracted."""
    quantity: str
    """``sigma0``, ``beta0``, ``gamma0``, ``incidence``, or one of `ON_SLOPES`."""
    image: RasterSource
    """The image; only the shape of its grid is used."""
    version: float | None = None
    """The version of the processor that made the image; None: unknown."""
    border: str | None = None
    """The member with the noise that detects the image's border, for masking; None: there is no known border."""
    plane: Plane | None = None
    """Its approximate position on the suitable grid, for plans; None: unknown."""
    relief: Relief | None = None
    """A terrain model."""
    orbit: OrbitFile | None = None
    """The source of the satellite's positions; None: the annotation."""
    scene: tuple[str, int] | None = None
    """For `ON_SLOPES`: the member whose annotation places the terrain in the image, the same for all polarisations, and
    the EPSG code of the suitable grid."""

    @property
    def note(self) -> str:
        """A sentence on the treatment of relief."""
        if self.relief is None:
            return "ellipsoid height: relief is displaced"
        what = _NOTES.get(self.quantity, "what slopes do to the brightness is not corrected")
        return f"relief taken into account by {self.relief.note}; no data over the sea is sea level; {what}"

    @property
    def needs_relief(self) -> bool:
        """Whether the band is nothing without a terrain model."""
        return self.quantity in ON_SLOPES

    def over(self, relief: Relief) -> Gridder:
        """Return the same, with relief."""
        return replace(self, relief=relief)

    @property
    def flown(self) -> str:
        """A description of the orbit file."""
        return self.orbit.note if self.orbit else ""

    def along(self, orbits: Sequence[OrbitFile]) -> Gridder:
        """Return the same, with the orbit file of its satellite and time."""
        platform = self.annotation.rsplit("/", 1)[-1][:3].upper()
        return replace(
            self, orbit=sentinel1_orbit.chosen(orbits, platform, documents.annotation(self.place, self.annotation))
        )

    def spans(self, source: RasterSource, grid: GeoBox) -> tuple[Span, Span]:
        """Return the lines and pixels of the image that a grid may need.

        See `geodes_lab.planning.needed_tiles.Windowed`.
        """
        rows, cols = self.image.shape
        if self.quantity in ("incidence", "local_incidence_angle", "layover_shadow_mask"):
            return (0, 0), (0, 0)
        if self.plane is None:
            return (0, rows), (0, cols)
        high, wide = grid.shape
        x, y = (
            np.array(v)
            for v in zip(*(grid.affine * c for c in product((0, wide / 2, wide), (0, high / 2, high))), strict=True)
        )
        if grid.crs.epsg != source.epsg:
            x, y = Transformer.from_crs(str(grid.crs), source.epsg, always_xy=True).transform(x, y)
        return self.plane.spans(x, y, (rows, cols))

    def numbers(
        self, source: RasterSource, grid: GeoBox, resampling: Resampling
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return linear power on a grid, and where there is data; see `geodes_lab.raster.source.Gridder`.

        With ``average``, a grid coarser than the image gets the mean of all looks in a pixel.
        """
        annotation = documents.annotation(self.place, self.annotation)
        if self.quantity == "layover_shadow_mask":
            return self._masked(annotation, grid)
        ratio = source.ratio(grid)
        if resampling is Resampling.average and ratio > 1.5:
            return self._averaged(annotation, grid, math.ceil(ratio))
        order = _ORDERS.get(Resampling.bilinear if resampling is Resampling.average else resampling)
        if order is None:
            raise GeodesError(
                f"Band {source.band} of {source.product} is in radar geometry: its resampling is nearest, bilinear, "
                f"cubic or average, not {resampling.name}."
            )
        values = np.empty(grid.shape, np.float32)
        for part in _parts(grid, _PART):
            values[part] = self._sampled(annotation, grid[part], order)
        return values, ~np.isnan(values)

    def _averaged(self, annotation: Annotation, grid: GeoBox, times: int) -> tuple[Values, NDArray[np.bool_]]:
        """Return the mean over a finer grid, in parts."""
        out = np.full(grid.shape, np.nan, np.float32)
        for part in _parts(grid, max(_FINE // times, 1)):
            here = grid[part]
            fine = self._sampled(annotation, here.zoom_out(1 / times), 0)
            cells = fine.reshape(here.shape[0], times, here.shape[1], times)
            there = ~np.isnan(cells)
            total = np.where(there, cells, 0).sum((1, 3), dtype=np.float64)
            count = there.sum((1, 3))
            out[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return out, ~np.isnan(out)

    def _sampled(self, annotation: Annotation, grid: GeoBox, order: int) -> Values:
        """Sample the image at the centres of a grid's pixels; NaN outside and where it has no data."""
        angle, height = None, None
        if self.quantity == "local_incidence_angle":
            angle, height = flattening_angle.local_incidence(self._scene, grid)
        line, pixel, inside = self._places(annotation, grid, height)
        out = np.full(grid.shape, np.nan, np.float32)
        if not inside.any():
            return out
        if angle is not None:
            out[inside] = angle[inside]
            return out
        rows, cols = annotation.shape
        line, pixel = line[inside], pixel[inside]
        if self.quantity == "incidence":
            known_at = annotation.grid.line, annotation.grid.pixel
            angle = scipy.interpolate.RegularGridInterpolator(
                known_at, annotation.grid.incidence, bounds_error=False, fill_value=None
            )
            out[inside] = angle((line, pixel))
            return out
        left = max(int(pixel.min()) - MARGIN, 0)
        right = min(int(pixel.max()) + MARGIN + 2, cols)
        tile = self.image.tile[1] if self.image.tile else 1
        read = (-(-right // tile) - left // tile) * tile  # a strip is as wide as the image
        block = max(min(_PIXELS // (right - left), _READ // read), 1)
        values = np.full(line.shape, np.nan, np.float32)
        number = np.clip(np.rint(line).astype(int), 0, rows - 1) // block
        for n in np.unique(number):
            here = number == n
            top = max(int(line[here].min()) - MARGIN, 0)
            bottom = min(int(line[here].max()) + MARGIN + 2, rows)
            window = self._window((top, bottom), (left, right))
            values[here] = sampled(window, line[here] - top, pixel[here] - left, order)
        out[inside] = values
        return out

    def _places(
        self, annotation: Annotation, grid: GeoBox, height: Floats | None = None
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return lines and pixels at the centres of a grid's pixels, and whether they are in the image."""
        if self.relief is not None and height is None:
            place = annotation.grid.points(annotation.spacing).places(grid)
            height = heights(self.relief, annotation, sheet.points(grid), place)
        orbit = None if self.orbit is None else documents.orbit(self.orbit, annotation)
        line, pixel = geometry.places(grid, annotation, height, orbit)
        rows, cols = annotation.shape
        return line, pixel, (line >= -0.5) & (line < rows - 0.5) & (pixel >= -0.5) & (pixel < cols - 0.5)

    def _masked(self, annotation: Annotation, grid: GeoBox) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the mask of layover and shadow, and where it is known."""
        out = np.full(grid.shape, UNKNOWN, np.uint8)
        _, _, inside = self._places(annotation, grid)
        if inside.any():
            line, pixel = annotation.grid.points(annotation.spacing).places(grid)
            out[inside] = flattening_area.mask(self._scene, line[inside], pixel[inside])
        return out, out != UNKNOWN

    @property
    def _scene(self) -> Scene:
        assert self.scene is not None
        if self.relief is None:
            raise GeodesError(f"{self.quantity} needs a terrain model: give open_cube dem=.")
        return Scene(self.place, self.scene[0], self.relief, self.orbit, self.scene[1])

    def _window(self, rows: tuple[int, int], cols: tuple[int, int]) -> Values:
        """Return a calibrated part of the image."""
        return self.calibrated(sensor_window.window(self.image, rows, cols), rows, cols)

    def calibrated(self, numbers: NDArray[np.generic], rows: tuple[int, int], cols: tuple[int, int]) -> Values:
        """Convert the numbers of a window of the image to backscatter."""
        lines, pixels = np.arange(*rows, dtype=float), np.arange(*cols, dtype=float)
        is_flattened = self.quantity == "gamma0_rtc"
        table = documents.tables(self.place, self.calibration)["beta0" if is_flattened else self.quantity]
        noise = self._noise(self.noise).at(lines, pixels) if self.noise else None
        values = sentinel1_calibration.calibrated(numbers, table.at(lines, pixels), noise)[0]
        if is_flattened:
            values /= flattening_area.of_pixels(self._scene, rows, cols)
        if self.border:
            # One for all quantities of the image.
            plain = replace(self, noise=None, quantity="", plane=None, relief=None, orbit=None, scene=None)
            values[sentinel1_border.mask(self.measured, _inside(plain), rows, cols, self.image.shape)] = np.nan
        return values

    def measured(self, rows: Span, cols: Span) -> NDArray[np.bool_]:
        """Return whether the numbers of a window of the image are above the noise."""
        assert self.border
        lines, pixels = np.arange(*rows, dtype=float), np.arange(*cols, dtype=float)
        power = np.square(sensor_window.window(self.image, rows, cols), dtype=np.float32)
        return np.asarray(power > self._noise(self.border).at(lines, pixels) + _ABOVE)

    def _noise(self, member: str) -> Noise:
        mode = documents.annotation(self.place, self.annotation).mode
        return documents.noise(self.place, member, self.calibration, mode, self.version)


def _parts(grid: GeoBox, side: int) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of a grid, as large as a side at most."""
    for top, left in product(*(range(0, n, side) for n in grid.shape)):
        yield slice(top, min(top + side, grid.shape[0])), slice(left, min(left + side, grid.shape[1]))


@lru_cache(maxsize=64)
def _inside(image: Geocoded) -> sentinel1_border.Inside:
    return sentinel1_border.inside(image.measured, image.image.shape)
