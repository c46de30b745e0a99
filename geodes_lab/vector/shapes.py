"""Shapes as people have them: a file, a GeoDataFrame, GeoJSON, a geometry; each becomes geometries with a CRS.

Nothing is mended: a shape that crosses itself, has no CRS or lies beyond the earth is refused in a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import shapely
from odc.geo.crs import CRS
from odc.geo.geom import Geometry
from shapely.geometry.base import BaseGeometry

from geodes_lab.errors import GeodesError

DEGREES = CRS("EPSG:4326")
MOST_VERTICES = 2_000_000
"""Of all shapes together."""
MOST_SHAPES = 200_000
_EDGES = 100  # pieces into which the longest side of a shape is cut before it is converted: edges are bent by that
_MEANING = (
    "a file (GeoJSON, GeoPackage, Shapefile or a zip of one, KML, KMZ), a GeoDataFrame, GeoJSON, or a geometry of "
    "shapely"
)


@dataclass(frozen=True)
class Shape:
    """One shape with what is known of it."""

    name: str
    """Its name or id, where it has one; else its number, from 0."""
    geometry: Geometry
    """Valid, in two dimensions, with a CRS."""
    properties: Mapping[str, Any]
    """Its attributes, as file or frame have them."""


def read(argument: str, value: Any) -> list[Shape]:
    """Read shapes; a path is the only thing that is opened.

    Parameters
    ----------
    argument
        The argument's name, for errors.
    value
        A path of a file (see `geodes_lab.vector.files`); a GeoDataFrame or GeoSeries of geopandas; GeoJSON as a
        dictionary or as text; whatever has ``__geo_interface__``; a geometry of shapely, in degrees, or of odc-geo.

    Returns
    -------
    list of Shape
        At least one.

    Raises
    ------
    GeodesError
        If it is none of these, has no shape or no CRS, or a shape crosses itself or lies beyond the earth.
    """
    shapes = list(_shapes(argument, value))
    if not shapes:
        raise GeodesError(f"{argument}= has no shape: {_named(value)} is empty.")
    vertices = int(shapely.get_num_coordinates([s.geometry.geom for s in shapes]).sum())
    if len(shapes) > MOST_SHAPES or vertices > MOST_VERTICES:
        raise GeodesError(
            f"{argument}= has {len(shapes)} shapes with {vertices} corners, more than {MOST_SHAPES} or "
            f"{MOST_VERTICES}: simplify them first."
        )
    for one in shapes:
        _refuse_wrong(argument, one)
    return shapes


def union(argument: str, value: Any) -> Geometry:
    """All shapes of a value as one geometry, in their CRS; see `read`.

    Raises
    ------
    GeodesError
        As `read`.
    """
    shapes = read(argument, value)
    crs = shapes[0].geometry.crs
    return Geometry(shapely.union_all([s.geometry.geom for s in shapes]), crs)


def converted(geometry: Geometry, crs: CRS) -> Geometry:
    """Convert a geometry to another CRS; long edges get corners in between, since a straight line is none there."""
    if geometry.crs == crs:
        return geometry
    west, south, east, north = geometry.geom.bounds
    side = max(east - west, north - south)
    dense = shapely.segmentize(geometry.geom, side / _EDGES) if side > 0 else geometry.geom
    moved = Geometry(dense, geometry.crs).to_crs(crs)
    if not np.isfinite(shapely.get_coordinates(moved.geom)).all():
        raise GeodesError(f"The shape is outside the area of {crs}: give a CRS that covers the shape.")
    return moved


def degrees(argument: str, value: Any) -> BaseGeometry:
    """All shapes of a value as one geometry of shapely, in degrees; see `read`.

    Raises
    ------
    GeodesError
        As `read`.
    """
    return converted(union(argument, value), DEGREES).geom


def _shapes(argument: str, value: Any) -> Iterator[Shape]:
    if isinstance(value, Geometry):
        if value.crs is None:
            raise GeodesError(
                f"{argument}= has no CRS: make the geometry with one, such as Geometry(shape, 'EPSG:4326')."
            )
        yield Shape("0", Geometry(shapely.force_2d(value.geom), value.crs), {})
    elif isinstance(value, BaseGeometry):
        yield Shape("0", Geometry(shapely.force_2d(value), DEGREES), {})
    elif isinstance(value, str) and value.lstrip().startswith("{"):
        yield from of_geojson(argument, value.encode())
    elif isinstance(value, (str, os.PathLike)):
        from geodes_lab.vector import files

        yield from files.read(argument, os.fspath(value))
    elif hasattr(value, "geometry") and hasattr(value, "crs") and hasattr(value, "to_crs"):
        yield from _of_frame(argument, value)
    elif isinstance(value, Mapping):
        yield from _of_mapping(argument, value)
    elif hasattr(value, "__geo_interface__"):
        yield from _of_mapping(argument, value.__geo_interface__)
    elif isinstance(value, Sequence) and all(isinstance(one, BaseGeometry) for one in value):
        for number, one in enumerate(value):
            yield Shape(str(number), Geometry(shapely.force_2d(one), DEGREES), {})
    else:
        raise GeodesError(f"{argument} is {_MEANING}; not {type(value).__name__}.")


def _of_frame(argument: str, frame: Any) -> Iterator[Shape]:
    """Of a GeoDataFrame or a GeoSeries."""
    if frame.crs is None:
        raise GeodesError(
            f"{argument}= has no CRS: give the frame one with .set_crs, such as frame.set_crs('EPSG:4326')."
        )
    crs, column = CRS(frame.crs.to_wkt()), getattr(frame.geometry, "name", None)
    plain = frame.drop(columns=column) if hasattr(frame, "columns") else None
    rows = [{}] * len(frame) if plain is None or plain.columns.empty else plain.to_dict("records")
    for label, geometry, properties in zip(frame.index, frame.geometry, rows, strict=True):
        if geometry is not None and not geometry.is_empty:
            yield Shape(str(label), Geometry(shapely.force_2d(geometry), crs), properties)


def of_geojson(argument: str, text: bytes) -> Iterator[Shape]:
    """Read the text of a GeoJSON; deep nesting and numbers that are none are refused by the parser."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GeodesError(f"{argument}= is not valid GeoJSON ({error}).") from None
    if not isinstance(value, Mapping):
        raise GeodesError(f"{argument}= is not valid GeoJSON: it is a {type(value).__name__}, not an object.")
    yield from _of_mapping(argument, value)


