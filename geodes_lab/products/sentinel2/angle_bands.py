"""Sun and view angles of Sentinel-2 as bands of a cube: bilinear between the values of the metadata, per detector."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pystac
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.sentinel2 import angle_tables
from geodes_lab.products.sentinel2.angle_tables import Directions, Layout
from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.raster.geometry import Gridder
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.location import place_of
from geodes_lab.storage.object_location import ObjectLocation

Floats = NDArray[np.float64]
Values = NDArray[np.float32]

_FAMILY = "sentinel2_angles"
_STEP = 160.0  # metres between the exact angles: straight in between, within 0.005°
_TITLES = {
    "sun_zenith": "Sun zenith angle",
    "sun_azimuth": "Sun azimuth angle, clockwise from north",
    "view_zenith": "View zenith angle",
    "view_azimuth": "View azimuth angle, clockwise from north",
    "relative_azimuth": "Angle between the azimuths of sun and view, 0 to 180",
}
_OF_BAND = re.compile(rf"({'|'.join(k for k in _TITLES if not k.startswith('sun'))})_(\w+)")
_NAMES = {name: b.name for b in BANDS for name in (b.name, b.name.replace("B0", "B"), b.common_name) if name}


def add(item: pystac.Item, archive: Archive, layout: Layout, like: RasterSource, wanted: Sequence[str] | None) -> None:
    """Add the angles to a band Item, as bands in degrees; nothing is read.

    Parameters
    ----------
    item
        The band Item.
    archive
        The product's members.
    layout
        ``"safe"`` (ESA) or ``"muscate"`` (Theia).
    like
        Any source of the product, with a grid of its tile.
    wanted
        The bands that are asked for. ``sun_zenith``, ``sun_azimuth``, ``view_zenith``, ``view_azimuth`` and
        ``relative_azimuth`` are always added; those of one band, such as ``view_zenith_B04`` or ``view_azimuth_red``,
        if they are asked for. The others are the mean of the ten bands of land.
    """
    keys: list[tuple[str, str, str | None]] = [(name, name, None) for name in _TITLES]
    for name in wanted or ():
        matched = _OF_BAND.fullmatch(name)
        if matched and (band := _NAMES.get(matched[2])):
            keys.append((name, matched[1], band))
    for key, quantity, band in keys:
        source = RasterSource("", like.product, key, like.epsg, like.transform, like.shape)
        title = f"{_TITLES[quantity]}, {band}" if band else _TITLES[quantity]
        asset = bands_.asset(source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.XML)
        asset.href = archive.place.gdal
        asset.roles = ["metadata", "data"]
        about = {"product": archive.place.gdal, "layout": layout, "quantity": quantity, "band": band}
        asset.extra_fields |= {
            "geodes:native": _FAMILY, "unit": "degree", "geodes:angles": about | {"left_out": list(archive.left_out)}
        }  # fmt: skip
        item.add_asset(key, asset)


def is_angle(asset: pystac.Asset) -> bool:
    """Whether an asset of a band Item is an angle."""
    return asset.extra_fields.get("geodes:native") == _FAMILY


def add_wanted(item: pystac.Item, wanted: Sequence[str] | None) -> pystac.Item:
    """Return a band Item with the angles of single bands that are asked for; the same Item if there are none."""
    lacking = [w for w in wanted or () if w not in item.assets and _OF_BAND.fullmatch(w)]
    some = next((k for k, a in item.assets.items() if is_angle(a)), None)
    if not lacking or some is None:
        return item
    more, about = item.clone(), item.assets[some].extra_fields["geodes:angles"]
    archive = Archive(place_of(about["product"]), leave_out=about["left_out"])
    add(more, archive, about["layout"], bands_.source(item, some), lacking)
    return more


@dataclass(frozen=True)
class Angle:
    """Computes an angle on a grid; see `geodes_lab.raster.source.Gridder`."""

    place: ObjectLocation
    """The product."""
    layout: Layout
    """The layout of its metadata."""
    quantity: str
    """One of the five angles."""
    band: str | None
    """ESA's name of the band; None: the mean of the bands of land."""
    left_out: tuple[str, ...] = ()
    """Folders of other tiles in the product."""

    @property
    def note(self) -> str:
        """A sentence on how the angle is found between the values of the metadata."""
        if self.quantity.startswith("sun"):
            return "bilinear between the product's values, 5 km apart"
        whose = f"of {self.band}" if self.band else "mean direction of the bands of land"
        return (
            f"bilinear between the product's values, 5 km apart; {whose}; of the detector that saw the pixel, where "
            "the product has footprints of detectors, else the mean of the detectors that see the place"
        )

    def numbers(
        self, source: RasterSource, grid: GeoBox, resampling: Resampling
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Compute the angle at the centres of a grid's pixels; NaN beyond the tile and where no detector sees."""
        tables = angle_tables.read(self.place, self.layout, self.left_out)
        lattice = _Lattice(grid, source)
        if self.quantity.startswith("sun"):
            values = lattice.between(_angle(self.quantity, lattice.at(tables.sun), None, tables.sun))
        else:
            values = self._view(tables, lattice, grid)
        if self.quantity == "relative_azimuth":
            values = np.abs((values + 180) % 360 - 180)
        elif self.quantity.endswith("azimuth"):
            values %= 360
        if not lattice.is_inside:
            values[lattice.outside()] = np.nan
        return values, np.isfinite(values)

    def _view(self, tables: angle_tables.Tables, lattice: _Lattice, grid: GeoBox) -> Values:
        detectors = tables.views(self.band)
        if not detectors:
            raise GeodesError(
                f"{tables.product} has no view angles{f' of its band {self.band}' if self.band else ''}: its metadata "
                "are incomplete; fetch the product again, or leave the angle out."
            )
        footprint = tables.footprint(self.band)
        sun = lattice.at(tables.sun) if self.quantity == "relative_azimuth" else None
        if footprint is None:
            mean = tables.mean(self.band)
            return lattice.between(_angle(self.quantity, lattice.at(mean, is_bounded=True), sun, mean))
        values = np.full(grid.shape, np.nan, np.float32)
        seen = footprint.seen(grid)
        for number in np.flatnonzero(np.bincount(seen.ravel(), minlength=1)[1:]) + 1:
            if (view := detectors.get(int(number))) is None:
                continue  # no data, not the angle of another detector
            own = _Lattice(grid, lattice.source, 1) if view.is_steep and "azimuth" in self.quantity else lattice
            toward = own.at(tables.sun) if sun is not None else None
            np.copyto(values, own.between(_angle(self.quantity, own.at(view), toward, view)), where=seen == number)
        return values


def _angle(quantity: str, vector: Floats, sun: Floats | None, of: Directions) -> Floats:
    """Return an angle of vectors (3, y, x) in degrees.

    Azimuths continue without a jump around the detector's mean azimuth.
    """
    east, north, up = vector
    if quantity.endswith("zenith"):
        return np.degrees(np.arctan2(np.hypot(east, north), up))
    azimuth = np.degrees(np.arctan2(east, north))
    if sun is not None:
        return _turned(np.degrees(np.arctan2(sun[0], sun[1])) - azimuth, of.from_sun)
    return _turned(azimuth, of.azimuth)


def _turned(angle: Floats, middle: float) -> Floats:
    """Add whole turns, so that angles are within half a turn of the middle."""
    return middle + (angle - middle + 180) % 360 - 180


class _Lattice:
    """Some points of a grid, at which angles are computed; straight lines in between.

    The points are the same for all chunks of a grid, so that numbers do not depend on chunks.
    """

    def __init__(self, grid: GeoBox, source: RasterSource, step: int | None = None) -> None:
        a = grid.affine
        metres = max(abs(a.a), abs(a.e)) * (111_320 if grid.crs.geographic else 1)
        self.source = source
        self._shape = grid.shape
        self._step = step or int(np.clip(_STEP / metres, 1, 16))
        self._first = tuple(
            -(int(np.floor(origin / size + 0.25)) % self._step) for origin, size in ((a.f, a.e), (a.c, a.a))
        )
        # One point more than the last pixel needs, so that each pixel is between two.
        rows, cols = (
            np.arange(first, n + self._step, self._step, dtype=float) + 0.5
            for first, n in zip(self._first, grid.shape, strict=True)
        )
        col, row = np.meshgrid(cols, rows)
        x, y = a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f
        if grid.crs.epsg != source.epsg:
            x, y = Transformer.from_crs(str(grid.crs), source.epsg, always_xy=True).transform(x, y)
        self._x, self._y = np.asarray(x), np.asarray(y)

    @property
    def is_inside(self) -> bool:
        """Whether the whole grid is within the tile."""
        west, south, east, north = self.source.geobox.boundingbox.bbox
        within = (self._x >= west) & (self._x <= east) & (self._y >= south) & (self._y <= north)
        return bool(within.all())

    def outside(self) -> NDArray[np.bool_]:
        """Return the pixels of the grid whose centre is beyond the tile."""
        west, south, east, north = self.source.geobox.boundingbox.bbox
        x, y = self.between(self._x - west).astype(float) + west, self.between(self._y - south).astype(float) + south
        inside: NDArray[np.bool_] = (x >= west) & (x < east) & (y > south) & (y <= north)
        return ~inside

    def at(self, of: Directions, is_bounded: bool = False) -> Floats:
        """Interpolate vectors at the points, bilinearly: (3, rows, cols).

        NaN beyond half a mesh from where they are known, if ``is_bounded``.
        """
        row, col = (of.north - self._y) / of.down, (self._x - of.west) / of.across
        rows, cols = of.vectors.shape[1:]
        i, j = (np.clip(np.floor(v), 0, max(n - 2, 0)).astype(int) for v, n in ((row, rows), (col, cols)))
        v, h = row - i, col - j
        i2, j2 = np.minimum(i + 1, rows - 1), np.minimum(j + 1, cols - 1)

        def bilinear(values: Floats) -> Floats:
            above = values[..., i, j] * (1 - h) + values[..., i, j2] * h
            below = values[..., i2, j] * (1 - h) + values[..., i2, j2] * h
            result: Floats = above * (1 - v) + below * v
            return result

        vectors = bilinear(of.vectors)
        if is_bounded and not of.known.all():
            vectors[:, bilinear(of.known.astype(float)) < 0.5] = np.nan
        return vectors

    def between(self, values: Floats) -> Values:
        """Interpolate values at the points to all pixels of the grid."""
        (across, j), (down, i) = self._weights(1), self._weights(0)
        wide = (values[:, j] * (1 - across) + values[:, j + 1] * across).astype(np.float32)
        result, below = wide[i], wide[i + 1]
        below -= result
        below *= down[:, np.newaxis]
        result += below
        return result

    def _weights(self, axis: int) -> tuple[Values, NDArray[np.int64]]:
        number = np.arange(self._shape[axis]) - self._first[axis]
        return (number % self._step / self._step).astype(np.float32), number // self._step


def _native(item: pystac.Item, key: str) -> Gridder:
    about = item.assets[key].extra_fields["geodes:angles"]
    if about["layout"] not in angle_tables.LAYOUTS or about["quantity"] not in _TITLES:
        raise ValueError(f"{about['quantity']!r} in the layout {about['layout']!r} is not known")
    left_out = tuple(str(folder) for folder in about["left_out"])
    return Angle(place_of(about["product"]), about["layout"], about["quantity"], about["band"], left_out)


bands_.natives[_FAMILY] = _native
