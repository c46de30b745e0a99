"""The tables of angles of one Sentinel-2 tile as directions, and which detector saw each pixel; ESA's and Theia's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2 import angles as sentinel2_angles
from geodes_lab.products.sentinel2 import quality, safe_metadata
from geodes_lab.products.sentinel2.bands import BANDS, NUMBERS
from geodes_lab.products.theia.muscate import Metadata
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window
from geodes_lab.storage.object_location import ObjectLocation

Floats = NDArray[np.float64]
Layout = Literal["safe", "muscate"]
LAYOUTS = get_args(Layout)

LAND = tuple(b.name for b in BANDS if b.resolution < 60)
"""The bands whose mean direction stands for the product's: those of 10 and 20 m."""
_MIDDLE = ("B06", "B05", "B07", "B8A", "B11", "B12", "B04", "B03", "B08", "B02")
"""The bands whose footprints stand for all, in order of preference: first those in the middle of the focal plane."""
_STEEP = 1.0  # degrees from nadir, where azimuths turn quickly
_DETECTORS = range(1, 13)


@dataclass(frozen=True, eq=False)
class Directions:
    """Unit vectors on the grid of the metadata."""

    vectors: Floats
    """East, north and up, (3, rows, columns)."""
    known: NDArray[np.bool_]
    """Where the metadata have values, (rows, columns)."""
    north: float
    """Northing of the first row, in metres."""
    west: float
    """Easting of the first column, in metres."""
    down: float
    """Metres from row to row."""
    across: float
    """Metres from column to column."""
    azimuth: float = 0.0
    """The mean azimuth, in degrees."""
    from_sun: float = 0.0
    """The mean azimuth of the sun, less it."""

    @property
    def is_steep(self) -> bool:
        """Whether some of it is so near to the zenith that its azimuth is not smooth."""
        return bool(np.nanmax(self.vectors[2]) > np.cos(np.radians(_STEEP)))


@dataclass(frozen=True)
class Footprint:
    """Which detector saw each pixel of a band."""

    parts: tuple[tuple[int, int, RasterSource], ...]
    """Detector, bits and image: the detector saw a pixel that has one of the bits; 0: the number is the detector."""

    def seen(self, grid: GeoBox) -> NDArray[np.uint8]:
        """Read the numbers of the detectors on a grid; 0: none."""
        result = np.zeros(grid.shape, np.uint8)
        for detector, bits, source in self.parts:
            numbers, there = window.read(source, grid, "nearest")
            if detector:
                result[there & (numbers & bits > 0)] = detector
            else:
                np.copyto(result, numbers, where=there, casting="same_kind")
        return result


@dataclass(frozen=True, eq=False)
class Tables:
    """The angles of a tile."""

    product: str
    """The product's name."""
    grids: xr.Dataset
    """See `geodes_lab.products.sentinel2.angles.grids`."""
    footprints: Mapping[str, Footprint]
    """By ESA's name of the band."""
    sun: Directions
    """Of the sun."""
    seen: Mapping[str | None, Mapping[int, Directions]]
    """Of the views, by band (None: the mean of `LAND`) and detector."""

    def views(self, band: str | None) -> Mapping[int, Directions]:
        """Return the directions of a band's detectors, by number."""
        return self.seen.get(band, {})

    def footprint(self, band: str | None) -> Footprint | None:
        """Return the footprint of a band; for the mean, that of a band in the middle of the focal plane."""
        several = (band,) if band else _MIDDLE
        return next((self.footprints[b] for b in several if b in self.footprints), None)

    def mean(self, band: str | None) -> Directions:
        """Return the mean direction of the detectors that see a place."""
        several = list(self.views(band).values())
        known = np.stack([d.known for d in several])
        total = np.sum([np.where(d.known, d.vectors, 0) for d in several], axis=0)
        zenith, azimuth = _angles(np.where(known.any(0), total, np.nan))
        return _directions(zenith, azimuth, self.grids, self.sun)


@lru_cache(maxsize=64)
def _read(place: ObjectLocation, layout: Layout, left_out: tuple[str, ...], _stamp: int) -> Tables:
    archive = Archive(place, leave_out=left_out)
    name, grids, footprints = _safe(archive) if layout == "safe" else _muscate(archive)
    if grids is None:
        raise GeodesError(f"{name} has no angles in its metadata: leave the bands of angles out.")
    sun = _directions(grids.sun_zenith.values, grids.sun_azimuth.values, grids, None)
    return Tables(name, grids, footprints, sun, _views(grids, sun))


