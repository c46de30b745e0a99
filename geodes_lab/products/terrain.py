"""Terrain models under a radar image: one raster or a list of tiles, whose heights become heights above the ellipsoid."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pystac
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab import geoid, products, reader
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import datum
from geodes_lab.products.bands import name_of
from geodes_lab.products.datum import Datum
from geodes_lab.products.tiepoints import Lattice, sampled
from geodes_lab.source import Source

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MESH = 500.0  # metres between places whose geoid is reckoned; in between it is linear
_STEP = 16  # pixels of a grid between them, at most
_LOWEST, _HIGHEST = -1000.0, 9500.0  # metres that land may have
_NAMED = 3  # tiles that a note lists


class Heights(NamedTuple):
    """Of the pixels of a grid."""

    height: Floats
    """Metres above the ellipsoid; NaN where no tile has one."""
    is_within: Flags
    """Whether one of the tiles covers the place, though it may have no height there."""
    is_filled: Flags
    """Whether such a tile is of a model without holes on land: what it lacks is sea."""


@dataclass(frozen=True)
class Tile:
    """One raster of a terrain model."""

    source: Source
    """The band of heights, read as float32."""
    datum: Datum
    """What they are above."""


@dataclass(frozen=True)
class Terrain:
    """A terrain model; a `geodes_lab.source.Relief`."""

    tiles: tuple[Tile, ...]
    """Where several have a height, the first counts."""

    @property
    def note(self) -> str:
        """What it is, for the attributes of a cube."""
        names = list(dict.fromkeys(t.source.product for t in self.tiles))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        kinds = "; ".join(dict.fromkeys(t.datum.note for t in self.tiles))
        return f"{', '.join(names[:_NAMED])}{more}, {kinds}"

    def heights(self, grid: GeoBox) -> Heights:
        """Read the heights at the centres of a grid's pixels, bilinear between the model's own; of a coarser grid, of its means."""
        found = np.full(grid.shape, np.nan)
        for sheet in self._sheets:
            if (values := sheet.read(grid)) is None:
                continue
            values *= sheet.datum.metre
            # Voids whose number the file does not declare, and the floor of the sea.
            values[(values < _LOWEST) | (values > _HIGHEST)] = np.nan
            if sheet.datum.above == "geoid":
                values += sea_level(grid)
            found = np.where(np.isnan(found), values, found)
        within, filled = (np.zeros(grid.shape, bool) for _ in range(2))
        if np.isnan(found).any():
            for tile in self.tiles:
                inside = _inside(tile.source, grid)
                within |= inside
                filled |= inside & tile.datum.is_filled
        return Heights(found, within, filled)

    @cached_property
    def _sheets(self) -> list[Sheet]:
        sheets: list[list[Tile]] = []
        for tile in self.tiles:
            same = next((s for s in sheets if _is_of_one_lattice(s[0], tile)), None)
            if same is None:
                sheets.append([tile])
            else:
                same.append(tile)
        return [Sheet(tuple(s)) for s in sheets]


@dataclass(frozen=True)
class Sheet:
    """Tiles whose pixels lie on one lattice: they are interpolated across their seams."""

    tiles: tuple[Tile, ...]

    @property
    def datum(self) -> Datum:
        """What the heights of all are above."""
        return self.tiles[0].datum

    @cached_property
    def whole(self) -> Source:
        """A source as large as all tiles, of which the grid alone counts."""
        boxes = [t.source.geobox.boundingbox for t in self.tiles]
        west, south = min(b.left for b in boxes), min(b.bottom for b in boxes)
        east, north = max(b.right for b in boxes), max(b.top for b in boxes)
        a, _, _, _, e, _ = self.tiles[0].source.transform
        shape = round((south - north) / e), round((east - west) / a)
        return Source("", "", "", self.tiles[0].source.epsg, (a, 0.0, west, 0.0, e, north), shape)

    def read(self, grid: GeoBox) -> Floats | None:
        """Heights on a grid, in their own unit and above what they are; None where no tile is near."""
        whole = self.whole
        if not whole.touches(grid):
            return None
        times = max(math.floor(whole.ratio(grid)), 1)
        rows, cols = (-(-n // times) for n in whole.shape)
        coarse = whole.reduced((times, times), (rows, cols))
        (top, bottom), (left, right) = coarse.spans(grid)
        if top >= bottom or left >= right:
            return None
        window = coarse.geobox[top:bottom, left:right]
        total, count = np.zeros(window.shape), np.zeros(window.shape, int)
        for tile in self.tiles:
            if not tile.source.touches(window):
                continue
            values, there = reader.read(tile.source, window, "average" if times > 1 else "nearest")
            there &= (count == 0) | (times > 1)  # a cell over a seam is of both tiles
            total[there] += values[there]
            count += there
        if not count.any():
            return None
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        x, y = _places(grid, coarse.epsg)
        col, row = ~(window.affine * Affine.translation(0.5, 0.5)) * (x, y)
        out = sampled(mean, row.ravel(), col.ravel(), 1).reshape(grid.shape).astype(float)
        # Beyond the outermost centres by half a pixel: there the model ends.
        beyond = (row < -0.5) | (row > window.shape[0] - 0.5) | (col < -0.5) | (col > window.shape[1] - 0.5)
        out[beyond] = np.nan
        return out


def of(dem: Product | Iterable[Product], heights: Literal["geoid", "ellipsoid"] | None) -> Terrain:
    """Describe a terrain model as the user has it: a raster, or its tiles; their headers are read.

    Raises
    ------
    GeodesError
        If a raster has not one band, or nobody says what its heights are above.
    """
    if isinstance(dem, (pystac.Item, dict, str, os.PathLike)):
        dem = [dem]
    with ThreadPoolExecutor(16) as pool:
        tiles = tuple(pool.map(lambda product: _tile(product, heights), dem))
    if not tiles:
        raise GeodesError("dem= is an empty list: give the tiles of a terrain model, or leave it out.")
    return Terrain(tiles)


def _tile(product: Product, heights: Literal["geoid", "ellipsoid"] | None) -> Tile:
    item = products.unpack(product)
    keys = [k for k, a in item.assets.items() if "proj:transform" in a.extra_fields]
    if len(keys) != 1:
        raise GeodesError(f"dem= is a raster of one band; {name_of(item)} has {', '.join(keys) or 'none'}.")
    source = replace(bands_.source(item, keys[0]), dtype="float32")
    names = (source.href.partition("?")[0].rsplit("/", 1)[-1], item.id, name_of(item), item.collection_id or "")
    return Tile(source, datum.of(source, names, heights))


def sea_level(grid: GeoBox) -> Floats:
    """How high the sea is above the ellipsoid at the centres of a grid's pixels."""
    lattice = _lattice(grid)
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(*lattice.centres)
    return lattice.between(geoid.undulation(lon, lat))


