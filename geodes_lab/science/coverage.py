"""How much of each pixel a zone has: exact areas, in degrees as on the sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.sparse import csr_array
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Coverage:
    """How much of each pixel of a window each zone has."""

    zones: NDArray[np.intp]
    """Numbers of the zones that touch the window."""
    shares: csr_array
    """Shape (zones, pixels): parts of pixels, 0 to 1."""
    row_areas: NDArray[np.float64]
    """Area of a pixel of each row, in units in which the whole grid's largest is about 1."""


def of_window(window: GeoBox, zones: NDArray[np.intp], geometries: list[BaseGeometry]) -> Coverage:
    """Shares of the pixels of a window, by exactextract."""
    from exactextract import exact_extract
    from exactextract.feature import JSONFeatureSource
    from exactextract.raster import NumPyRasterSource

    west, south, east, north = window.boundingbox.bbox
    raster = NumPyRasterSource(np.zeros(window.shape, np.int8), xmin=west, ymin=south, xmax=east, ymax=north)
    # A pixel more than the window: what lies beyond only costs time.
    margin = abs(window.affine.a) + abs(window.affine.e)
    parts = [shapely.clip_by_rect(g, west - margin, south - margin, east + margin, north + margin) for g in geometries]
    features = [
        {"type": "Feature", "properties": {"n": n}, "geometry": shapely.geometry.mapping(part)}
        for n, part in enumerate(parts)
        if part.area > 0
    ]
    cells, shares, rows = [], [], []
    for feature in exact_extract(raster, JSONFeatureSource(features), ["cell_id", "coverage"], include_cols=["n"]):
        properties = feature["properties"]
        cells.append(np.asarray(properties["cell_id"], np.int64))
        shares.append(np.asarray(properties["coverage"], np.float64))
        rows.append(np.full(len(cells[-1]), properties["n"], np.int64))
    shape = len(geometries), window.shape[0] * window.shape[1]
    if cells:
        matrix = csr_array((np.concatenate(shares), (np.concatenate(rows), np.concatenate(cells))), shape=shape)
    else:
        matrix = csr_array(shape)
    return Coverage(zones, matrix, _row_areas(window))


def _row_areas(grid: GeoBox) -> NDArray[np.float64]:
    """Area of a pixel of each row: alike in a projection; in degrees as on the sphere, at the equator about 1."""
    if not grid.crs.geographic:
        return np.ones(grid.shape[0])
    _, _, _, _, height, top = grid.affine[:6]
    edges = np.clip(top + height * np.arange(grid.shape[0] + 1), -90, 90)
    return np.abs(np.diff(np.sin(np.radians(edges)))) / np.radians(abs(height))


def area(geometry: BaseGeometry, grid: GeoBox) -> float:
    """Area of a zone in pixels, each as large as `_row_areas` says."""
    width, height = abs(grid.affine.a), abs(grid.affine.e)
    if not grid.crs.geographic:
        return float(geometry.area / (width * height))
    # Longitude and sine of latitude: a projection that keeps areas.
    dense = shapely.segmentize(geometry, height)
    flat = shapely.transform(dense, lambda c: np.column_stack([c[:, 0], np.sin(np.radians(c[:, 1]))]))
    return float(flat.area / (width * np.radians(height)))
