"""Products as one series: the same bands on the same grids, in order of time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pystac
from odc.geo.geobox import GeoBox

from geodes_lab import products
from geodes_lab.conversion import scene
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands
from geodes_lab.products.bands import name_of
from geodes_lab.raster.source import RasterSource
from geodes_lab.util import instant


@dataclass(frozen=True)
class Member:
    """A product of the series."""

    item: pystac.Item
    """As it was given."""
    described: pystac.Item
    """With an asset for each band."""

    @property
    def name(self) -> str:
        """The product's name."""
        return name_of(self.item)


@dataclass(frozen=True)
class BandSeries:
    """A band of all products."""

    name: str
    """The name of its array."""
    key: str
    """The key of its assets."""
    kind: str
    """The type of its numbers."""
    sources: tuple[RasterSource, ...]
    """The band of each product."""

    @property
    def first(self) -> RasterSource:
        """The band of the first product; all have its grid, its number for no data and that for saturation."""
        return self.sources[0]

    @property
    def grid(self) -> GeoBox:
        """The grid."""
        return self.first.geobox


@dataclass(frozen=True)
class Series:
    """Products with the same bands on the same grids."""

    members: tuple[Member, ...]
    groups: dict[str, list[BandSeries]]
    """The bands of each grid, by the name of the grid's group, such as ``r10m``."""

    def fingerprint(self) -> str:
        """Return what tells this series from others: products, files and bands."""
        told = [
            [group, b.key, b.kind, [_told(s) for s in b.sources]]
            for group, several in self.groups.items()
            for b in several
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _told(source: RasterSource) -> list[Any]:
    return [source.product, source.href.partition("?")[0], source.stored, source.scale, source.offset]


def of(items: Sequence[Any], names: Sequence[str] | None) -> Series:
    """Describe products as a series; metadata are read, no pixel.

    Raises
    ------
    GeodesError
        If a product cannot be opened or has no time, two have one name, or their bands differ in grid, type or number
        for no data.
    """
    list(products.families().values())  # imported once, not in each thread

    def described(product: Any) -> Member:
        item = products.as_item(product)
        return Member(item, products.unpack(item, names))

    with ThreadPoolExecutor(16) as pool:
        members = list(pool.map(described, items))
    for member in members:
        if instant.begin(member.described) is None:
            raise GeodesError(f"{member.name} has no time of acquisition, so that it has no place in a series.")
    members.sort(key=lambda m: (str(instant.begin(m.described)), m.name))
    scene.refuse_twins([m.item for m in members])
    groups: dict[str, list[BandSeries]] = {}
    grids: dict[str, GeoBox] = {}
    for key in scene.chosen(members[0].described, names):
        band = _band(members, key)
        label = next((g for g, grid in grids.items() if grid == band.grid), None) or _label(band.grid, grids)
        grids[label] = band.grid
        groups.setdefault(label, []).append(band)
    return Series(tuple(members), groups)


def _band(members: Sequence[Member], key: str) -> BandSeries:
    first = members[0]
    sources, kinds = [], []
    for member in members:
        if key not in member.described.assets or "proj:transform" not in member.described.assets[key].extra_fields:
            raise GeodesError(
                f"{member.name} has no band {key}, and {first.name} has it: all products of one cube have the same "
                "bands. Name those that all have with bands=, or leave the product out."
            )
        sources.append(scene.own_grid(member.described, key))
        kinds.append(str(member.described.assets[key].extra_fields.get("data_type") or sources[-1].dtype))
    one = sources[0]
    for member, source, kind in zip(members, sources, kinds, strict=True):
        if (source.epsg, source.transform, source.shape) != (one.epsg, one.transform, one.shape):
            raise GeodesError(
                f"Band {key} of {member.name} lies on another grid than that of {first.name}, and a cube has one grid: "
                "convert the products of each tile to a cube of their own, or put all on one grid with gl.open_cube "
                "and keep that with gl.save."
            )
        if (kind, source.nodata, source.saturated) != (kinds[0], one.nodata, one.saturated):
            raise GeodesError(
                f"Band {key} of {member.name} has numbers of {kind} with {source.nodata} for no data, that of "
                f"{first.name} {kinds[0]} with {one.nodata}: one array cannot hold both as they are. Convert them to "
                "two cubes."
            )
    return BandSeries(scene.file_stem(members[0].described, key), key, kinds[0], tuple(sources))


def _label(grid: GeoBox, taken: dict[str, GeoBox]) -> str:
    assert grid.crs is not None
    label = f"r{abs(grid.affine.a):.6g}{bands.unit(str(grid.crs))}"
    number = sum(name == label or name.startswith(f"{label}_") for name in taken)
    return f"{label}_{number + 1}" if number else label
