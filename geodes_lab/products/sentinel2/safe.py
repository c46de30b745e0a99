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
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2 import angle_bands, granules, other_catalogues, safe_metadata
from geodes_lab.products.sentinel2 import angles as sentinel2_angles
from geodes_lab.products.sentinel2 import masks as sentinel2_masks
from geodes_lab.products.sentinel2 import predicted as sentinel2_predicted
from geodes_lab.products.sentinel2 import quality as sentinel2_quality
from geodes_lab.products.sentinel2.bands import BANDS, NUMBERS, asset, names_of
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window

_NAME = re.compile(r"S2[A-D]_(MSIL1C|MSIL2A|OPER_PRD_MSIL1C|USER_PRD_MSIL2A)(_|$|\.)")
_TYPES = ("S2MSI1C", "S2MSI2A", "S2MSI2Ap")


def matches(item: pystac.Item) -> bool:
    """Whether an Item is one product of Sentinel-2 L1C or L2A: by its type, or its name.

    Not one with an asset per band.
    """
    named = bool(_NAME.match(name_of(item)))
    if not named and item.properties.get("product:type") not in _TYPES:
        return False
    # A product with both, such as CDSE's, is read band by band: its zip is behind a login, and cannot be read in part.
    return bands_.is_band_item(item) or (packed.is_one(item) and not other_catalogues.bands(item))


