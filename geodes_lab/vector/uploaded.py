"""Shapes in a file that a browser sent: its name and its bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from shapely.geometry.base import BaseGeometry

from geodes_lab.errors import GeodesError, shown
from geodes_lab.vector import shapes

SUFFIXES = (".geojson", ".json", ".gpkg", ".zip", ".kml", ".kmz")
"""Of files that have all in one."""


def degrees(argument: str, name: str, data: bytes) -> BaseGeometry:
    """All shapes of a file as one geometry, in degrees; see `geodes_lab.vector.shapes.read`.

    Parameters
    ----------
    argument
        The argument's name, for errors.
    name
        What the browser says; it is never a path.
    data
        The file.

    Raises
    ------
    GeodesError
        As `geodes_lab.vector.shapes.read`, with the name.
    """
    named, suffix = shown(name[:200]), PurePosixPath(name).suffix.lower()
    if suffix == ".shp":
        raise GeodesError(f"{named} is a part of a Shapefile: zip it with its .shx, .dbf and .prj, and give the zip.")
    with tempfile.TemporaryDirectory(prefix="geodes-lab-") as folder:
        file = Path(folder, f"file{suffix if suffix in SUFFIXES else ''}")
        file.write_bytes(data)
        try:
            return shapes.degrees(argument, str(file))
        except GeodesError as error:
            raise GeodesError(str(error).replace(str(file), named)) from None
