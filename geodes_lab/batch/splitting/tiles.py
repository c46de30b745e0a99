"""The grid of tiles of a job: fixed by CRS, pixel size and tile size, so that other jobs have the same tiles."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
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
        Whether metadata of a product may be read.

    Raises
    ------
    GeodesError
        If products have several CRSs and none was chosen, or there are too many tiles.
    """
    places = {str(i.properties.get("grid:code") or i.properties.get("proj:code") or "") for i in items}
    corner = (0.0, 0.0)
    if not reads:
        crs, resolution, corner = _declared(items, crs, resolution)
    elif crs is None or resolution is None or (len(places) == 1 and places != {""}):
        unpacked = products.unpack(items[0], bands, confirm=False)
        sources = [bands_.source(unpacked, band) for band in bands if bands_.has(unpacked, band)]
        if not sources or any(s.native is not None for s in sources):
            raise GeodesError(
                f"{items[0].id} has no map grid for {', '.join(bands)}: give crs= (an EPSG code) and resolution=."
            )
        finest = min(sources, key=lambda s: abs(s.transform[0]))
        if crs is None and len({p[:7] for p in places}) > 1:
            raise GeodesError(
                f"The products lie in several grids ({', '.join(sorted(places)[:4])}): choose one with crs=, such as "
                f"crs={finest.epsg}."
            )
        crs = finest.epsg if crs is None else crs
        resolution = abs(finest.transform[0]) if resolution is None else resolution
        if crs == finest.epsg:
            corner = (finest.transform[2], finest.transform[5])
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


def _declared(
    items: Sequence[pystac.Item], crs: int | None, resolution: float | None
) -> tuple[int, float, tuple[float, float]]:
    """Choose CRS, pixel size and corner by what the Items say of themselves; no product is opened.

    Raises
    ------
    GeodesError
        If they do not say it, or not the same, and it was not given.
    """
    grids: dict[int, tuple[float, float, float]] = {}
    for asset, own in ((a, i) for i in items for a in i.assets.values()):
        code = asset.extra_fields.get("proj:code") or own.properties.get("proj:code")
        transform = asset.extra_fields.get("proj:transform")
        if not isinstance(code, str) or not re.fullmatch(r"EPSG:\d{4,6}", code, re.ASCII):
            continue
        if not isinstance(transform, list) or len(transform) not in (6, 9):
            continue
        if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in transform) or not transform[0] > 0:
            continue
        found = (float(transform[0]), float(transform[2]), float(transform[5]))
        known = grids.get(int(code[5:]))
        grids[int(code[5:])] = found if known is None or found[0] < known[0] else known
    if crs is None and len(grids) == 1:
        (crs,) = grids
    if resolution is None and crs in grids:
        resolution = grids[crs][0]
    if crs is None or resolution is None:
        raise GeodesError(
            "A job over a region needs crs (an EPSG code) and resolution (of a pixel, in units of the CRS): the Items "
            "do not say one grid, and no product is opened before the job begins."
        )
    return crs, resolution, grids[crs][1:] if crs in grids else (0.0, 0.0)


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
