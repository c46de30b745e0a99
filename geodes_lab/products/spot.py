"""Spot World Heritage: scenes as the satellite took them (L1A, DIMAP), and orthorectified ones (L1C) as Theia gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pystac
import xarray as xr
from shapely.geometry import Polygon, mapping

from geodes_lab import raw
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed, spot_dimap, spot_ortho
from geodes_lab.products.bands import name_of
from geodes_lab.products.spot_dimap import Scene
from geodes_lab.products.spot_grid import Placed
from geodes_lab.source import Native

_FAMILY = "spot"
_NAME = re.compile(r"SPOT\d-HR\w+-\w+_\d{8}-\d{6}(-\d{3})?_L1[AC]_\d{3}-\d{3}")
_COLLECTION = re.compile(r"SWH_SPOT\d+_L1|THEIA_SWH-PHASE1_SPOT\d_L1C|THEIA_SPIRIT_SPOT5_L1A")
RAW = "L1A: raw geometry, not orthorectified"


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its collection, its name, or the DIMAP document in it."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    if _COLLECTION.match(collection) or _NAME.match(name_of(item)):
        return True
    if item.properties.get("product:type") == "DIMAP":
        return True
    return any("geodes:dimap" in a.extra_fields for a in item.assets.values())


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product; its metadata are read, no pixel.

    Bands have their common names (``green``, ``red``, ``nir``, ``swir16``, ``pan``), in whatever order they are in the file. L1A is radiance in
    W m⁻² sr⁻¹ µm⁻¹, and lies on no map: `geodes_lab.open_cube` takes it when the grid is said, and flags it.
    """
    if any("proj:transform" in a.extra_fields for a in item.assets.values()):
        return item
    archive = packed.archive(item)
    if not archive.matching(spot_dimap.MEMBER):
        return spot_ortho.unpack(item, archive)
    scene = spot_dimap.read(archive)
    made = item.clone()
    made.id = scene.name
    made.datetime = scene.time
    epsg, transform, shape = scene.suiting
    made.properties |= {
        "identifier": scene.name,
        "geodes:source": archive.place.href,
        "geodes:geometry": "raw",
        "platform": scene.platform,
        "processing:level": "L1A",
        "proj:code": f"EPSG:{epsg}",
        "view:sun_azimuth": scene.sun[0],
        "view:sun_elevation": scene.sun[1],
    }
    made.properties.pop("start_datetime", None)
    made.properties.pop("end_datetime", None)
    if made.geometry is None:
        ring = Polygon(scene.corners)
        made.geometry, made.bbox = mapping(ring), list(ring.bounds)
    made.assets = {}
    for band in scene.bands:
        source = replace(scene.source(band), epsg=epsg, transform=transform, shape=shape)
        asset = bands_.asset(
            source,
            common_name=band.common_name,
            wavelength=band.wavelength,
            title=f"{band.name} ({band.title}), radiance",
            media_type=pystac.MediaType.TIFF,
        )
        asset.extra_fields |= {
            "geodes:native": _FAMILY,
            "geodes:dimap": {"product": archive.place.gdal, "shape": list(scene.shape)},
            "unit": "W m-2 sr-1 um-1",
        }
        made.add_asset(band.key, asset)
    return made


def _native(item: pystac.Item, key: str) -> Native:
    asset = item.assets[key]
    stored = asset.extra_fields.get("geodes:stored")
    image = spot_dimap.image(
        asset.href, name_of(item), key, tuple(asset.extra_fields["geodes:dimap"]["shape"]),
        tuple(stored) if stored else None,
    )  # fmt: skip
    fields = asset.extra_fields
    image = replace(image, index=fields.get("geodes:band", 1), nodata=fields.get("nodata"))
    return Placed(fields["geodes:dimap"]["product"], image)


bands_.natives[_FAMILY] = _native


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product in its own geometry.

    L1A: the root has ``green``, ``red``, ``nir`` and so on, radiance in W m⁻² sr⁻¹ µm⁻¹ (NaN where there is no data), dims ``(line, pixel)``, and
    ``saturated_green`` and so on where a number is saturated; ``ground_control`` are the places that the metadata give. L1C: ``r20m`` and so on.
    """
    archive = packed.archive(item)
    if not archive.matching(spot_dimap.MEMBER):
        return spot_ortho.open(spot_ortho.unpack(item, archive))
    scene = spot_dimap.read(archive)
    dims = ("line", "pixel")
    variables: dict[str, Any] = {}
    for band in scene.bands:
        numbers = raw.lazy(scene.source(band), scene.dtype)
        about = {
            "long_name": f"{band.name} ({band.title}), radiance at the top of the atmosphere",
            "standard_name": "toa_outgoing_radiance_per_unit_wavelength",
            "units": "W m-2 sr-1 um-1",
            "gain": band.gain,
            "bias": band.bias,
            "wavelength": band.wavelength or "",
        }
        values = da.where(numbers != scene.nodata, numbers.astype("float32") / band.gain + band.bias, np.float32("nan"))
        variables[band.key] = (dims, values.astype("float32"), about)
        if scene.saturated is not None:
            says = {
                "long_name": f"{band.name} is saturated",
                "flag_values": [0, 1],
                "flag_meanings": "measured saturated",
            }
            variables[f"saturated_{band.key}"] = (dims, (numbers == scene.saturated).astype("uint8"), says)
    attrs = {
        "title": scene.name,
        "time": scene.time.isoformat(),
        "platform": scene.platform,
        "source": archive.place.href,
        "geometry": RAW,
        "sun_azimuth": scene.sun[0],
        "sun_elevation": scene.sun[1],
        "Conventions": "CF-1.11",
    }
    coords = {"line": np.arange(scene.shape[0]), "pixel": np.arange(scene.shape[1])}
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(variables, coords=coords, attrs=attrs), "/ground_control": _ground_control(scene)}
    )


def _ground_control(scene: Scene) -> xr.Dataset:
    rows, cols, lons, lats = np.array(scene.points).T
    return xr.Dataset(
        coords={
            "longitude": ("point", lons, {"units": "degrees_east", "standard_name": "longitude"}),
            "latitude": ("point", lats, {"units": "degrees_north", "standard_name": "latitude"}),
            "image_line": ("point", rows),
            "image_pixel": ("point", cols),
        }
    )
