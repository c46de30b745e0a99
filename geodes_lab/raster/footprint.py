"""Where a grid is in another CRS, as far as that has a meaning there.

A map of the world has no place in one UTM zone.
"""

from __future__ import annotations

import math
from functools import lru_cache

from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox, bbox_union

from geodes_lab.raster import globe

_MARGIN = 5.0  # degrees around the area of use of a CRS, where it is still valid
_POLE = 85.0  # areas beyond are not projected, unless the projection is made for them


@lru_cache(maxsize=1024)
def footprint(native: GeoBox, crs: CRS) -> BoundingBox:
    """Return the bounds of a grid in another CRS; in degrees they continue across 180°.

    Cached, because thousands of products are on a few grids.
    """
    if native.crs.epsg == crs.epsg:
        return native.boundingbox
    if crs.geographic:
        west, south, east, north = globe.degrees(native, str(crs))
        return BoundingBox(west, south, east, north, crs)
    area = _area(crs)
    if not native.crs.geographic:
        covered = globe.degrees(native)
        if area is None or crs.geographic or covered[2] - covered[0] < globe.TURN:
            return native.footprint(crs).boundingbox
        # It contains a pole, or goes around the Earth: its edge alone does not give its bounds.
        made_for = crs.proj.area_of_use
        south, north = max(covered[1], made_for.south), min(covered[3], made_for.north)
        return globe.bounds((-180.0, south, 180.0, north), crs) if south < north else native.footprint(crs).boundingbox
    if area is None:
        return native.footprint(crs).boundingbox
    there = [meaningful(globe.moved(native, turn), crs) for turn in globe.turns(native, area)] or [native]
    return bbox_union(iter([part.footprint(crs).boundingbox for part in there]))


@lru_cache(maxsize=1024)
def meaningful(native: GeoBox, crs: CRS) -> GeoBox:
    """Return a grid in degrees, cut to the surroundings of another CRS's area of use.

    Any other grid is returned unchanged.

    It is returned unchanged too if it is entirely outside of that area.
    """
    area = _area(crs)
    if not native.crs.geographic or crs.geographic or area is None:
        return native
    west, south, east, north = area
    a, _, c, _, e, f, *_ = native.affine
    rows, cols = native.shape
    left, right = max(math.floor((west - c) / a), 0), min(math.ceil((east - c) / a), cols)
    top, bottom = max(math.floor((north - f) / e), 0), min(math.ceil((south - f) / e), rows)
    if left >= right or top >= bottom or (right - left, bottom - top) == (cols, rows):
        return native
    return native[top:bottom, left:right]


def _area(crs: CRS) -> globe.Box | None:
    """Return the area of use of a CRS, and its surroundings; None: the whole Earth, or unknown."""
    area = crs.proj.area_of_use
    if area is None:
        return None
    low, high = min(-_POLE, area.south), max(_POLE, area.north)
    west, east = area.west, area.east + (globe.TURN if area.west > area.east else 0)
    if east - west + 2 * _MARGIN >= globe.TURN:
        west, east = -180.0 + _MARGIN, 180.0 - _MARGIN
    return west - _MARGIN, max(area.south - _MARGIN, low), east + _MARGIN, min(area.north + _MARGIN, high)
