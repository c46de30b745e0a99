"""The native grid of a band, and the copies of it around the Earth that another grid needs."""

from __future__ import annotations

from functools import lru_cache

from affine import Affine
from odc.geo.geobox import GeoBox

from geodes_lab.raster import globe, overlap
from geodes_lab.raster.footprint import footprint


@lru_cache(maxsize=256)
def geobox(shape: tuple[int, int], transform: tuple[float, ...], epsg: int) -> GeoBox:
    """Cached, because thousands of products are on a few grids."""
    return GeoBox(shape, Affine(*transform), f"EPSG:{epsg}")


@lru_cache(maxsize=4096)
def turns(
    shape: tuple[int, int],
    transform: tuple[float, ...],
    epsg: int,
    is_gridded: bool,
    grid_shape: tuple[int, int],
    grid_transform: tuple[float, ...],
    grid_crs: str,
) -> tuple[int, ...]:
    """Return by how many turns of the Earth the copies of a band are moved; see `RasterSource.copies`.

    Thousands of products are on one grid. Its parts are the key: pyproj makes the hash of a CRS of all its WKT.
    """
    own, grid = geobox(shape, transform, epsg), GeoBox(grid_shape, Affine(*grid_transform), grid_crs)
    if not own.crs.geographic or not is_gridded:
        return (0,) if overlap.share_area(grid.boundingbox, footprint(own, grid.crs), grid.crs.geographic) else ()
    same = grid.crs.epsg == epsg
    covered = grid.boundingbox.bbox if same else globe.degrees(grid)
    if not same and covered[2] - covered[0] >= globe.TURN:
        # Chunks of a grid around the Earth have frames of their own, which begin anywhere and continue across 180°.
        covered = (-180.0, covered[1], 180.0 + globe.TURN, covered[3])
    return tuple(globe.turns(own, covered))
