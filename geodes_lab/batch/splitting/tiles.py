"""The grid of tiles of a job: fixed by CRS, pixel size and tile size, so that other jobs have the same tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pystac
import shapely
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from geodes_lab import products
from geodes_lab.batch.request import TileGrid
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.vector.shapes import converted

MOST_TILES = 100_000
LEAST, MOST = 16, 8192
"""Pixels of a side of a tile."""


def grid_of(
    region: Geometry,
    items: list[pystac.Item],
    bands: list[str],
    *,
    crs: int | None,
    resolution: float | None,
    tile: int,
    reads: bool = True,
) -> TileGrid:
    """Choose the grid of tiles over a region.

    Without ``crs`` or ``resolution``, they are those of the first product; its metadata are read. If all products are
    of one tile of their mission, our tiles begin at its corner, so that files with tiles are read once.

    Parameters
    ----------
    region
        In degrees.
    items
        The products; at least one.
    bands
        The bands that are used: the finest gives the pixel size.
    crs
        An EPSG code.
    resolution
        Of a pixel, in units of the CRS.
    tile
        Pixels of a side of a tile.
    reads
        Whether metadata of the first product may be read; if not, what its Item says counts.

    Raises
    ------
    GeodesError
        If products have several CRSs and none was chosen, or there are too many tiles.
    """
    places = {str(i.properties.get("grid:code") or i.properties.get("proj:code") or "") for i in items}
    corner = (0.0, 0.0)
    if crs is None or resolution is None or (len(places) == 1 and places != {""}):
        own = _own_grid(items[0], bands, reads)
        if own is not None:
            if crs is None and len({p[:7] for p in places}) > 1:
                several = ", ".join(sorted(places)[:4])
                raise GeodesError(
                    f"The products lie in several grids ({several}): choose one with crs=, such as crs={own.crs.epsg}."
                )
            crs = own.crs.epsg if crs is None else crs
            resolution = abs(own.affine.a) if resolution is None else resolution
            corner = (own.affine.c, own.affine.f) if crs == own.crs.epsg else corner
    if crs is None or resolution is None:
        raise GeodesError(
            f"The grid of {items[0].id} is not known for {', '.join(bands)}: give crs= (an EPSG code) and resolution=."
        )
    side = tile * resolution
    # One number for all jobs with products of the same mission's tile.
    anchor = (corner[0] % side, corner[1] % side)
    outline = converted(region, CRS(f"EPSG:{crs}")).geom
    west, south, east, north = outline.bounds
    columns = math.floor((west - anchor[0]) / side + 1e-9), math.ceil((east - anchor[0]) / side - 1e-9)
    rows = math.floor((anchor[1] - north) / side + 1e-9), math.ceil((anchor[1] - south) / side - 1e-9)
    if not (columns[0] < columns[1] and rows[0] < rows[1]):
        raise GeodesError("region= has no area: give polygons.")
    if (columns[1] - columns[0]) * (rows[1] - rows[0]) > MOST_TILES:
        raise GeodesError(f"region= has more than {MOST_TILES} tiles: choose a larger tile=, or a coarser resolution=.")
    return TileGrid(crs, float(resolution), anchor, tile, columns, rows)


def _own_grid(item: pystac.Item, bands: list[str], reads: bool) -> GeoBox | None:
    """Return the grid of the finest band of a product; None: it is not known."""
    if reads:
        unpacked = products.unpack(item, bands, confirm=False)
        sources = [bands_.source(unpacked, band) for band in bands if bands_.has(unpacked, band)]
        known = [s.geobox for s in sources if s.native is None]
    else:
        known = [g for asset in item.assets.values() if (g := _said_grid(item, asset)) is not None]
    return min(known, key=lambda g: abs(g.affine.a), default=None)


def _said_grid(item: pystac.Item, asset: pystac.Asset) -> GeoBox | None:
    said = {**item.properties, **asset.extra_fields}
    code, shape, transform = (said.get(f"proj:{n}") for n in ("code", "shape", "transform"))
    try:
        grid = GeoBox((int(shape[0]), int(shape[1])), Affine(*(float(v) for v in transform[:6])), str(code))  # type: ignore[index]
        is_known = grid.crs is not None and grid.crs.epsg is not None and abs(grid.affine.a) > 0
    except Exception:  # whatever an Item has there
        return None
    return grid if is_known else None


def box_of(grid: TileGrid, column: int, row: int, columns: int = 1, rows: int = 1) -> GeoBox:
    """Return the pixels of a tile, or of several from it on."""
    side = grid.tile * grid.resolution
    affine = Affine(
        grid.resolution, 0, grid.anchor[0] + column * side, 0, -grid.resolution, grid.anchor[1] - row * side
    )
    return GeoBox((rows * grid.tile, columns * grid.tile), affine, f"EPSG:{grid.epsg}")


def whole(grid: TileGrid) -> GeoBox:
    """Return the pixels of the whole cube."""
    (left, right), (top, bottom) = grid.columns, grid.rows
    return box_of(grid, left, top, right - left, bottom - top)


def touching(grid: TileGrid, region: Geometry) -> Iterator[tuple[int, int]]:
    """Yield the columns and rows of the tiles that have something of a region."""
    outline = converted(region, CRS(f"EPSG:{grid.epsg}")).geom
    shapely.prepare(outline)
    for row in range(*grid.rows):
        for column in range(*grid.columns):
            box = shapely.box(*box_of(grid, column, row).boundingbox.bbox)
            if outline.intersects(box) and outline.intersection(box).area > 0:
                yield column, row


def footprint(grid: TileGrid, column: int, row: int) -> Any:
    """Return the area of a tile in degrees, a little larger: edges are bent."""
    box = box_of(grid, column, row)
    area = box.extent.to_crs("EPSG:4326", resolution=grid.tile * grid.resolution / 8).geom
    west, south, east, north = area.bounds
    return area.buffer(0.01 * max(east - west, north - south))
