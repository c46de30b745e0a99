"""The outlines of the countries, for maps that must not ask the internet.

From a file of Natural Earth, if there is one.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from geodes_lab import settings

Point = tuple[float, float]


def outlines() -> dict[str, Any] | None:
    """The countries as GeoJSON; None if the setting ``geodes_lab.plot.land`` names no file. The file is read once."""
    path = settings.get("plot.land")
    return None if path is None or not Path(path).is_file() else _read(str(path))


@lru_cache(maxsize=1)
def _read(path: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(path).read_text())
    if told.get("type") != "Topology":
        return told
    arcs = _arcs(told)
    shapes = next(o for name, o in told["objects"].items() if name in ("countries", "land"))["geometries"]
    features = [
        {"type": "Feature", "properties": s.get("properties", {}), "geometry": _geometry(s, arcs)}
        for s in shapes
        if s.get("arcs")
    ]
    return {"type": "FeatureCollection", "features": features}


def _arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """TopoJSON writes whole numbers, each as the step from the one before."""
    (scale_x, scale_y), (left, bottom) = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        places = accumulate(arc, lambda a, b: (a[0] + b[0], a[1] + b[1]))
        found.append([(round(x * scale_x + left, 4), round(y * scale_y + bottom, 4)) for x, y in places])
    return found


def _geometry(shape: dict[str, Any], arcs: list[list[Point]]) -> dict[str, Any]:
    if shape["type"] == "Polygon":
        return {"type": "Polygon", "coordinates": [_ring(r, arcs) for r in shape["arcs"]]}
    return {"type": "MultiPolygon", "coordinates": [[_ring(r, arcs) for r in polygon] for polygon in shape["arcs"]]}


def _ring(numbers: list[int], arcs: list[list[Point]]) -> list[Point]:
    """Arcs put together; a negative number is an arc read backwards."""
    ring: list[Point] = []
    for number in numbers:
        part = arcs[number] if number >= 0 else arcs[~number][::-1]
        ring += part[1:] if ring else part
    return _continued(ring)


def _continued(ring: list[Point]) -> list[Point]:
    """Across the date line a ring goes on beyond 180 degrees, instead of all the way back."""
    found = ring[:1]
    for x, y in ring[1:]:
        turns = round((found[-1][0] - x) / 360)
        found.append((x + 360 * turns, y))
    return found
