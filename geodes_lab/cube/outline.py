"""The shape that a cube is cut to: which of its chunks it touches, and which of their pixels lie inside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from geodes_lab.vector.shapes import converted


@dataclass(frozen=True)
class Outline:
    """A shape in the CRS of a grid; hashable, and goes to workers."""

    wkb: bytes
    """The geometry, as WKB."""

    @classmethod
    def of(cls, geometry: Geometry, grid: GeoBox) -> Outline:
        """The outline of a geometry on a grid, whichever way round the earth the grid counts its degrees."""
        shape = converted(geometry, grid.crs).geom
        if grid.crs.geographic:
            west, _, east, _ = grid.boundingbox.bbox
            turns = (-360, 0, 360)
            copies = [shapely.transform(shape, lambda c, t=turn: c + (t, 0)) for turn in turns]
            shape = shapely.union_all([c for c in copies if c.bounds[0] <= east and c.bounds[2] >= west] or [shape])
        return cls(bytes(shapely.to_wkb(shape)))

    def touches(self, window: GeoBox) -> bool:
        """Whether a window has anything of the shape."""
        return bool(_geometry(self.wkb).intersects(shapely.box(*window.boundingbox.bbox)))

    def holds(self, window: GeoBox) -> NDArray[np.bool_]:
        """Which pixels of a window have their centre inside, shape (rows, columns)."""
        if not self.touches(window):
            return np.zeros(window.shape, bool)
        shape = shapely.clip_by_rect(_geometry(self.wkb), *_around(window)) if self._is_large else _geometry(self.wkb)
        if shape.is_empty:
            return np.zeros(window.shape, bool)
        return np.asarray(geometry_mask([shape], window.shape, window.affine, invert=True), bool)

    @property
    def _is_large(self) -> bool:
        return len(self.wkb) > 100_000


@lru_cache(maxsize=64)
def _geometry(wkb: bytes) -> BaseGeometry:
    shape = shapely.from_wkb(wkb)
    shapely.prepare(shape)
    return shape


def _around(window: GeoBox) -> tuple[float, float, float, float]:
    """A window's bounds and a pixel more: no edge of the clipping may decide about a pixel."""
    a, e = abs(window.affine.a), abs(window.affine.e)
    west, south, east, north = window.boundingbox.bbox
    return west - a, south - e, east + a, north + e
