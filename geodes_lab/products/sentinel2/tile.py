"""The grid of a Sentinel-2 tile, predicted from its name.

It is the 100 km square of the military grid (MGRS), with a margin.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from affine import Affine
from odc.geo.geobox import GeoBox

Transform = tuple[float, float, float, float, float, float]
Grids = dict[int, tuple[Transform, tuple[int, int]]]
"""Transform and shape by resolution in metres."""

SIDE = 109_800  # metres
_BANDS = "CDEFGHJKLMNPQRSTUVWX"  # 8° of latitude each, from 80° south
_ROWS = "ABCDEFGHJKLMNPQRSTUV"  # 100 km each, again and again
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")  # 100 km each, by zone
_STEP = 60  # metres: the corners lie on whole pixels of all three resolutions
_DEGREE = 110_600  # metres on the meridian, nearly


@lru_cache(maxsize=4096)
def grids(tile: str) -> tuple[int, Grids]:
    """Predict where a tile lies; nothing is read.

    The west edge of the square is moved west, and its north edge north, to whole multiples of 60 m; in the south,
    northings are counted from the equator's 10 000 km. It is right for all examined granules but one: a product may be
    elsewhere, so the prediction is confirmed when the product is read.

    Parameters
    ----------
    tile
        Such as ``31TCJ``.

    Returns
    -------
    epsg : int
    grids : dict
        Transform and shape at 10, 20 and 60 m.

    Raises
    ------
    ValueError
        If there is no such tile.
    """
    parts = re.fullmatch(r"(\d\d)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])", tile)
    if not parts or not 1 <= (zone := int(parts[1])) <= 60:
        raise ValueError(f"{tile!r} is not a tile of the military grid")
    column = _COLUMNS[(zone - 1) % 3].find(parts[3])
    if column < 0:
        raise ValueError(f"zone {zone} has no column {parts[3]}")
    band = _BANDS.index(parts[2])
    south = band < 10
    # Rows repeat every 2000 km: the one next to the middle of the latitude band is meant.
    row = (_ROWS.index(parts[4]) - (5 if zone % 2 == 0 else 0)) % 20
    middle = (-76 + 8 * band) * _DEGREE + (10_000_000 if south else 0)
    bottom = row * 100_000 + 2_000_000 * round((middle - row * 100_000 - 50_000) / 2_000_000)
    west = math.floor((column + 1) * 100_000 / _STEP) * _STEP
    equator = 10_000_000 if south else 0
    north = equator + math.ceil((bottom + 100_000 - equator) / _STEP) * _STEP
    side = {r: (SIDE // r, SIDE // r) for r in (10, 20, 60)}
    return (32700 if south else 32600) + zone, {
        r: ((float(r), 0.0, float(west), 0.0, -float(r), float(north)), side[r]) for r in side
    }


@lru_cache(maxsize=4096)
def bounds(tile: str) -> tuple[float, float, float, float]:
    """Return west, south, east, north in degrees of a predicted tile."""
    epsg, parts = grids(tile)
    transform, shape = parts[60]
    extent = GeoBox(shape, Affine(*transform), f"EPSG:{epsg}").geographic_extent
    box: tuple[float, float, float, float] = extent.boundingbox.bbox
    return box
