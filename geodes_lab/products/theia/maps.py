"""Maps from Theia as a zip of GeoTIFFs: the land cover of France (OSO), water quality, biophysical variables.

Based on the public description of the collections; the files contain their grid. The nomenclature of OSO is published
by CNES and CESBIO: 17 classes for 2016 and 2017, 23 since 2018.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pystac
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import header, packed
from geodes_lab.products.bands import name_of
from geodes_lab.raster.source import RasterSource, holds

_NAME = re.compile(r"OSO_\d{8}_RASTER|(?:OSO|WATERQUAL|BIOPHY)_\w*RASTER")
_COLLECTION = re.compile(r"THEIA_(OSO_RASTER|WATERQUAL_SENTINEL2|BIOPHY_SENTINEL2)_L[23]B")
_CLASSES_17 = {
    11: "summer crops", 12: "winter crops", 31: "broadleaf forest", 32: "coniferous forest", 34: "natural grassland",
    36: "woody moorland", 41: "dense built-up", 42: "sparse built-up", 43: "industrial and commercial", 44: "roads",
    45: "mineral surfaces", 46: "beaches and dunes", 51: "water", 53: "glaciers and snow", 211: "grassland",
    221: "orchards", 222: "vineyards",
}  # fmt: skip
_CLASSES_23 = {
    1: "dense built-up", 2: "sparse built-up", 3: "industrial and commercial", 4: "roads", 5: "rapeseed",
    6: "straw cereals", 7: "protein crops", 8: "soy", 9: "sunflower", 10: "corn", 11: "rice", 12: "tubers and roots",
    13: "grassland", 14: "orchards", 15: "vineyards", 16: "broadleaf forest", 17: "coniferous forest",
    18: "natural grassland", 19: "woody moorland", 20: "mineral surfaces", 21: "beaches and dunes",
    22: "glaciers and snow", 23: "water",
}  # fmt: skip
_NODATA = {"OSO": 0.0}
_OTHERS = -10_000.0  # Theia's number for no data


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its collection, or its name."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return bool(_COLLECTION.match(collection) or _NAME.match(name_of(item)))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: an asset for each GeoTIFF, from its header.

    The land cover is ``land_cover``, with its classes, beside ``confidence`` (%) and ``validity`` (number of clear
    images) if they exist; other files have their own names. No data is the file's declaration, else the collection's. A
    band Item is returned unchanged.
    """
    if bands_.is_band_item(item):
        return item
    archive = packed.archive(item)
    paths = [p for p in archive.matching(r"[^/]+\.(?:tif|tiff|TIF|TIFF)") if "QKL" not in p]
    if not paths:
        raise GeodesError(f"{archive.place.href} has no GeoTIFF: the product is incomplete; fetch it again.")
    band_item = item.clone()
    band_item.assets = {}
    is_oso = name_of(item).startswith("OSO") or "OSO" in str(item.collection_id or item.properties.get("dataset"))
    for path in paths:
        name = path.rsplit("/", 1)[-1].rpartition(".")[0]
        head = header.read(archive.gdal(path), f"{name}.tif of {archive.place.href}")
        key = _oso(name) if is_oso else name.removeprefix(f"{name_of(item)}_")
        if key in band_item.assets:
            raise GeodesError(
                f"{archive.place.href} has several files for {key}, and the right one is not known: keep only one."
            )
        nodata = head.nodata if head.nodata is not None else _NODATA["OSO"] if is_oso else _OTHERS
        fits = not np.isfinite(nodata) or head.dtype.startswith("float") or holds(head.dtype, nodata)
        source = RasterSource(
            archive.gdal(path), name_of(item), key, head.epsg, head.transform, head.shape, head.dtype,
            nodata=nodata if fits else None, stored=archive.range(path),
        )  # fmt: skip
        asset = bands_.asset(
            source, common_name=None, wavelength=None, title=_title(key), media_type=pystac.MediaType.GEOTIFF
        )
        if key == "land_cover":
            classes = _CLASSES_17 if _year(name, item) < 2018 else _CLASSES_23
            asset.extra_fields["classification:classes"] = [
                {"value": v, "name": n.replace(" ", "_"), "title": n} for v, n in classes.items()
            ]
        band_item.assets[key] = asset
        band_item.properties |= {"proj:code": f"EPSG:{head.epsg}", "geodes:source": archive.place.href}
    if is_oso:
        band_item.datetime = datetime(_year(paths[0].rsplit("/", 1)[-1], item), 1, 1, tzinfo=UTC)
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as a node for each resolution (``r10m``); the names of classes are CF flags."""
    unpacked = unpack(item)
    attrs = {
        "title": name_of(unpacked),
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "Conventions": "CF-1.11",
    }
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs=attrs)}
    for resolution in sorted({a.extra_fields["gsd"] for a in unpacked.assets.values()}):
        here = {k: a for k, a in unpacked.assets.items() if a.extra_fields["gsd"] == resolution}
        about = {k: _attributes(k, a) for k, a in here.items()}
        nodes[f"/r{resolution:g}m"] = bands_.dataset(unpacked, list(here), about)
    return xr.DataTree.from_dict(nodes)


def _attributes(key: str, asset: pystac.Asset) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": asset.title}
    if classes := asset.extra_fields.get("classification:classes"):
        attrs["standard_name"] = "land_cover"
        attrs["flag_values"] = [c["value"] for c in classes]
        attrs["flag_meanings"] = " ".join(c["name"] for c in classes)
    elif key in ("confidence", "validity"):
        attrs["units"] = "percent" if key == "confidence" else "1"
    return attrs


def _oso(name: str) -> str:
    """Return the key of an OSO file."""
    for word in ("confidence", "validity"):
        if word in name.lower():
            return word
    return "land_cover"


def _title(key: str) -> str:
    known = {
        "land_cover": "Land cover of the year",
        "confidence": "Confidence of the classifier",
        "validity": "Number of images without clouds",
    }
    return known.get(key, key)


def _year(name: str, item: pystac.Item) -> int:
    """Return the year of a land cover map: from the file's name, else from the product's."""
    for text in (name, name_of(item)):
        if match := re.search(r"OCS_(20\d\d)|OSO_(20\d\d)\d{4}", text):
            return int(match[1] or match[2])
    raise GeodesError(
        f"Neither {name} nor {name_of(item)} contains its year, so its nomenclature is not known: give the file its "
        "original name."
    )