def _inside(source: Source, grid: GeoBox) -> Flags:
    if not source.touches(grid):
        return np.zeros(grid.shape, bool)
    x, y = _places(grid, source.epsg)
    box = source.geobox.boundingbox
    return (x >= box.left) & (x <= box.right) & (y >= box.bottom) & (y <= box.top)


def _places(grid: GeoBox, epsg: int) -> tuple[Floats, Floats]:
    """The centres of a grid's pixels in another CRS."""
    lattice = _lattice(grid)
    x, y = lattice.centres
    if grid.crs.epsg != epsg:
        x, y = Transformer.from_crs(str(grid.crs), epsg, always_xy=True).transform(x, y)
    return lattice.between(np.asarray(x)), lattice.between(np.asarray(y))


def _lattice(grid: GeoBox) -> Lattice:
    metres = max(abs(grid.affine.a), abs(grid.affine.e)) * (111_320 if grid.crs.geographic else 1)
    return Lattice(grid, int(np.clip(_MESH / metres, 1, _STEP)))


def _is_of_one_lattice(one: Tile, other: Tile) -> bool:
    first, second = one.source, other.source
    (a, _, c, _, e, f), (a2, _, c2, _, e2, f2) = first.transform, second.transform
    alike = (first.epsg, one.datum.above, one.datum.metre) == (second.epsg, other.datum.above, other.datum.metre)
    if not alike or first.native or second.native or max(abs(a - a2), abs(e - e2)) > 1e-9 * abs(a):
        return False
    return all(abs(d - round(d)) < 1e-3 for d in ((c2 - c) / a, (f2 - f) / e))
