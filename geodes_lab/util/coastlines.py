"""The outlines of countries, for maps that must not contact the internet.

They come from a file of Natural Earth, if there is one.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon, box

from geodes_lab import settings

_FINER = ((10.0, "10m"), (50.0, "50m"))  # degrees of a map, and the scale of Natural Earth
Point = tuple[float, float]


def outlines() -> dict[str, Any] | None:
    """Return the countries as GeoJSON; None if the setting ``geodes_lab.plot.land`` names no file.

    The file is read once.
    """
    path = settings.get("plot.land")
    return None if path is None or not Path(path).is_file() else _read(str(path))


def around(west: float, south: float, east: float, north: float) -> tuple[list[Any], list[Any]]:
    """Return the land and its lines for a map of a box: finer within three times the box than elsewhere.

    The finer file is one of those beside the setting's own, ``countries-50m.json`` or ``countries-10m.json``.

    Returns
    -------
    land, lines : list of shapely geometries
        Areas to fill, and what to draw: coasts and borders, not the edges of the box. Empty without a file.
    """
    world = outlines()
    if world is None:
        return [], []
    coarse = [_area(f["geometry"]) for f in world["features"]]
    wide, high = east - west, north - south
    name = next((n for most, n in _FINER if max(wide, high) <= most), None)
    path = Path(str(settings.get("plot.land")))
    file = path.with_name(path.name.replace("110m", name or "110m"))
    if name is None or file == path or not file.is_file():
        return coarse, [g.boundary for g in coarse]
    near = box(west - wide, south - high, east + wide, north + high)
    fine = [_area(f["geometry"]) for f in _read(str(file))["features"] if _meets(f["geometry"], near)]
    land = [*(g.difference(near) for g in coarse), *(g.intersection(near) for g in fine)]
    lines = [*(g.boundary.difference(near) for g in coarse), *(g.boundary.intersection(near) for g in fine)]
    return [g for g in land if not g.is_empty], [g for g in lines if not g.is_empty]


def _area(geometry: dict[str, Any]) -> Any:
    """Return a geometry of shapely; islands of fewer than three corners, once rounded, are none."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    rings = [[ring for ring in polygon if len(ring) > 3] for polygon in polygons]
    whole = [Polygon(r[0], r[1:]) for r, p in zip(rings, polygons, strict=True) if r and r[0] is p[0]]
    return shapely.buffer(MultiPolygon(whole), 0)  # valid, and areas alone


def _meets(geometry: dict[str, Any], near: Any) -> bool:
    """Whether the box of a geometry meets another, before it is made."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    west, south, east, north = near.bounds
    for polygon in polygons:
        xs, ys = zip(*polygon[0], strict=True)
        if min(xs) <= east and max(xs) >= west and min(ys) <= north and max(ys) >= south:
            return True
    return False


@lru_cache(maxsize=3)
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
