"""Sentinel-2 L1C and L2A in ESA's SAFE layout: JPEG 2000 bands, radiometry and grids from the product's own XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pystac
import xarray as xr
from shapely import box
from shapely.geometry import mapping

from geodes_lab.products import bands as bands_
from geodes_lab.products import packed, sentinel2_masks, sentinel2_promise, sentinel2_safe
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel2_bands import BANDS, NUMBERS, asset, images
from geodes_lab.source import Source

_NAME = re.compile(r"S2[A-D]_(MSIL1C|MSIL2A|OPER_PRD_MSIL1C|USER_PRD_MSIL2A)(_|$|\.)")
_TYPES = ("S2MSI1C", "S2MSI2A", "S2MSI2Ap")


def matches(item: pystac.Item) -> bool:
    """Whether an Item is one product of Sentinel-2 L1C or L2A: by its type, or its name; not one with an asset per band."""
    named = bool(_NAME.match(name_of(item)))
    return (named or item.properties.get("product:type") in _TYPES) and (packed.is_one(item) or _is_unpacked(item))


def predicted(item: pystac.Item) -> pystac.Item | None:
    """Make the band Item of a catalogue's Item without reading anything; see `sentinel2_promise.item`."""
    return None if _is_unpacked(item) else sentinel2_promise.item(item)


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: grid, offset, quantification and nodata from its own XML.

    The two metadata files are read, no pixel. ``bands`` is not needed: the XML tells the truth of all. A band Item is
    given back as it is. Bands are named ``B04``; of level 2A those at other resolutions too, ``B04_20m``.
    """
    if _is_unpacked(item) and not sentinel2_promise.is_predicted(item):
        return item
    archive = packed.archive(item) if packed.is_one(item) else sentinel2_promise.archive(item)
    safe = sentinel2_safe.read(archive)
    made = item.clone()
    made.id = safe.name
    made.properties.update(
        {
            "identifier": safe.name,
            "geodes:source": archive.place.href,
            "processing:version": safe.baseline,
            "processing:level": safe.level,
            "product:type": "S2MSI1C" if safe.level == "L1C" else "S2MSI2A",
            "proj:code": f"EPSG:{safe.epsg}",
            "platform": safe.platform,
            "s2:generation_time": safe.generated,
            "s2:datastrip_id": safe.datastrip,
        }
    )
    if tile := re.search(r"_T(\d\d[A-Z]{3})(_|$)", safe.name):
        made.properties["grid:code"] = f"MGRS-{tile[1]}"
    made.datetime = safe.start
    made.properties.pop("start_datetime", None)
    made.properties.pop("end_datetime", None)
    if made.geometry is None:
        transform, shape = safe.grids[10]
        source = Source("", safe.name, "", safe.epsg, transform, shape)
        made.bbox = list(source.geobox.geographic_extent.boundingbox.bbox)
        made.geometry = mapping(box(*made.bbox))
    made.assets = {}
    for image in images(safe.images):
        if image.band != "TCI":
            made.add_asset(image.key, asset(safe.source(archive, image), image.band))
    plain = Source("", safe.name, "", safe.epsg, *safe.grids[60])
    made.assets |= sentinel2_masks.assets(archive, plain)
    return made


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``r10m``, ``r20m``, ``r60m``: reflectance at the top or bottom of the atmosphere, by common name."""
    unpacked = unpack(item)
    nodes: dict[str, Any] = {
        "/": xr.Dataset(
            attrs={
                "title": name_of(unpacked),
                "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
                "processing_baseline": unpacked.properties["processing:version"],
                "source": unpacked.properties["geodes:source"],
                "Conventions": "CF-1.11",
            }
        )
    }
    level = unpacked.properties["processing:level"]
    for resolution in (10, 20, 60):
        names = {}
        for key, one in unpacked.assets.items():
            band = key.split("_")[0]
            if one.extra_fields["gsd"] == resolution and "data" in (one.roles or ()):
                names[key] = BANDS[NUMBERS[band]].common_name if band in NUMBERS else band.lower()
        if names:
            attrs = {key: attributes(unpacked.assets[key], level) for key in names}
            nodes[f"/r{resolution}m"] = bands_.dataset(unpacked, list(names), attrs).rename(names)
    return xr.DataTree.from_dict(nodes)


def attributes(asset: pystac.Asset, level: str) -> dict[str, Any]:
    """CF attributes of an image."""
    fields = asset.extra_fields
    if "eo:center_wavelength" not in fields["bands"][0]:
        return {"long_name": asset.title}
    where, name = ("surface", "surface") if level == "L2A" else ("toa", "top-of-atmosphere")
    return {
        "standard_name": f"{where}_bidirectional_reflectance",
        "long_name": f"{asset.title} {name} reflectance",
        "units": "1",
        "scale_applied": fields["raster:scale"],
        "offset_applied": fields["raster:offset"],
    }


def _is_unpacked(item: pystac.Item) -> bool:
    return any("proj:transform" in a.extra_fields for a in item.assets.values())
