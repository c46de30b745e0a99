"""Gridded Zarr stores, including ESA's EOPF products.

Each array of dims (y, x) is a band, described by its attributes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pystac
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.named import NAMED
from geodes_lab.products import addresses
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster import items
from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.products.zarr import cf
from geodes_lab.products.zarr.cf import dims_of, is_time
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.location import locate, place_of
from geodes_lab.storage.object_location import ObjectLocation

if TYPE_CHECKING:  # zarr-python takes half a second, and each Item is compared with this family
    from geodes_lab.products.zarr.hierarchy import Hierarchy

_MEDIA = ("application/vnd+zarr", "application/vnd.zarr")
_SENTINEL2 = {b.name.lower(): b for b in BANDS}


def matches(item: pystac.Item) -> bool:
    """Whether an Item has Zarr assets, by media type or by name, and no rasters."""
    return any(map(_is_zarr, item.assets.values())) and not items.matches(item)


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item: an asset per array of dims (y, x), or per plane of one of dims (band, y, x).

    Arrays keep their names, prefixed with their groups if several have the same name (``r20m_b04``). If arrays of
    several resolutions share a name or common name, it means the finest. Scale, offset and nodata are CF's, as in
    xarray; classes are CF's flags. Metadata and coordinates are read, no pixel.

    Parameters
    ----------
    item
        Its Zarr assets are stores, groups, or arrays.
    bands
        The bands to make exact, by asset key, name or common name; None: all with a grid.
    """
    from geodes_lab.products.zarr.hierarchy import Hierarchy

    band_item = item.clone()
    band_item.set_self_href(item.get_self_href())
    band_item.assets = {k: a for k, a in item.assets.items() if not _is_zarr(a) or "geodes:tile" in a.extra_fields}
    for asset in band_item.assets.values():  # bands that are described already, as `geodes_lab.convert` does
        if _is_zarr(asset):
            root, inside = _address(asset)
            asset.href = replace(root, path=f"{root.path}/{inside}".rstrip("/")).gdal
    stores: dict[ObjectLocation, Hierarchy] = {}
    by_place: dict[Any, _Band] = {}
    # Arrays before stores: an array that the Item names keeps that name.
    for key in sorted(set(item.assets) - set(band_item.assets), key=lambda k: -len(item.assets[k].href)):
        root, inside = _address(item.assets[key])
        if root not in stores:
            stores[root] = Hierarchy(root, name_of(item))
        for path, array in stores[root].images(inside).items():
            for band in _planes(stores[root], path, array, key if path == inside else "", item.assets[key]):
                by_place.setdefault((root, path, band.plane), band)
    _name(list(by_place.values()), set(band_item.assets), _is_sentinel2(item, stores.values()))
    by_name = set(bands or ()) - {*band_item.assets, *(f.key for f in by_place.values())}
    problems, true = [], []
    for band in by_place.values():
        band_item.assets[band.key] = pystac.Asset(band.href, media_type=_MEDIA[1], roles=["data"])
        if bands is None or band.key in bands or {band.name, band.common} & by_name:
            try:
                band_item.assets[band.key] = band.described(name_of(item))
                true.append(band)
            except cf.NoGrid as error:
                problems.append(f"Band {band.key} of {name_of(item)} {error}.")
    if problems and (bands is not None or not true):
        raise GeodesError(problems[0])
    if band_item.datetime is None and true and (time := true[0].store.time(true[0].path)):
        band_item.datetime = time
        band_item.properties = {
            k: v for k, v in band_item.properties.items() if k not in ("start_datetime", "end_datetime")
        }
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open the store with its own groups as nodes, decoded by xarray; of several stores, one node each."""
    from geodes_lab.products.zarr.hierarchy import Hierarchy

    addresses = [_address(a) for a in item.assets.values() if _is_zarr(a)]
    trees = {}
    for root in dict.fromkeys(root for root, _ in addresses):
        inside = {path for r, path in addresses if r == root}
        trees[root] = Hierarchy(root, name_of(item)).tree(inside.pop() if len(inside) == 1 else "")
    tree, *more = trees.values()
    if more:
        tree = xr.DataTree(children={NAMED.sub("", root.name): t for root, t in trees.items()})
    tree.attrs |= {"title": name_of(item), "source": " ".join(root.href for root in trees)}
    return tree


def _is_zarr(asset: pystac.Asset) -> bool:
    media = (asset.media_type or "").split(";")[0].strip()
    return media in _MEDIA or (not media and NAMED.search(asset.href) is not None)


def _address(asset: pystac.Asset) -> tuple[ObjectLocation, str]:
    """Return the store, and the path in it."""
    href = addresses.of(asset)
    place = place_of(href) if href.startswith("/vsi") else locate(href)
    end, shown = NAMED.search(place.path), NAMED.search(place.href)
    if end is None or place.query:
        problem = "is a signed address" if place.query else "is not in a folder whose name ends in .zarr"
        raise GeodesError(
            f"{place.href} {problem}: Zarr cannot be read from such an address; copy the store to a folder whose name "
            "ends in .zarr."
        )
    root = replace(place, path=place.path[: end.end()], href=place.href[: shown.end()] if shown else place.href)
    return root, place.path[end.end() :].strip("/")


def _is_sentinel2(item: pystac.Item, stores: Iterable[Hierarchy]) -> bool:
    descriptions = [item.properties, *(s.discovered for s in stores)]
    names = (p.get(k) for p in descriptions for k in ("platform", "constellation", "product:type"))
    return any(str(n).upper().startswith(("S2", "S02", "SENTINEL-2")) for n in (name_of(item), *names))


@dataclass(eq=False)
class _Band:
    """An array, or a plane of one, that may become a band."""

    store: Hierarchy
    path: str
    array: Any
    key: str  # of the asset; empty until it is chosen
    name: str
    said: dict[str, Any]  # in the Item
    plane: int = 1
    common: str | None = None
    wave: float | None = None

    @property
    def href(self) -> str:
        return replace(self.store.place, path=f"{self.store.place.path}/{self.path}".rstrip("/")).gdal

    @property
    def suffixes(self) -> list[str]:  # the possible keys, short ones first
        *groups, last = self.path.split("/")
        leaf = last if self.array.ndim == 2 or self.name == last else f"{last}_{self.name}"
        parts = [NAMED.sub("", self.store.place.name), *groups, leaf] if last else [self.name]
        return ["_".join(parts[-n:]) for n in range(1, len(parts) + 1)]

    def described(self, product: str) -> pystac.Asset:
        """Describe grid and radiometry; coordinates are read."""
        dims, attrs, form = dims_of(self.array), dict(self.array.attrs), self.array.metadata.zarr_format
        if len(dims) == 3 and is_time(dims[0]) and self.array.shape[0] > 1:
            raise cf.NoGrid(f"has {self.array.shape[0]} times: it is already a cube, open it with xarray.open_zarr")
        (height, width), (down, across) = self.array.shape[-2:], self.array.chunks[-2:]
        scopes = self.store.scopes(self.path, self.array)
        y, x = (self.store.coordinate(self.path, dim) for dim in dims[-2:])
        source = RasterSource(
            href=self.href,
            product=product,
            band=self.name,
            epsg=cf.epsg(scopes),
            transform=cf.transform(y, x, scopes, (height, width)),
            shape=(height, width),
            dtype="uint8" if self.array.dtype.kind == "b" else self.array.dtype.name,
            scale=float(attrs.get("scale_factor", self.said.get("raster:scale", 1.0))),
            offset=float(attrs.get("add_offset", self.said.get("raster:offset", 0.0))),
            nodata=cf.nodata(attrs, self.array.fill_value if form == 2 else None),
            index=self.plane,
            tile=(min(down, height), min(across, width)),
        )
        title = attrs.get("long_name") or attrs.get("standard_name") or self.name
        band_asset = bands_.asset(
            source, common_name=self.common, wavelength=self.wave, title=title, media_type=_MEDIA[1]
        )
        band_asset.extra_fields |= cf.classes(attrs)
        if self.array.dtype.kind == "b" or attrs.get("flag_meanings"):
            band_asset.extra_fields["geodes:classes"] = True
        return band_asset


def _planes(store: Hierarchy, path: str, array: Any, key: str, asset: pystac.Asset) -> list[_Band]:
    """Return the bands of an array: with dims (band, y, x), one for each label or number of the first."""
    fields = asset.extra_fields if key else {}
    listed = [*fields.get("bands", []), *fields.get("eo:bands", []), {}][0]
    common = listed.get("eo:common_name") or listed.get("common_name") or array.attrs.get("common_name")
    name = path.rpartition("/")[2] or NAMED.sub("", store.place.name)
    if array.ndim == 2 or array.shape[0] == 1 or is_time(dims_of(array)[0]):
        return [_Band(store, path, array, key, name, fields, common=common)]
    labels = store.coordinate(path, dims_of(array)[0])
    names = map(str, labels[0].tolist() if labels else range(1, array.shape[0] + 1))
    return [_Band(store, path, array, "", label, {}, n) for n, label in enumerate(names, 1)]


def _name(bands: list[_Band], taken: set[str], sentinel2: bool) -> None:
    """Choose each band's key; a name that several share goes to the finest, EOPF's measurements before its masks."""
    taken |= {b.key for b in bands}
    first = [b for b in bands if b.path.startswith("measurements/")] or bands
    for group, rivals in ((first, first), ([b for b in bands if b not in first], bands)):
        counts = Counter(s for b in rivals for s in b.suffixes)
        for band in (b for b in group if not b.key):
            free = [s for s in band.suffixes if counts[s] == 1 and s not in taken]
            band.key = free[0] if free else band.suffixes[-1]
            taken.add(band.key)
    for band in first:
        if sentinel2 and (known := _SENTINEL2.get(band.name.lower())):
            band.common, band.wave = band.common or known.common_name, known.wavelength
    for field in ("name", "common"):
        best: dict[str, Any] = {}
        ranks = [(bool(b.said), b in first, b.array.shape[-2] * b.array.shape[-1]) for b in bands]
        for band, rank in zip(bands, ranks, strict=True):
            best[getattr(band, field)] = max(best.get(getattr(band, field), rank), rank)
        for band, rank in zip(bands, ranks, strict=True):
            if rank < best[getattr(band, field)]:
                setattr(band, field, band.key if field == "name" else None)