def predicted(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item | None:
    """Make the band Item of a catalogue's Item without reading anything.

    See `geodes_lab.products.sentinel2.predicted.item`.
    """
    return None if bands_.is_band_item(item) else sentinel2_predicted.item(item)


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: grid, offset, quantification and nodata from its own XML.

    The two metadata files are read, no pixel. ``bands`` is only needed for the angles of single bands, such as
    ``view_zenith_B04``: the XML describes all others. A band Item is returned unchanged otherwise. Bands are named
    ``B04``; in level 2A those at other resolutions too, ``B04_20m``. The angles are bands too, in degrees (see
    `geodes_lab.products.sentinel2.angle_bands`).
    """
    if bands_.is_band_item(item) and not sentinel2_predicted.is_predicted(item):
        return angle_bands.add_wanted(item, bands)
    archive = granules.archive(item) if packed.is_one(item) else sentinel2_predicted.archive(item)
    safe = safe_metadata.read(archive)
    band_item = item.clone()
    band_item.id = safe.name
    band_item.properties.update(
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
        band_item.properties["grid:code"] = f"MGRS-{tile[1]}"
    band_item.datetime = safe.start
    band_item.properties.pop("start_datetime", None)
    band_item.properties.pop("end_datetime", None)
    if band_item.geometry is None:
        transform, shape = safe.grids[10]
        source = RasterSource("", safe.name, "", safe.epsg, transform, shape)
        band_item.bbox = list(source.geobox.geographic_extent.boundingbox.bbox)
        band_item.geometry = mapping(box(*band_item.bbox))
    band_item.assets = {}
    if safe.assumed:
        band_item.properties["geodes:assumed"] = [safe.assumed]
    for image in safe.images:
        if image.band != "TCI":
            band_item.add_asset(image.key, asset(safe.source(archive, image), image.band))
    plain = RasterSource("", safe.name, "", safe.epsg, *safe.grids[60])
    band_item.assets |= sentinel2_masks.assets(archive, plain)
    if safe.has_angles:
        angle_bands.add(band_item, archive, "safe", plain, bands)
    gone = {i.key: names_of(i) for i in safe.missing}
    gone |= {m: sentinel2_masks.names() for m in safe.missing_masks if sentinel2_masks.is_one(m)}
    if gone:
        band_item.properties["geodes:missing"] = gone
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``r10m``, ``r20m``, ``r60m``.

    The variables are reflectance at the top or bottom of the atmosphere, by common name.

    ``r10m/quality`` and so on have the quality of the pixels (see `geodes_lab.products.sentinel2.quality.node`;
    ``r60m/quality`` the clouds too), ``angles`` the grids of sun and view angles, ``r10m/angles`` and so on the same
    for each pixel, lazily. ``tci`` is the product's picture; level 2A has ``scl``, ``aot`` and ``wvp``.
    """
    archive = granules.archive(item) if packed.is_one(item) else sentinel2_predicted.archive(item)
    safe = safe_metadata.read(archive)
    unpacked = unpack(item)
    nodes: dict[str, Any] = {
        "/": xr.Dataset(
            attrs={
                "title": safe.name,
                "time": safe.start.isoformat(),
                "processing_baseline": safe.baseline,
                "source": archive.place.href,
                "Conventions": "CF-1.11",
                **({"missing": gone} if (gone := [*(i.key for i in safe.missing), *safe.missing_masks]) else {}),
                **({"assumed": safe.assumed} if safe.assumed else {}),
            }
        )
    }
    corner = safe.grids[10][0]
    angles = sentinel2_angles.grids(Document(archive, safe.tile), corner[2], corner[5])
    if angles is not None:
        nodes["/angles"] = angles
    pictures = {i.resolution: i.member for i in safe.images if i.band == "TCI"}
    for resolution in (10, 20, 60):
        here = {k: a for k, a in unpacked.assets.items() if a.extra_fields["gsd"] == resolution}
        measured = (k for k, a in here.items() if "data" in (a.roles or ()) and "geodes:native" not in a.extra_fields)
        names = {k: _variable(k) for k in measured}
        if not names:
            continue
        attrs = {key: attributes(here[key], safe.level) for key in names}
        node = bands_.dataset(unpacked, list(names), attrs).rename(names)
        if resolution in pictures:
            picture = sentinel2_quality.true_colour(archive, safe, pictures[resolution], resolution)
            node["tci"] = (("rgb", "y", "x"), picture, {"long_name": "true colour picture"})
        path = f"/r{resolution}m"
        nodes[path] = node
        seen = sentinel2_quality.detectors(archive, safe, resolution)
        quality = sentinel2_quality.node(archive, safe, resolution, seen)
        masks = [k for k, a in here.items() if "data-mask" in (a.roles or ())]
        for key in masks:
            meaning = (here[key].roles or [""])[-1]
            about = {"long_name": here[key].title, "flag_values": [0, 1], "flag_meanings": f"no_{meaning} {meaning}"}
            values = window.lazy(bands_.source(unpacked, key))
            quality[key.removeprefix("MSK_").lower()] = (("y", "x"), values, about)
        for key, name in names.items():
            source = bands_.source(unpacked, key)
            if source.saturated is not None:
                flag = sentinel2_quality.saturated(source)
                about = {
                    "long_name": f"{name} is saturated",
                    "flag_values": [0, 1],
                    "flag_meanings": "measured saturated",
                }
                quality[f"saturated_{name}"] = (("y", "x"), flag, about)
        if quality.data_vars:
            nodes[f"{path}/quality"] = quality
        if angles is not None:
            nodes[f"{path}/angles"] = sentinel2_angles.on(angles, node.odc.geobox, list(map(str, node.data_vars)), seen)
    return xr.DataTree.from_dict(nodes)


def _variable(key: str) -> str:
    """Return the name of a band's variable: its common name, else its own."""
    band = key.split("_")[0]
    return BANDS[NUMBERS[band]].common_name or band if band in NUMBERS else band.lower()


def attributes(asset: pystac.Asset, level: str) -> dict[str, Any]:
    """Return the CF attributes of an image."""
    fields = asset.extra_fields
    if classes := fields.get("classification:classes"):
        meanings = " ".join(c["name"] for c in classes)
        return {"long_name": asset.title, "flag_values": [c["value"] for c in classes], "flag_meanings": meanings}
    if "eo:center_wavelength" not in fields["bands"][0]:
        return {"long_name": asset.title}
    where, name = ("surface", "surface") if level == "L2A" else ("toa", "top-of-atmosphere")
    return {
        "standard_name": f"{where}_bidirectional_reflectance",
        "long_name": f"{asset.title} {name} reflectance",
        "units": "1",
        "scale_applied": fields["raster:scale"],
        "offset_applied": fields["raster:offset"],
        **bands_.saturation(fields),
    }
