"""What two grids have in common: bounds, area, and the ratio of their pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from rasterio.warp import transform_bounds

from geodes_lab.raster import globe
from geodes_lab.raster.footprint import footprint, meaningful


@lru_cache(maxsize=4096)
def ratios(native: GeoBox, crs: CRS, width: float, height: float) -> tuple[float, float]:
    """Return how many pixels of a band fit in a width and height of another CRS, down and across."""
    if crs.epsg == native.crs.epsg:
        return height / abs(native.affine.e), width / abs(native.affine.a)
    part = meaningful(native, crs)
    rows, cols = part.shape
    # The middle, and half a pixel east and west, north and south of it.
    around = [(cols / 2 + x, rows / 2 + y) for x, y in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))]
    east, north = native.crs.transformer_to_crs(crs)(
        *map(np.array, zip(*(part.affine * p for p in around), strict=True))
    )
    steps = np.array([[east[1] - east[0], east[3] - east[2]], [north[1] - north[0], north[3] - north[2]]])
    determinant = float(np.linalg.det(steps))
    if math.isfinite(determinant) and determinant:
        pixels = np.linalg.inv(steps) * (width, height)  # columns and rows of the band, for a step in x and in y
        return float(np.hypot(*pixels[1])), float(np.hypot(*pixels[0]))
    left, bottom, right, top = footprint(native, crs)
    return height * rows / (top - bottom), width * cols / (right - left)


def share_area(one: BoundingBox, other: BoundingBox, is_geographic: bool) -> bool:
    """Whether two boxes of a CRS have area in common; in degrees whole turns do not count."""
    high = min(one.top, other.top) - max(one.bottom, other.bottom)
    turns = range(-2, 3) if is_geographic else (0,)
    wide = max(min(one.right, other.right + t * globe.TURN) - max(one.left, other.left + t * globe.TURN) for t in turns)
    return high > 0 and wide > 0


@lru_cache(maxsize=4096)
def bounds(grid: GeoBox, native: GeoBox) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north, in a band's CRS, of the part of a grid near the band; None: there is none.

    Far from its area of use a projection has no meaning, so the grid is first cut to the band's surroundings.
    """
    box: tuple[float, float, float, float] = grid.boundingbox.bbox
    if grid.crs.epsg == native.crs.epsg:
        return box
    if native.crs.geographic:
        west, south, east, north = globe.degrees(grid, str(native.crs))
        left, right = native.boundingbox.left, native.boundingbox.right
        for turn in (0, -1, 1, -2, 2):  # the grid's own turn, unless only another turn meets the band
            if west + turn * globe.TURN < right and east + turn * globe.TURN > left:
                return west + turn * globe.TURN, south, east + turn * globe.TURN, north
        return None
    around = footprint(native, grid.crs).bbox
    if grid.crs.geographic:
        box = globe.near(box, around)
    margin = 2 * max(abs(grid.affine.a), abs(grid.affine.e))
    margin += 0.1 * max(around[2] - around[0], around[3] - around[1])
    west, south = max(box[0], around[0] - margin), max(box[1], around[1] - margin)
    east, north = min(box[2], around[2] + margin), min(box[3], around[3] + margin)
    if west >= east or south >= north:
        return None
    box = transform_bounds(grid.crs, native.crs, west, south, east, north)
    return box if all(map(math.isfinite, box)) else None