def _of_mapping(argument: str, value: Mapping[str, Any]) -> Iterator[Shape]:
    crs = _crs_of(argument, value)
    features = value.get("features") if value.get("type") == "FeatureCollection" else [value]
    if not isinstance(features, (list, tuple)):
        raise GeodesError(f"{argument}= is not valid GeoJSON: its FeatureCollection has no list of features.")
    for number, feature in enumerate(features):
        is_feature = isinstance(feature, Mapping) and feature.get("type") == "Feature"
        geometry = feature.get("geometry") if is_feature else feature
        if is_feature and geometry is None:
            continue  # GeoJSON's way to say that the place is not known
        properties = feature.get("properties") if is_feature else {}
        if not isinstance(geometry, Mapping) or (properties is not None and not isinstance(properties, Mapping)):
            raise GeodesError(f"{argument}= is not valid GeoJSON: its feature {number} is {type(feature).__name__}.")
        try:
            polygon = shapely.from_geojson(orjson.dumps(geometry, default=_plain))
        except (shapely.errors.GEOSException, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise GeodesError(
                f"{argument}= is not valid GeoJSON: its feature {number} has no geometry that can be read "
                f"({str(error)[:200].rstrip('.')})."
            ) from None
        name = feature.get("id") if is_feature else None
        name = (properties or {}).get("name") if name is None else name
        yield Shape(
            str(number if name is None else name), Geometry(shapely.force_2d(polygon), crs), dict(properties or {})
        )


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else tuple(value)


def _crs_of(argument: str, value: Mapping[str, Any]) -> CRS:
    """Degrees, as GeoJSON has them; or what an older file says in ``crs``, which other programs still write."""
    member = value.get("crs")
    if member is None:
        return DEGREES
    name = member.get("properties", {}).get("name") if isinstance(member, Mapping) else member
    if isinstance(name, str) and name.upper().endswith("CRS84"):  # degrees in GeoJSON's own order
        return DEGREES
    try:
        return CRS(name)
    except Exception as error:
        raise GeodesError(f"{argument}= has an unknown CRS, {str(name)[:80]!r}: write it again in degrees.") from error


def _refuse_wrong(argument: str, shape: Shape) -> None:
    geometry, crs = shape.geometry.geom, shape.geometry.crs
    if geometry.is_empty:
        raise GeodesError(f"{argument}= has an empty shape, {shape.name}: leave it out.")
    west, south, east, north = geometry.bounds
    if not all(np.isfinite((west, south, east, north))):
        raise GeodesError(f"{argument}= has a shape, {shape.name}, with coordinates that are not numbers.")
    if crs.geographic and not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        raise GeodesError(
            f"{argument}= has a shape, {shape.name}, outside the earth: its corners go from ({west:g}, {south:g}) to "
            f"({east:g}, {north:g}), which are not degrees. Give a GeoDataFrame or a file with a CRS."
        )
    if not geometry.is_valid:
        raise GeodesError(
            f"{argument}= has a shape, {shape.name}, that is not valid ({shapely.is_valid_reason(geometry)}): repair "
            "it, for example with shapely.make_valid, and check the result."
        )


def _named(value: Any) -> str:
    return str(value) if isinstance(value, (str, os.PathLike)) and len(str(value)) < 200 else type(value).__name__