def read(place: ObjectLocation, layout: Layout, left_out: tuple[str, ...] = ()) -> Tables:
    """Read the angles of a product: its list of members and its metadata, once in a process.

    Raises
    ------
    GeodesError
        If it has none, or they are damaged.
    """
    stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
    return _read(place, layout, left_out, stamp)


def _safe(archive: Archive) -> tuple[str, xr.Dataset | None, dict[str, Footprint]]:
    safe = safe_metadata.read(archive)
    corner = safe.grids[10][0]
    grids = sentinel2_angles.grids(Document(archive, safe.tile), corner[2], corner[5])
    footprints = {}
    for band in BANDS:
        source = quality.footprint(archive, safe, band.name)
        if source is None:
            continue
        if source.href.endswith(".gml"):
            several = ((n, 255, replace(source, band=f"{source.band}_DETECTOR{n:02d}")) for n in _DETECTORS)
            footprints[band.name] = Footprint(tuple(several))
        else:
            footprints[band.name] = Footprint(((0, 0, source),))
    return safe.name, grids, footprints


def _muscate(archive: Archive) -> tuple[str, xr.Dataset | None, dict[str, Footprint]]:
    about = Metadata(archive)
    corner = next(iter(about.grids.values())).transform
    grids = sentinel2_angles.muscate_grids(about.document, corner[2], corner[5])
    parts: dict[str, list[tuple[int, int, RasterSource]]] = {}
    for group, grid in about.grids.items():
        # A file for each detector, with a bit for each band in the order of the group.
        for path in archive.matching(rf"{re.escape(about.name)}_DTF_{re.escape(group)}-D\d\d\.(?:tif|TIF)"):
            detector = int(path.rsplit(".", 1)[0][-2:])
            source = RasterSource(
                archive.gdal(path), about.name, f"DTF_{group}-D{detector:02d}", about.epsg, grid.transform, grid.shape,
                dtype="uint8", stored=archive.range(path), is_class=True,
            )  # fmt: skip
            for bit, name in enumerate(about.bands_of(group)):
                band = next((b.name for b in BANDS if b.name.replace("B0", "B") == name), None)
                if band is not None and bit < 8:
                    parts.setdefault(band, []).append((detector, 1 << bit, source))
    return about.name, grids, {band: Footprint(tuple(several)) for band, several in parts.items()}


def _views(grids: xr.Dataset, sun: Directions) -> dict[str | None, dict[int, Directions]]:
    common = {str(b): n for n, b in enumerate(grids.band.values)}
    seen: dict[str | None, dict[int, Directions]] = {None: {}}
    for detector, number in enumerate(grids.detector.values):
        together, known = [], np.zeros(grids.sun_zenith.shape, bool)
        for name, place in NUMBERS.items():
            at = common.get(str(BANDS[place].common_name))
            if at is None:
                continue
            zenith, azimuth = (grids[k].values[at, detector] for k in ("view_zenith", "view_azimuth"))
            one = _directions(zenith, azimuth, grids, sun)
            if not one.known.any():
                continue
            seen.setdefault(name, {})[int(number)] = one
            if name in LAND:
                together.append(one.vectors)
                known |= one.known
        if together:
            zenith, azimuth = _angles(np.sum(together, axis=0))
            mean = _directions(zenith, azimuth, grids, sun)
            seen[None][int(number)] = replace(mean, known=known)
    return seen


def _angles(vectors: Floats) -> tuple[Floats, Floats]:
    east, north, up = vectors
    return np.degrees(np.arctan2(np.hypot(east, north), up)), np.degrees(np.arctan2(east, north))


def _directions(zenith: Floats, azimuth: Floats, grids: xr.Dataset, sun: Directions | None) -> Directions:
    vectors, known = sentinel2_angles.directions(zenith, azimuth)
    (north, south), (west, east) = ((v[0], v[min(1, len(v) - 1)]) for v in (grids.y.values, grids.x.values))
    towards = np.nansum(vectors, axis=(1, 2))
    middle = float(np.degrees(np.arctan2(towards[0], towards[1])))
    return Directions(
        vectors, known, float(north), float(west), float(north - south) or 1.0, float(east - west) or 1.0, middle,
        0.0 if sun is None else (sun.azimuth - middle + 180) % 360 - 180,
    )  # fmt: skip
