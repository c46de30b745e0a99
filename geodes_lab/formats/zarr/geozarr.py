"""Attributes of Zarr groups by the GeoZarr conventions ``spatial:``, ``proj:`` and ``multiscales``.

Any reader may ignore them; those that know them find grid, CRS and coarser levels without reading a coordinate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odc.geo.geobox import GeoBox

_CONVENTIONS = "https://github.com/zarr-conventions"
_RAW = "https://raw.githubusercontent.com"
_SPATIAL = {
    "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "name": "spatial:",
    "schema_url": f"{_RAW}/zarr-conventions/spatial/refs/tags/v1/schema.json",
    "spec_url": f"{_CONVENTIONS}/spatial/blob/v1/README.md",
    "description": "Spatial coordinate information",
}
_PROJ = {
    "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "name": "proj:",
    "schema_url": f"{_RAW}/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
    "description": "Coordinate reference system information for geospatial data",
}
_MULTISCALES = {
    "uuid": "d35379db-88df-4056-af3a-620245f8e347",
    "name": "multiscales",
    "schema_url": f"{_RAW}/zarr-conventions/multiscales/refs/tags/v1/schema.json",
    "spec_url": f"{_CONVENTIONS}/multiscales/blob/v1/README.md",
    "description": "Multiscale layout of zarr datasets",
}


def of_grid(grid: GeoBox) -> dict[str, Any]:
    """Return the attributes of a group whose arrays have a grid.

    Parameters
    ----------
    grid
        The grid, with a CRS; the arrays' last two dims are ``y`` and ``x``.
    """
    return {"zarr_conventions": [_SPATIAL, _PROJ], **_spatial(grid), **_proj(grid)}


def of_levels(grids: Sequence[GeoBox], resampling: str) -> dict[str, Any]:
    """Return the attributes of a group of levels, whose names are ``0``, ``1``, …, each with half the pixels.

    Parameters
    ----------
    grids
        The grids, finest first.
    resampling
        How a level was made from the one before.
    """
    layout: list[dict[str, Any]] = []
    for number, grid in enumerate(grids):
        level: dict[str, Any] = {"asset": str(number)}
        if number:
            level |= {"derived_from": str(number - 1), "transform": {"scale": [2.0, 2.0], "translation": [0.0, 0.0]}}
        else:
            level["transform"] = {"scale": [1.0, 1.0], "translation": [0.0, 0.0]}
        level |= {k: v for k, v in _spatial(grid).items() if k in ("spatial:shape", "spatial:transform")}
        layout.append(level)
    found = of_grid(grids[0])
    found["zarr_conventions"] = [_MULTISCALES, *found["zarr_conventions"]]
    return {**found, "multiscales": {"layout": layout, "resampling_method": resampling}}


def _spatial(grid: GeoBox) -> dict[str, Any]:
    box = grid.boundingbox
    return {
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(grid.affine)[:6],
        "spatial:transform_type": "affine",
        "spatial:registration": "pixel",
        "spatial:shape": list(grid.shape),
        "spatial:bbox": [box.left, box.bottom, box.right, box.top],
    }


def _proj(grid: GeoBox) -> dict[str, Any]:
    epsg = grid.crs.to_epsg() if grid.crs is not None else None
    return {"proj:code": f"EPSG:{epsg}"} if epsg else {"proj:wkt2": str(grid.crs.to_wkt())}
