"""Where a grid lies in another CRS, as far as that has a meaning there: a map of the world has no place in one UTM zone."""

from __future__ import annotations

import math
from functools import lru_cache

from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox

_MARGIN = 5.0  # degrees around the area that a CRS is made for, in which it is good still
_POLE = 85.0  # no projection is asked for what lies beyond, unless it is made for it


@lru_cache(maxsize=1024)
def footprint(native: GeoBox, crs: CRS) -> BoundingBox:
    """The bounds of a grid in another CRS. Thousands of products lie on a few grids."""
    return native.boundingbox if native.crs.epsg == crs.epsg else meaningful(native, crs).footprint(crs).boundingbox


@lru_cache(maxsize=1024)
def meaningful(native: GeoBox, crs: CRS) -> GeoBox:
    """A grid in degrees, cut to the surroundings of the area that another CRS is made for; any other grid as it is.

    It is uncut too if it lies beyond that area altogether.
    """
    area = crs.proj.area_of_use
    if not native.crs.geographic or crs.geographic or area is None or area.west > area.east:
        return native
    low, high = min(-_POLE, area.south), max(_POLE, area.north)
    west, east = area.west - _MARGIN, area.east + _MARGIN
    south, north = max(area.south - _MARGIN, low), min(area.north + _MARGIN, high)
    a, _, c, _, e, f, *_ = native.affine
    rows, cols = native.shape
    left, right = max(math.floor((west - c) / a), 0), min(math.ceil((east - c) / a), cols)
    top, bottom = max(math.floor((north - f) / e), 0), min(math.ceil((south - f) / e), rows)
    if left >= right or top >= bottom or (right - left, bottom - top) == (cols, rows):
        return native
    return native[top:bottom, left:right]
