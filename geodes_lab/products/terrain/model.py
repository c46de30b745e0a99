"""Terrain models under a radar image.

One raster or a list of tiles, whose heights are converted to heights above the ellipsoid.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pystac
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab import products
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.terrain import datum
from geodes_lab.products.terrain import sheet as terrain_sheet
from geodes_lab.products.terrain.sheet import Flags, Floats, Tile
from geodes_lab.raster import geoid
from geodes_lab.raster.points import Points

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]

_LOWEST, _HIGHEST = -1000.0, 9500.0  # metres of plausible land heights
_NAMED = 3  # tiles that a note names


class Heights(NamedTuple):
    """The heights of a grid's pixels."""

    height: Floats
    """Metres above the ellipsoid; NaN where no tile has a height."""
    is_within: Flags
    """Whether one of the tiles covers the pixel, even without a height there."""
    is_filled: Flags
    """Whether such a tile belongs to a model without holes on land: then no data means sea."""


@dataclass(frozen=True)
class Terrain:
    """A terrain model; a `geodes_lab.raster.source.Relief`."""

    tiles: tuple[Tile, ...]
    """Where several tiles have a height, the first is used."""

    @property
    def note(self) -> str:
        """A description, for the attributes of a cube."""
        names = list(dict.fromkeys(t.source.product for t in self.tiles))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        kinds = "; ".join(dict.fromkeys(t.datum.note for t in self.tiles))
        return f"{', '.join(names[:_NAMED])}{more}, {kinds}"

    def heights(self, grid: GeoBox) -> Heights:
        """Read the heights at the centres of a grid's pixels; see `heights_at`."""
        return self.heights_at(terrain_sheet.points(grid))

    def heights_at(self, points: Points) -> Heights:
        """Read the heights at points, bilinear between the model's own.

        For points that are further apart than these, means are used.
        """
        height = np.full(points.shape, np.nan)
        for sheet in terrain_sheet.sheets(self.tiles):
            if (values := sheet.read(points)) is None:
                continue
            values *= sheet.datum.metre
            # Voids whose number the file does not declare, and the sea floor.
            values[(values < _LOWEST) | (values > _HIGHEST)] = np.nan
            if sheet.datum.above == "geoid":
                values += sea_level(points)
            height = np.where(np.isnan(height), values, height)
        within, filled = (np.zeros(points.shape, bool) for _ in range(2))
        if np.isnan(height).any():
            for tile in self.tiles:
                inside = terrain_sheet.covered(tile.source, points)
                within |= inside
                filled |= inside & tile.datum.is_filled
        return Heights(height, within, filled)


def of(dem: Product | Iterable[Product], heights: Literal["geoid", "ellipsoid"] | None) -> Terrain:
    """Accept a terrain model in any form: a raster, or its tiles; their headers are read.

    Raises
    ------
    GeodesError
        If a raster does not have exactly one band, or its vertical datum is unknown.
    """
    products_given = products.several(dem, "The tiles of dem=")
    with ThreadPoolExecutor(16) as pool:
        tiles = tuple(pool.map(lambda product: _tile(product, heights), products_given))
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


def sea_level(points: Points) -> Floats:
    """Return the height of sea level above the ellipsoid at points."""
    lon, lat = Transformer.from_crs(str(points.crs), 4326, always_xy=True).transform(*points.centres)
    return points.between(geoid.undulation(lon, lat))
