"""What the DIMAP document of a Spot scene says: its bands in the order of the file, its calibration, where it lies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pystac
from pyproj import Transformer

from geodes_lab.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.tiepoints import Floats, TiePoints
from geodes_lab.source import Source

MEMBER = r"(?:[^/]+/)*METADATA\.DIM"
_NODES = 11  # places of the location model to each side
_AGREED = 3.0  # pixels by which the location model may leave the corners that are given
# By the names that DIMAP has them: common name, centre in micrometres, for people.
_BANDS = {
    "XS1": ("green", 0.545, "green"),
    "XS2": ("red", 0.645, "red"),
    "XS3": ("nir", 0.835, "near infrared"),
    "SWIR": ("swir16", 1.665, "short-wave infrared"),
    "PAN": ("pan", 0.600, "panchromatic"),
}
_ALIASES = {
    "B1": "XS1",
    "B2": "XS2",
    "B3": "XS3",
    "B4": "SWIR",
    "XS4": "SWIR",
    "P": "PAN",
    "HM": "PAN",
    "HMA": "PAN",
    "HMB": "PAN",
    "M": "PAN",
}


@dataclass(frozen=True)
class Band:
    """One band of a scene."""

    name: str
    """As the document has it, such as ``XS1``."""
    index: int
    """Its place in the file, from 1."""
    gain: float
    """Radiance = number / gain + bias."""
    bias: float
    key: str
    """Its common name, else its own in lower case."""
    common_name: str | None
    wavelength: float | None
    """Centre, in micrometres."""
    title: str
    """For people."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene."""

    name: str
    platform: str
    """Such as ``spot-4``."""
    time: datetime
    """When it was taken, UTC."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """Of the numbers."""
    nodata: float
    """The number that stands for no data."""
    saturated: float | None
    """The number that stands for saturation; None if the document says none."""
    sun: tuple[float, float]
    """Azimuth and elevation, degrees."""
    bands: tuple[Band, ...]
    points: tuple[tuple[float, float, float, float], ...]
    """Row and column from 0, longitude and latitude of the places that the document gives: corners first."""
    model: tuple[tuple[float, ...], tuple[float, ...]] | None
    """Coefficients of longitude and of latitude by row and column from 1: 1, r, c, rc, r², c²; None if there is none."""
    href: str
    """The path by which GDAL opens the image."""
    stored: tuple[int, int] | None
    """Where it is in its zip, if it is stored."""

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Longitudes and latitudes of the corners, around."""
        around = math.atan2
        row, col = (n / 2 for n in self.shape)
        ordered = sorted(self.points[:4], key=lambda p: around(p[0] - row, p[1] - col))
        return [(lon, lat) for _, _, lon, lat in ordered]

    def source(self, band: Band) -> Source:
        """Describe a band; of its grid the shape alone counts."""
        plain = image(self.href, self.name, band.key, self.shape, self.stored)
        return replace(plain, index=band.index, nodata=self.nodata, scale=1 / band.gain, offset=band.bias)

    @cached_property
    def ties(self) -> TiePoints:
        """Where lines and pixels lie: by the location model if it agrees with the corners, else between the corners."""
        rows, cols = (np.linspace(0, n - 1, _NODES) for n in self.shape)
        line, pixel = np.meshgrid(rows, cols, indexing="ij")
        lon, lat = self._located(line, pixel)
        middle = _NODES // 2
        metres = 111_320 * math.cos(math.radians(float(lat[middle, middle])))
        along = math.hypot((lon[-1, middle] - lon[0, middle]) * metres, (lat[-1, middle] - lat[0, middle]) * 110_600)
        across = math.hypot((lon[middle, -1] - lon[middle, 0]) * metres, (lat[middle, -1] - lat[middle, 0]) * 110_600)
        return TiePoints(rows, cols, lon, lat, (along / (self.shape[0] - 1), across / (self.shape[1] - 1)))

    def _located(self, line: Floats, pixel: Floats) -> tuple[Floats, Floats]:
        if self.model is not None:
            r, c = line + 1, pixel + 1
            terms = np.stack([np.ones_like(r), r, c, r * c, r * r, c * c])
            lon, lat = (np.tensordot(m, terms, 1) for m in self.model)
            if self._off(lon, lat, line, pixel) < _AGREED:
                return lon, lat
        corners = np.array(self.points[:4])
        r, c = corners[:, 0], corners[:, 1]
        known = np.stack([np.ones(4), r, c, r * c], axis=1)
        try:
            weights = np.linalg.solve(known, corners[:, 2:])
        except np.linalg.LinAlgError:
            raise GeodesError(
                f"The corners of {self.name} are not those of a scene: fetch the product again."
            ) from None
        terms = np.stack([np.ones_like(line), line, pixel, line * pixel])
        return np.tensordot(weights[:, 0], terms, 1), np.tensordot(weights[:, 1], terms, 1)

    def _off(self, lon: Floats, lat: Floats, line: Floats, pixel: Floats) -> float:
        """By how many pixels the corners of a mesh leave those of the document, at most."""
        size = math.hypot(lon[0, -1] - lon[0, 0], lat[0, -1] - lat[0, 0]) / (self.shape[1] - 1)
        worst = 0.0
        for row, col, x, y in self.points[:4]:
            at = (0 if row < self.shape[0] / 2 else -1), (0 if col < self.shape[1] / 2 else -1)
            worst = max(worst, math.hypot(lon[at] - x, lat[at] - y) / size)
        return worst

    @property
    def suiting(self) -> tuple[int, tuple[float, float, float, float, float, float], tuple[int, int]]:
        """EPSG code, transform and shape of a grid that suits the scene: UTM, of its own spacing in whole metres."""
        ties = self.ties
        lon, lat = float(ties.longitude.mean()), float(ties.latitude.mean())
        epsg = (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(ties.longitude, ties.latitude)
        size = float(max(round(min(ties.spacing)), 1))
        west, north = math.floor(np.min(x) / size) * size, math.ceil(np.max(y) / size) * size
        shape = math.ceil((north - np.min(y)) / size), math.ceil((np.max(x) - west) / size)
        return epsg, (size, 0.0, west, 0.0, -size, north), shape


def image(href: str, product: str, band: str, shape: tuple[int, int], stored: tuple[int, int] | None) -> Source:
    """Describe an image that lies on no map: its grid is its rows and columns."""
    return Source(href, product, band, 4326, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), shape, stored=stored)


