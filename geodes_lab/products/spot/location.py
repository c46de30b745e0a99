"""Where the lines and pixels of a raw Spot scene are.

Computed with the location model of its DIMAP document, or from its corners.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pyproj import Transformer

from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.tiepoints import Floats, TiePoints

# Points of the mesh along each side, and its extent beyond the scene: a spline is less exact near its ends.
_NODES, _BEYOND = 17, 0.3
_AGREED = 3.0  # pixels by which the location model may differ from the given corners
# The location error of scenes in metres, root mean square, by the satellite's number: published by CNES.
_ERRORS = {"1": 500, "2": 500, "3": 500, "4": 200, "5": 50}
_DEGREE = 111_320.0  # metres

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, eq=False)
class Location:
    """The geolocation of one scene, on the ellipsoid."""

    name: str
    """The scene's, for errors."""
    shape: tuple[int, int]
    """Rows and columns."""
    points: Floats
    """(4 or more, 4): row and column from 0, longitude and latitude of the document's points, corners first."""
    model: tuple[tuple[float, ...], tuple[float, ...]] | None
    """Coefficients of longitude and of latitude by row and column from 1: 1, r, c, rc, r², c².

    None if there is none.
    """

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Longitudes and latitudes of the corners, around."""
        row, col = (n / 2 for n in self.shape)
        ordered = sorted(self.points[:4].tolist(), key=lambda p: math.atan2(p[0] - row, p[1] - col))
        return [(lon, lat) for _, _, lon, lat in ordered]

    @cached_property
    def way(self) -> str:
        """A description of how the scene is placed."""
        if self._believed is not None:
            return "its location model"
        return "its corners alone, between which it may be off by hundreds of metres,"

    def places(self, line: Floats, pixel: Floats) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes of lines and pixels, counted from the centre of the first; with their shape.

        Raises
        ------
        GeodesError
            If the given corners are not valid.
        """
        if self._believed is not None:
            return _modelled(self._believed, line, pixel)
        r, c = self.points[:4, 0], self.points[:4, 1]
        try:
            weights = np.linalg.solve(np.stack([np.ones(4), r, c, r * c], axis=1), self.points[:4, 2:])
        except np.linalg.LinAlgError:
            raise GeodesError(f"The corners of {self.name} do not form a scene: fetch it again.") from None
        terms = np.stack([np.ones_like(line), line, pixel, line * pixel])
        return np.tensordot(weights[:, 0], terms, 1), np.tensordot(weights[:, 1], terms, 1)

    @cached_property
    def _believed(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return the location model, if it agrees with the corners."""
        if self.model is None:
            return None
        rows, cols, lons, lats = self.points[:4].T
        lon, lat = _modelled(self.model, rows, cols)
        east = np.cos(np.radians(lats))
        away = np.hypot((lon - lons) * east, lat - lats)
        across = np.hypot(np.subtract.outer(lons, lons) * east.mean(), np.subtract.outer(lats, lats))
        pixel = across.max() / math.hypot(*self.shape)
        return self.model if away.max() < _AGREED * pixel else None

    @cached_property
    def ties(self) -> TiePoints:
        """Return a mesh of points, in the scene and around it."""
        rows, cols = (np.linspace(-_BEYOND * n, (1 + _BEYOND) * n, _NODES) for n in self.shape)
        lon, lat = self.places(*np.meshgrid(rows, cols, indexing="ij"))
        middle = _NODES // 2
        east = _DEGREE * math.cos(math.radians(float(lat[middle, middle])))
        along = math.hypot((lon[-1, middle] - lon[0, middle]) * east, (lat[-1, middle] - lat[0, middle]) * _DEGREE)
        across = math.hypot((lon[middle, -1] - lon[middle, 0]) * east, (lat[middle, -1] - lat[middle, 0]) * _DEGREE)
        return TiePoints(rows, cols, lon, lat, (along / np.ptp(rows), across / np.ptp(cols)))

    @property
    def suiting(self) -> tuple[int, Transform, tuple[int, int]]:
        """Return EPSG code, transform and shape of a suitable grid: UTM, with the scene's spacing in whole metres."""
        lon, lat = self.places(*np.meshgrid(*(np.linspace(-0.5, n - 0.5, _NODES) for n in self.shape), indexing="ij"))
        epsg = (32600 if lat.mean() >= 0 else 32700) + int((lon.mean() + 180) // 6) % 60 + 1
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        if not (np.isfinite(x).all() and np.isfinite(y).all() and all(1 <= s < 1000 for s in self.ties.spacing)):
            raise GeodesError(f"The positions in {self.name} do not fit a scene: fetch it again, or leave it out.")
        size = float(round(min(self.ties.spacing)))
        west, north = math.floor(np.min(x) / size) * size, math.ceil(np.max(y) / size) * size
        shape = math.ceil((north - np.min(y)) / size), math.ceil((np.max(x) - west) / size)
        return epsg, (size, 0.0, west, 0.0, -size, north), shape


def note(way: str, satellite: str) -> str:
    """Return the sentence on the geometry of a scene on a map, from its placement and the satellite's number."""
    error = _ERRORS.get(satellite)
    beside = f"; the whole scene may be shifted, by {error} m on average" if error else ""
    return f"not orthorectified: located by {way} on the ellipsoid, relief is displaced{beside}"


def read(told: Document, name: str, shape: tuple[int, int]) -> Location:
    """Read the points in a DIMAP document.

    Raises
    ------
    GeodesError
        If there are fewer than four corners, or they are not numbers.
    """
    tags = ("FRAME_ROW", "FRAME_COL", "FRAME_LON", "FRAME_LAT")
    frame = [[told.number(t, v) for t in tags] for v in told.root.iter("Vertex")]
    if len(frame) != 4:
        raise GeodesError(
            f"{told.name} gives {len(frame)} corners of the scene, not 4, so the scene has no position: fetch the "
            "product again."
        )
    centre = [[told.number(t, v) for t in tags] for v in told.root.iter("Scene_Center")]
    points = np.array(frame + centre) - (1, 1, 0, 0)
    if not np.isfinite(points).all() or min(shape) < 2:
        raise GeodesError(f"{told.name} has no positions of the scene: it is damaged; fetch the product again.")
    return Location(name, shape, points, _model(told))


def _model(document: Document) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    element = document.root.find(".//Direct_Location_Model")
    if element is None:
        return None
    lists = [tuple(document.number(".", e) for e in element.iter(tag)) for tag in ("lc", "pc")]
    return (lists[0], lists[1]) if all(len(c) == 6 and all(map(math.isfinite, c)) for c in lists) else None


def _modelled(model: tuple[tuple[float, ...], tuple[float, ...]], line: Floats, pixel: Floats) -> tuple[Floats, Floats]:
    r, c = line + 1, pixel + 1
    terms = np.stack([np.ones_like(r), r, c, r * c, r * r, c * c])
    return np.tensordot(model[0], terms, 1), np.tensordot(model[1], terms, 1)
