"""Masks that are polygons (GML, Sentinel-2 before baseline 04.00), put on a grid as if they were a raster."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.features import rasterize

from geodes_lab.archive import member_index
from geodes_lab.archive.member_index import behind
from geodes_lab.errors import NotUnderstood
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.location import object_of
from geodes_lab.util.xml import parsed

_GML, _EOP = "{http://www.opengis.net/gml/3.2}", "{http://www.opengis.net/eop/2.0}"
_LARGEST = 2**26  # bytes of XML; the largest mask of a tile has a few million
_CORNERS = 2**20  # of all polygons: each row of pixels is held against each edge


def numbers(source: RasterSource, grid: GeoBox) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Burn the polygons of one kind on a grid.

    Parameters
    ----------
    source
        Its ``band`` ends with the kind, such as ``OPAQUE``, ``DETECTOR07`` or ``ANY``; its grid is the product's, which
        the mask covers.
    grid
        The output grid.

    Returns
    -------
    numbers : numpy.ndarray
        1 where the centre of a pixel is in a polygon, else 0.
    there : numpy.ndarray
        Where the product is.

    Raises
    ------
    NotUnderstood
        If the file is not such a GML.
    """
    shapes = _polygons(source.href, source.stored, _stamp(source.href)).get(source.band.rsplit("_", 1)[-1], ())
    return _burnt(shapes, source.epsg, grid), _burnt((shapely.box(*source.geobox.boundingbox),), source.epsg, grid) > 0


def _burnt(shapes: tuple[shapely.Geometry, ...], epsg: int, grid: GeoBox) -> NDArray[np.uint8]:
    if not shapes:
        return np.zeros(grid.shape, np.uint8)
    geometry = Geometry(shapely.GeometryCollection(shapes), f"EPSG:{epsg}")
    if grid.crs.epsg != epsg:
        geometry = geometry.to_crs(grid.crs, resolution=1000)
    burnt: NDArray[np.uint8] = rasterize(
        [(geometry.geom, 1)], out_shape=grid.shape, transform=grid.affine, dtype="uint8"
    )
    return burnt


@lru_cache(maxsize=512)
def _polygons(href: str, stored: tuple[int, int] | None, _stamp: int) -> dict[str, tuple[shapely.Geometry, ...]]:
    """Return the polygons of a file by kind; one request."""
    try:
        root = parsed(_text(href, stored))
    except ValueError as error:
        raise NotUnderstood(f"a damaged GML: {error}") from None
    by_kind: dict[str, list[shapely.Geometry]] = {}
    corners = 0
    for feature in root.iter(f"{_EOP}MaskFeature"):
        kind = feature.findtext(f"{_EOP}maskType") or ""
        # Only the feature's identifier names the detector: detector_footprint-B03-07-0.
        named = re.search(r"-(\d\d)-\d+$", feature.get(f"{_GML}id") or "")
        detector = (f"DETECTOR{named[1]}",) if named else ()
        for polygon in feature.iter(f"{_GML}Polygon"):
            rings = [r for r in (_ring(e) for e in polygon.iter(f"{_GML}posList")) if len(r) >= 4]
            if rings:
                shape = shapely.Polygon(rings[0], rings[1:])
                corners += sum(map(len, rings))
                if corners > _CORNERS:
                    raise NotUnderstood("a GML with more polygon corners in all than any product has")
                # One that crosses itself is burnt as it is: GDAL fills it by the even-odd rule, as if it were mended.
                for name in (kind, "ANY", *detector):
                    by_kind.setdefault(name, []).append(shape)
    return {kind: tuple(shapes) for kind, shapes in by_kind.items()}


def _stamp(href: str) -> int:
    """Return the time of change of a local file, which may be replaced."""
    place = object_of(href)
    return Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0


def _ring(element: ET.Element) -> NDArray[np.float64]:
    text = element.text or ""
    if len(text) > 40 * _CORNERS:
        raise NotUnderstood("a GML with more corners in one polygon than any product has")
    try:
        flat = np.array(text.split(), float)
        if not np.isfinite(flat).all():
            raise ValueError("a corner without valid coordinates")
        return flat.reshape(-1, int(element.get("srsDimension", 2)))[:, :2]
    except ValueError as error:
        raise NotUnderstood(f"a damaged GML: {error}") from None


def _text(href: str, stored: tuple[int, int] | None) -> bytes:
    place, member = object_of(href), href.partition("}/")[2]
    if not href.startswith("/vsizip/"):
        return place.read(0, _LARGEST)
    if stored is None:
        return member_index.read(place, member, _LARGEST)
    start, size = stored
    if size > _LARGEST:
        raise NotUnderstood("a GML larger than in any product")
    data = place.read(start, 30 + len(member.encode()) + size)
    missing = behind(data) + size - len(data)  # few writers put anything between the name and the member
    data += place.read(start + len(data), missing) if missing > 0 else b""
    return data[behind(data) :][:size]
