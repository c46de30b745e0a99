"""Which images of a product have tiles outside of a box, and how they become files without those."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import shapely
from affine import Affine
from odc.geo.geom import Geometry

from geodes_lab.archive.archive import Archive
from geodes_lab.downloading.box_record import Cut
from geodes_lab.downloading.job import Job
from geodes_lab.errors import GeodesError, NotUnderstood
from geodes_lab.formats.jpeg2000 import some_tiles
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.products import bands, unpack
from geodes_lab.raster.source import MARGIN
from geodes_lab.util.bbox import checked
from geodes_lab.vector import shapes


class Image(Protocol):
    """A file of some tiles."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""


@dataclass(frozen=True)
class Part:
    """The part of an image that is fetched."""

    image: Image
    tiles: tuple[int, ...]
    count: int
    """Of all tiles of the image."""
    outside: int


@dataclass(frozen=True)
class _Grid:
    """Where an image lies."""

    crs: Any
    affine: Affine
    shape: tuple[int, int]
    outside: int


def area(bbox: Any, geometry: Any) -> Geometry | None:
    """Return the place that a user means; None: everything.

    Raises
    ------
    GeodesError
        If it is no place, or two.
    """
    if bbox is not None and geometry is not None:
        raise GeodesError("bbox= and geometry= both say where: give only one of them.")
    if geometry is not None:
        return shapes.union("geometry", geometry)
    if bbox is None:
        return None
    west, south, east, north = checked(bbox)
    if west < east:
        return Geometry(shapely.box(west, south, east, north), shapes.DEGREES)
    both = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    return Geometry(shapely.union_all(both), shapes.DEGREES)


def parts(
    job: Job, archive: Archive, members: Sequence[str], place: Geometry, there: Mapping[str, Cut]
) -> dict[str, Part]:
    """Return the images of which only some tiles are fetched; all other members are fetched whole.

    Parameters
    ----------
    job, archive
        The product.
    members
        Those that are wanted.
    place
        The box.
    there
        Tiles that the folder has from earlier calls: they stay, as bands do.

    Raises
    ------
    GeodesError
        If no image can be cut, or none lies in the box.
    """
    grids = _grids(job, archive, members)
    cut: dict[str, Part] = {}
    inside = understood = 0
    for member in members:
        try:
            index = _index(archive, member)
            grid = grids.get(member) or _same(grids.values(), index)
            if index is None or grid is None or index.header.size != grid.shape:
                continue
            understood += 1
            touched = _touched(index, grid, place)
            inside += bool(touched)
            known = there.get(member)
            if known is not None and known.is_of(archive.entry(member)) and known.outside == grid.outside:
                touched |= {t for t in known.tiles if 0 <= t < index.header.grid[0] * index.header.grid[1]}
            if (count := index.header.grid[0] * index.header.grid[1]) == len(touched):
                continue
            file = archive.member(member)
            image = some_tiles.of(file.place, file.start, file.size, archive.range(member), touched, grid.outside)
        except NotUnderstood:
            continue  # it is fetched whole
        cut[member] = Part(image, tuple(sorted(touched)), count, grid.outside)
    if not understood:
        raise job.fail(
            "none of its images has tiles on a map grid that can be taken out of it, so that it has no part for a box; "
            "open the box with gl.open_cube(…, bbox=…) and write it with gl.save, or download bands= of it"
        )
    if not inside:
        raise job.fail("it does not reach the box; search with the same bbox=, or leave it out")
    return cut


def _grids(job: Job, archive: Archive, members: Sequence[str]) -> dict[str, _Grid]:
    """Return the grids of the images that are bands of the product, by member."""
    item, grids = unpack(job.item), dict[str, _Grid]()
    for key in item.assets:
        asset = item.assets[key]
        if "proj:transform" not in asset.extra_fields or "}/" not in asset.href:
            continue
        member = asset.href.partition("}/")[2]
        if member not in members or member in grids:
            continue
        source = bands.source(item, key).resolved()
        if source.native is None and source.geobox.crs is not None:
            outside = 0 if source.nodata is None or not np.isfinite(source.nodata) else int(source.nodata)
            grids[member] = _Grid(source.geobox.crs, source.geobox.affine, source.shape, outside)
    return grids


def _index(archive: Archive, member: str) -> Index | None:
    """Return the tiles of an image; None: it is no JPEG 2000."""
    if not member.lower().endswith(".jp2") or "/IMG_DATA/" not in member:
        return None
    file, stored = archive.member(member), archive.range(member)
    return Index(file.place, stored)


def _same(grids: Collection[_Grid], index: Index | None) -> _Grid | None:
    """Return the grid of an image that is no band, such as true colours: the one of a band of the same size."""
    return next((g for g in grids if index is not None and g.shape == index.header.size), None)


def _touched(index: Index, grid: _Grid, place: Geometry) -> set[int]:
    """Return the tiles that a place touches, with some pixels around it."""
    away = ~grid.affine
    shape = shapely.transform(
        shapes.converted(place, grid.crs).geom, lambda xy: np.column_stack(away * (xy[:, 0], xy[:, 1]))
    )
    shapely.prepare(near := shape.buffer(MARGIN))
    (rows, cols), (high, wide) = index.header.size, index.header.tile
    left, top, right, bottom = near.bounds
    found = set()
    for row in range(max(int(top // high), 0), min(int(bottom // high) + 1, index.header.grid[0])):
        for col in range(max(int(left // wide), 0), min(int(right // wide) + 1, index.header.grid[1])):
            tile = shapely.box(col * wide, row * high, min((col + 1) * wide, cols), min((row + 1) * high, rows))
            if near.intersects(tile):
                found.add(row * index.header.grid[1] + col)
    return found
