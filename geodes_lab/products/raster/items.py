"""Items of any catalogue with an asset per band, and single raster files: the grid comes from the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pystac
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.products import assets
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster import file as raster_file
from geodes_lab.products.raster import names, series
from geodes_lab.products.raster import predicted as prediction
from geodes_lab.products.sentinel2 import other_catalogues


def matches(item: pystac.Item) -> bool:
    """Whether an Item has raster assets, by media type or by name."""
    return any(map(assets.is_raster, item.assets.values()))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item; the header of each needed file is read, because catalogues contain errors.

    The Item's grid and shape are replaced by the file's. An offset that was already applied, according to the Item, is
    not applied again. Such corrections are listed in the property ``geodes:corrected``; conclusions about missing
    information in ``geodes:assumed``.

    Parameters
    ----------
    item
        An Item with an asset per band.
    bands
        The bands to make exact, by asset key, name or common name; None: all raster assets with role ``data``.
    """
    images = _images(item)
    known = names.told(item, images)
    band_item = item.clone()
    band_item.set_self_href(item.get_self_href())
    return _described(band_item, item, images, known, _files(item, known, bands))


def predicted(item: pystac.Item, bands: Sequence[str] | None) -> pystac.Item | None:
    """Make the band Item without any reading, if the Item tells grid and numbers of the wanted bands; else None.

    The first access to a file confirms them; see `geodes_lab.products.raster.predicted`.
    """
    if not bands:
        return None
    if set(bands) <= set(
        item.assets
    ):  # thousands of Items have twenty assets each: only those that count are looked at
        item = _of(item, {band: item.assets[band] for band in bands})
    images = _images(item)
    known = names.told(item, images)
    files = prediction.files(item, known, bands, images or {})
    if files is None:
        return None
    band_item = _described(_of(item, {}), item, images, known, files)
    prediction.promise(item, band_item, files)
    return band_item


def _of(item: pystac.Item, some: dict[str, pystac.Asset]) -> pystac.Item:
    """Return an Item with some assets, which shares all that nobody changes with the original: a clone takes longer."""
    properties, collection = dict(item.properties), item.collection_id
    other = pystac.Item(item.id, item.geometry, item.bbox, item.datetime, properties, collection=collection)
    other.stac_extensions, other.extra_fields = list(item.stac_extensions), dict(item.extra_fields)
    other.links, other.assets = list(item.links), some
    return other


def _images(item: pystac.Item) -> dict[str, str] | None:
    """Return Sentinel-2's image of each asset; None for other Items."""
    return other_catalogues.bands(item) if other_catalogues.matches(item) else None


def _described(
    band_item: pystac.Item,
    item: pystac.Item,
    images: Mapping[str, str] | None,
    known: Mapping[str, list[str]],
    files: Mapping[str, raster_file.File],
) -> pystac.Item:
    """Give a band Item the bands of the files, and what is to be said of them."""
    band_item.assets, wrong, assumed = {}, set[str](), set[str]()
    band_item.properties |= other_catalogues.properties(item) if images is not None else {}
    for (key, index), (name, others) in names.names(item, files, known).items():
        band_item.assets[name], assumption = raster_file.asset(
            item, key, files[key], index, name, others, (images or {}).get(key)
        )
        wrong.update(_wrong(item, key, band_item.assets[name]))
        assumed.update([assumption] if assumption else [])
    band_item.properties |= {"geodes:corrected": sorted(wrong)} if wrong else {}
    band_item.properties |= {"geodes:assumed": sorted(assumed)} if assumed else {}
    # Unverified descriptions are dropped; the names stay, so that errors can list them.
    for key, asset in item.assets.items():
        if key not in files:
            fields = {"geodes:names": known[key]} if key in known else {}
            band_item.assets[key] = pystac.Asset(asset.href, roles=asset.roles, extra_fields=fields)
    return band_item


def _files(
    item: pystac.Item, known: Mapping[str, list[str]], bands: Sequence[str] | None
) -> dict[str, raster_file.File]:
    """Return the headers of the rasters that have the wanted bands."""
    data = [k for k in known if "data" in assets.roles(item.assets[k])]
    unsure: list[str] = []
    if bands is None:
        # Earth Search has each image twice, as COG and as ESA's JPEG 2000.
        wanted = {k for k in data if not (k.endswith("-jp2") and k.removesuffix("-jp2") in data)}
    else:
        wanted = set[str]()
        for band in bands:
            # As in bands.source: an asset's own key means that asset and no other.
            by_item = (
                {band} & set(known)
                or {k for k in known if band in known[k]}
                or {*bands_.parts(item, band)} & set(known)
            )
            wanted |= by_item
            if not by_item:  # a derived name, or one that only the files have
                wanted |= {k for k in known if band in map(bands_.plain, (k, *known[k])) or band.startswith(f"{k}_")}
                unsure = [
                    k
                    for k in data
                    if (not known[k] or series.are_times(known[k])) and not assets.is_picture(k, item.assets[k])
                ]

    def read(key: str) -> raster_file.File | None:
        try:
            return raster_file.read(item, key)
        except GeodesError:
            if key in wanted:
                raise
            return None

    looked_at = [k for k in known if k in wanted or k in unsure]
    with ThreadPoolExecutor(16) as pool:
        return {k: file for k, file in zip(looked_at, pool.map(read, looked_at), strict=True) if file is not None}


def _wrong(item: pystac.Item, key: str, true: pystac.Asset) -> Iterator[str]:
    """Yield sentences about an Item's statements on an asset that its file contradicts."""
    asset = item.assets[key]
    for field, what in (("proj:shape", "pixels"), ("proj:code", "CRS"), ("proj:transform", "grid")):
        stated, has = asset.extra_fields.get(field), true.extra_fields[field]
        if isinstance(stated, list) and isinstance(has, list):
            stated, has = stated[: len(has)], [float(v) for v in has]
        if stated is not None and stated != has:
            yield f"{name_of(item)} gives {stated} for its {what}, but the file has {has}."
    if other_catalogues.is_applied(item, asset) and assets.Said(name_of(item), key, asset).offset:
        yield f"{name_of(item)} has an offset that is already applied: it was not applied again."


def open(item: pystac.Item) -> xr.DataTree:
    """Open each group of bands that share a grid as a node.

    Its name is ``r<metres>m`` (``r<metres>m_2`` for the next such grid), or ``r<degrees>deg``.
    """
    unpacked = unpack(item)
    grids: dict[Any, list[str]] = {}
    for key, asset in unpacked.assets.items():
        fields = asset.extra_fields
        if "proj:transform" in fields:
            grid = (fields["gsd"], fields["proj:code"], tuple(fields["proj:transform"]), tuple(fields["proj:shape"]))
            grids.setdefault(grid, []).append(key)
    notes = {
        k: unpacked.properties[f"geodes:{k}"] for k in ("corrected", "assumed") if f"geodes:{k}" in unpacked.properties
    }
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs={"title": name_of(item), **notes})}
    for (resolution, code, *_), keys in grids.items():
        name = f"/r{resolution:.6g}{bands_.unit(code)}"
        number = sum(n == name or n.startswith(f"{name}_") for n in nodes)
        nodes[f"{name}_{number + 1}" if number else name] = series.joined(bands_.dataset(unpacked, keys, {}), unpacked)
    return xr.DataTree.from_dict(nodes)
