"""The units of a job: a tile and a period each, a product each, or one of all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pystac
import shapely
from odc.geo.geom import Geometry
from shapely.geometry import shape

from geodes_lab.batch.request import Request, Unit
from geodes_lab.batch.splitting import tiles
from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of
from geodes_lab.util import instant
from geodes_lab.util.file_name import is_safe
from geodes_lab.vector.shapes import DEGREES

MOST = 200_000
_WIDE = 180.0  # degrees: what is wider may lie across the antimeridian, and is taken along


class NoProduct(GeodesError):
    """No product lies in the region and the period."""


def split(request: Request, items: Sequence[pystac.Item], over: str) -> list[Unit]:
    """Split a job into units, without its end.

    Tiles and periods without products have no unit: there is nothing to compute.

    Parameters
    ----------
    request
        What is asked.
    items
        Its Items.
    over
        ``each`` or ``all``, if there is no grid.

    Raises
    ------
    NoProduct
        If no unit has a product.
    GeodesError
        If there are too many units.
    """
    if request.grid is not None:
        units = list(_by_tiles(request, items))
    elif request.times:
        units = list(_by_times(request, items))
    elif over == "each":
        names = _file_names(items)
        units = [Unit(name_of(item), [n], file=names[n]) for n, item in enumerate(items)]
    else:
        units = [Unit("all products", list(range(len(items))), file="result")]
    if not units:
        raise NoProduct("No product lies in the region and the period: widen them, or give other Items.")
    if len(units) > MOST:
        raise GeodesError(
            f"The job has {len(units)} units, more than {MOST}: choose a larger tile= or a longer every=."
        )
    if len({u.name for u in units}) < len(units):
        units = [Unit(f"{u.name} ({n})", u.items, u.tile, u.time, u.file) for n, u in enumerate(units, 1)]
    return units


def _by_tiles(request: Request, items: Sequence[pystac.Item]) -> Iterator[Unit]:
    grid = request.grid
    assert grid is not None
    assert request.region is not None
    region = Geometry(shape(request.region), DEGREES)
    found = _Places(items)
    in_time = list(_in_time(request, items))
    for column, row in tiles.touching(grid, region):
        here = found.touching(tiles.footprint(grid, column, row))
        for number, label, those in in_time:
            if chosen := sorted(here & those):
                name = grid.name(column, row)
                # The file has what the name has; a name of a tile and a day has no other characters.
                file = name if number is None else f"{name}_{label}"
                yield Unit(
                    file.replace(f"_{label}", f" {label}") if label else file, chosen, (column, row), number, file
                )


def _by_times(request: Request, items: Sequence[pystac.Item]) -> Iterator[Unit]:
    found = set(range(len(items)))
    if request.region is not None:
        found = _Places(items).touching(shape(request.region))
    for number, label, those in _in_time(request, items):
        if chosen := sorted(found & those):
            yield Unit(label or "all products", chosen, None, number, label or "result")


def _in_time(request: Request, items: Sequence[pystac.Item]) -> Iterator[tuple[int | None, str, set[int]]]:
    """Yield the periods: number, label, and the numbers of their Items."""
    if not request.times:
        yield None, "", set(range(len(items)))
        return
    moments = [instant.begin(item) for item in items]
    for number, (begin, end) in enumerate(request.times):
        first, last = instant.utc(begin), instant.utc(end)
        assert first is not None
        assert last is not None
        label = begin[:10] if begin.endswith("T00:00:00Z") else begin.replace(":", "")
        yield number, label, {n for n, m in enumerate(moments) if m is not None and first <= m < last}


class _Places:
    """Where the Items are."""

    def __init__(self, items: Sequence[pystac.Item]) -> None:
        self._anywhere: set[int] = set()
        geometries: list[Any] = []
        self._numbers: list[int] = []
        for number, item in enumerate(items):
            geometry = _geometry(item)
            if geometry is None or geometry.bounds[2] - geometry.bounds[0] > _WIDE:
                self._anywhere.add(number)
            else:
                geometries.append(geometry)
                self._numbers.append(number)
        self._tree = shapely.STRtree(geometries)

    def touching(self, area: Any) -> set[int]:
        """Return the numbers of the Items that have something of an area in degrees."""
        near = self._tree.query(area, predicate="intersects")
        return {self._numbers[int(n)] for n in near} | self._anywhere


def _geometry(item: pystac.Item) -> Any:
    try:
        geometry = shape(item.geometry) if item.geometry else None
    except (ValueError, TypeError, AttributeError, KeyError, shapely.errors.ShapelyError):
        return None  # whatever a catalogue has there
    if geometry is None or geometry.is_empty or not geometry.is_valid:
        return None
    return geometry


def _file_names(items: Sequence[pystac.Item]) -> list[str]:
    """Name the file of each product after it, if its name can be one of a file."""
    names: list[str] = []
    for item in items:
        name = name_of(item)
        if not is_safe(name) or name in names or len(name) > 120:
            name = f"product-{hashlib.sha256(f'{len(names)} {name}'.encode()).hexdigest()[:16]}"
        names.append(name)
    return names