def read(archive: Archive) -> Scene:
    """Read the document of a scene.

    Raises
    ------
    GeodesError
        If it is missing or damaged, or lacks what makes radiance of numbers.
    """
    member = archive.find(MEMBER, "scene's metadata (METADATA.DIM)")
    told = Document(archive, member)
    folder = member.rpartition("/")[0]
    data = told.root.find(".//Data_File/DATA_FILE_PATH")
    file = (data.get("href") if data is not None else None) or "IMAGERY.TIF"
    path = archive.find(re.escape(f"{folder}/{file}" if folder else file), f"image ({file})")
    special = {
        (e.findtext("SPECIAL_VALUE_TEXT") or "").strip(): told.number("SPECIAL_VALUE_INDEX", e)
        for e in told.root.iter("Special_Value")
    }
    bits = int(told.number(".//Raster_Encoding/NBITS"))
    if bits not in (8, 16):
        raise GeodesError(f"{told.name} says numbers of {bits} bits: only 8 and 16 are read.")
    source = told.root.find(".//Scene_Source")
    date, clock = (told.text(tag, source) for tag in ("IMAGING_DATE", "IMAGING_TIME"))
    try:
        time = pystac.utils.str_to_datetime(f"{date}T{clock}Z").astimezone(UTC)
    except ValueError:
        raise GeodesError(f"IMAGING_DATE in {told.name} is no date: {date!r} {clock!r}.") from None
    name = told.root.findtext(".//Dataset_Id/DATASET_NAME") or told.root.findtext(".//Source_Information/SOURCE_ID")
    return Scene(
        name=(archive.name if name is None else name).strip(),
        platform=f"spot-{told.text('MISSION_INDEX', source)}",
        time=time,
        shape=(int(told.number(".//Raster_Dimensions/NROWS")), int(told.number(".//Raster_Dimensions/NCOLS"))),
        dtype=f"uint{bits}",
        nodata=special.get("NODATA", 0.0),
        saturated=special.get("SATURATED"),
        sun=(told.number("SUN_AZIMUTH", source), told.number("SUN_ELEVATION", source)),
        bands=_bands(told),
        points=_points(told),
        model=_model(told),
        href=archive.gdal(path),
        stored=archive.range(path),
    )


def _bands(told: Document) -> tuple[Band, ...]:
    count = int(told.number(".//Raster_Dimensions/NBANDS"))
    found = []
    for info in told.root.iter("Spectral_Band_Info"):
        index = int(told.number("BAND_INDEX", info))
        name = (info.findtext("BAND_DESCRIPTION") or f"band {index}").strip().upper()
        common, wavelength, title = _BANDS.get(_ALIASES.get(name, name), (None, None, name))
        gain, bias = told.number("PHYSICAL_GAIN", info), told.number("PHYSICAL_BIAS", info)
        if gain <= 0:
            raise GeodesError(f"PHYSICAL_GAIN of {name} in {told.name} is {gain:g}: fetch the product again.")
        key = common or name.lower().replace(" ", "_")
        found.append(Band(name, index, gain, bias, key, common, wavelength, title))
    if sorted(b.index for b in found) != list(range(1, count + 1)) or len({b.key for b in found}) != count:
        raise GeodesError(
            f"{told.name} describes {len(found)} bands of {count}, or one twice: the radiance would be wrong."
        )
    return tuple(sorted(found, key=lambda b: b.wavelength or math.inf))


def _points(told: Document) -> tuple[tuple[float, float, float, float], ...]:
    tags = ("FRAME_ROW", "FRAME_COL", "FRAME_LON", "FRAME_LAT")
    frame = [tuple(told.number(t, v) for t in tags) for v in told.root.iter("Vertex")]
    if len(frame) < 4:
        raise GeodesError(f"{told.name} gives {len(frame)} corners of the scene, not 4: it cannot be placed.")
    centre = [tuple(told.number(t, v) for t in tags) for v in told.root.iter("Scene_Center")]
    return tuple((r - 1, c - 1, lon, lat) for r, c, lon, lat in [*frame[:4], *centre])


def _model(told: Document) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    found = told.root.find(".//Direct_Location_Model")
    if found is None:
        return None
    lists = [tuple(told.number(".", e) for e in found.iter(tag)) for tag in ("lc", "pc")]
    if any(len(c) != 6 or not all(map(math.isfinite, c)) for c in lists):
        return None
    return lists[0], lists[1]
