"""The outlines of countries, for maps that must not contact the internet.

They come from a file of Natural Earth, if there is one.
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
    """Return the countries as GeoJSON; None if the setting ``geodes_lab.plot.land`` names no file.

    The file is read once.
    """
    path = settings.get("plot.land")
    return None if path is None or not Path(path).is_file() else _read(str(path))


@lru_cache(maxsize=1)
def _read(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text())
    if document.get("type") != "Topology":
        return document
    arcs = _arcs(document)
    shapes = next(o for name, o in document["objects"].items() if name in ("countries", "land"))["geometries"]
    features = [
        {"type": "Feature", "properties": s.get("properties", {}), "geometry": _geometry(s, arcs)}
        for s in shapes
        if s.get("arcs")
    ]
    return {"type": "FeatureCollection", "features": features}


def _arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """Decode the arcs: TopoJSON writes integers, each as the difference from the one before."""
    (scale_x, scale_y), (left, bottom) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        places = accumulate(arc, lambda a, b: (a[0] + b[0], a[1] + b[1]))
        arcs.append([(round(x * scale_x + left, 4), round(y * scale_y + bottom, 4)) for x, y in places])
    return arcs


def _geometry(shape: dict[str, Any], arcs: list[list[Point]]) -> dict[str, Any]:
    if shape["type"] == "Polygon":
        return {"type": "Polygon", "coordinates": [_ring(r, arcs) for r in shape["arcs"]]}
    return {"type": "MultiPolygon", "coordinates": [[_ring(r, arcs) for r in polygon] for polygon in shape["arcs"]]}


def _ring(numbers: list[int], arcs: list[list[Point]]) -> list[Point]:
    """Join arcs; a negative number is an arc in reverse."""
    ring: list[Point] = []
    for number in numbers:
        part = arcs[number] if number >= 0 else arcs[~number][::-1]
        ring += part[1:] if ring else part
    return _continued(ring)


def _continued(ring: list[Point]) -> list[Point]:
    """Continue a ring beyond 180 degrees at the date line, instead of going back around the Earth."""
    points = ring[:1]
    for x, y in ring[1:]:
        turns = round((points[-1][0] - x) / 360)
        points.append((x + 360 * turns, y))
    return points
