"""Checks of footprints and boxes, so that everybody's searches can use them."""

from __future__ import annotations

from typing import Any

import orjson
import shapely
from shapely.errors import ShapelyError

VERTICES = 5_000
"""Corners of a footprint."""
_SHAPES = frozenset({"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"})


def geometry(told: Any) -> None:
    """Check a GeoJSON geometry.

    Raises
    ------
    ValueError
        With a sentence, if searches could not use it.
    """
    if not isinstance(told, dict) or str(told.get("type")) not in _SHAPES:
        raise ValueError(f"The type of the geometry must be one of {', '.join(sorted(_SHAPES))}.")
    text = orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS)
    if text.count(b"[") > 2 * VERTICES:
        raise ValueError(f"The geometry has more than {VERTICES:,} corners, which is the limit: simplify it.")
    try:
        shape = shapely.from_geojson(text)
    except ShapelyError as error:
        raise ValueError(f"The geometry is not valid GeoJSON ({str(error)[:150]}).") from error
    if shapely.get_num_coordinates(shape) > VERTICES:
        raise ValueError(f"The geometry has more than {VERTICES:,} corners, which is the limit: simplify it.")
    west, south, east, north = shapely.bounds(shape).tolist()
    if shape.is_empty or not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("The geometry is empty, or not in degrees: -180 to 180, and -90 to 90.")
    if not shapely.is_valid(shape):
        why = shapely.is_valid_reason(shape)
        raise ValueError(f"The geometry is not valid ({why[:80]}): repair it, for example with shapely.make_valid.")


def box(told: Any) -> None:
    """Check a box.

    Raises
    ------
    ValueError
        With a sentence, if it is not a box.
    """
    numbers = isinstance(told, (list, tuple)) and all(type(e) in (int, float) for e in told)
    if not numbers or len(told) not in (4, 6):
        raise ValueError("The bbox must have four numbers, or six.")
    half = len(told) // 2
    west, south, east, north = (told[k] for k in (0, 1, half, half + 1))
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("The bbox must be west, south, east, north in degrees.")
