"""Where grids are on the whole Earth, in degrees that continue across 180° and around the poles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from pyproj import Transformer

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees.

West is from -180 to 180, and east is west plus the width: across 180° it is above 180.
"""

TURN = 360.0
_HOLE = 15.0  # degrees: less between points of a coarse lattice is no gap
_SIDE, _INSIDE = 65, 17  # points along an edge, and along a side of the lattice inside


@lru_cache(maxsize=1024)
def degrees(grid: GeoBox, geographic: str = "EPSG:4326") -> Box:
    """Return the box in degrees that a grid covers; from its edge and its inside, because a pole may be there.

    Parameters
    ----------
    grid
        In any CRS.
    geographic
        The geographic CRS of the result.
    """
    rows, cols = grid.shape
    if grid.crs.geographic:
        west, south, east, north = grid.boundingbox.bbox
        return _framed(west, max(south, -90.0), east, min(north, 90.0))
    transformer = Transformer.from_crs(grid.crs.proj, geographic, always_xy=True)
    along, back = np.linspace(0, 1, _SIDE)[:-1], np.linspace(1, 0, _SIDE)[:-1]
    edge_x = np.concatenate([along, np.ones(_SIDE - 1), back, np.zeros(_SIDE - 1)]) * cols
    edge_y = np.concatenate([np.zeros(_SIDE - 1), along, np.ones(_SIDE - 1), back]) * rows
    inner_x, inner_y = (v.ravel() for v in np.meshgrid(np.linspace(0, cols, _INSIDE), np.linspace(0, rows, _INSIDE)))
    lon, lat = _placed(transformer, grid, edge_x, edge_y)
    inner_lon, inner_lat = _placed(transformer, grid, inner_x, inner_y)
    if not lon.size:
        return -180.0, -90.0, 180.0, 90.0
    south, north = float(min(lat.min(), inner_lat.min())), float(max(lat.max(), inner_lat.max()))
    if lon.size < edge_x.size:  # a part of the edge is outside of the map, so that the edge cannot be followed
        wide_x, wide_y = (v.ravel() for v in np.meshgrid(np.linspace(0, cols, _SIDE), np.linspace(0, rows, _SIDE)))
        every_lon, every_lat = _placed(transformer, grid, wide_x, wide_y)
        return _around(np.append(lon, every_lon), np.append(lat, every_lat))
    steps = _wrapped(np.diff(np.append(lon, lon[0])))
    if abs(steps.sum()) > TURN / 2:  # the edge goes around a pole
        pole = 90.0 if lat.mean() > 0 else -90.0
        return -180.0, min(south, pole), 180.0, max(north, pole)
    unrolled = lon[0] + np.concatenate([[0.0], np.cumsum(steps[:-1])])
    middle = (unrolled.min() + unrolled.max()) / 2
    every = np.concatenate([unrolled, middle + _wrapped(inner_lon - middle)])
    return _framed(float(every.min()), south, float(every.max()), north)


def _around(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Box:
    """Return the box of points without an order: the circle of longitudes without its widest gap."""
    south, north = float(lat.min()), float(lat.max())
    ordered = np.sort(np.mod(lon, TURN))
    gaps = np.diff(np.append(ordered, ordered[0] + TURN))
    widest = int(gaps.argmax())
    if gaps[widest] < _HOLE:
        return -180.0, max(south - 1, -90.0), 180.0, min(north + 1, 90.0)
    west = ordered[(widest + 1) % ordered.size]
    slack = (TURN - gaps[widest]) / _SIDE
    return _framed(west - slack, max(south - 1, -90.0), west + TURN - gaps[widest] + slack, min(north + 1, 90.0))


def parts(box: Box, covered: Box) -> list[Box]:
    """Return the intersection of a box with another one, in the frame of the first.

    Across 180° and around the Earth it may have two parts.
    """
    west, south, east, north = box
    boxes = []
    for turn in (-2, -1, 0, 1, 2):
        left, right = max(west, covered[0] + turn * TURN), min(east, covered[2] + turn * TURN)
        bottom, top = max(south, covered[1]), min(north, covered[3])
        if left < right and bottom < top:
            boxes.append((left, bottom, right, top))
    return boxes


def bounds(box: Box, crs: CRS) -> BoundingBox:
    """Return the bounds of a box in a CRS.

    The edges of a box in degrees are curves there, and a pole may be inside of it.
    """
    west, south, east, north = box
    if crs.geographic:
        return BoundingBox(west, south, east, north, crs)
    # Fine enough that the edge of a box of one degree is right to a metre or so.
    count = int(np.clip(math.ceil(max(east - west, north - south) * 20), _SIDE, 1024))
    lon, lat = np.linspace(west, east, count), np.linspace(south, north, count)
    inside = [v.ravel() for v in np.meshgrid(np.linspace(west, east, _SIDE), np.linspace(south, north, _INSIDE))]
    x = np.concatenate([lon, lon, np.full(count, west), np.full(count, east), inside[0]])
    y = np.concatenate([np.full(count, south), np.full(count, north), lat, lat, inside[1]])
    transformer = Transformer.from_crs("EPSG:4326", crs.proj, always_xy=True)
    across, up = (np.asarray(v, float) for v in transformer.transform(x, y))
    good = np.isfinite(across) & np.isfinite(up)
    if not good.any():
        return BoundingBox(math.inf, math.inf, -math.inf, -math.inf, crs)
    across, up = across[good], up[good]
    return BoundingBox(float(across.min()), float(up.min()), float(across.max()), float(up.max()), crs)


def turns(native: GeoBox, covered: Box) -> Iterator[int]:
    """Yield the whole turns that move a grid in degrees into a box.

    None, one, or two on its two sides.
    """
    west, south, east, north = native.boundingbox.bbox
    if south >= covered[3] or north <= covered[1]:
        return
    for turn in sorted(range(-3, 4), key=abs):
        if west + turn * TURN < covered[2] and east + turn * TURN > covered[0]:
            yield turn


def moved(native: GeoBox, turn: int) -> GeoBox:
    """Return a grid in degrees, moved by whole turns."""
    a, b, c, d, e, f, *_ = native.affine
    return GeoBox(native.shape, type(native.affine)(a, b, c + turn * TURN, d, e, f), native.crs) if turn else native


def near(box: Box, other: Box) -> Box:
    """Return a box in the frame of another one: moved by the whole turns that bring their middles together."""
    turn = round(((other[0] + other[2]) - (box[0] + box[2])) / 2 / TURN)
    return box[0] + turn * TURN, box[1], box[2] + turn * TURN, box[3]


def _framed(west: float, south: float, east: float, north: float) -> Box:
    if east - west >= TURN * (1 - 1e-9):
        return -180.0, south, 180.0, north
    turn = math.floor((west + 180) / TURN)
    return west - turn * TURN, south, east - turn * TURN, north


def _placed(
    transformer: Transformer, grid: GeoBox, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b, c, d, e, f, *_ = grid.affine
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    lon, lat = (np.asarray(v, float) for v in transformer.transform(x, y))
    good = np.isfinite(lon) & np.isfinite(lat)
    return lon[good], lat[good]


def _wrapped(lon: NDArray[np.float64]) -> NDArray[np.float64]:
    return (lon + 180) % TURN - 180
