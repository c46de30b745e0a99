"""Spot World Heritage.

Raw scenes (L1A, DIMAP), and orthorectified ones (L1C) from Theia.
"""

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

from geodes_lab.archive.archive import Archive
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.spot import dimap, location, ortho
from geodes_lab.products.spot.dimap import Band, Scene
from geodes_lab.products.spot.grid import Placed
from geodes_lab.raster.geometry import Gridder
from geodes_lab.reading import sensor_window
from geodes_lab.storage.location import place_of

_FAMILY = "spot"
# L1A in GEODES's format, such as 008-012_S2_693-381-0_2007-02-10-14-19-06_HRV-2_X_DT_GU; L1C in Theia's: CNES's own
# identifier, or MUSCATE's, whose place is a number of SPOT's grid (other places are Take5's sites).
_NAME = re.compile(
    r"\d{3}-\d{3}_S[1-5]_\d{3}-\d{3}-\d_\d{4}(-\d\d){5}_HR|SPOT\d-HR\w+-\w+_\d{8}-\d{6}(-\d{3})?_L1[AC]_\d{3}-\d{3}"
)
_COLLECTION = re.compile(r"SWH_SPOT\d+_L1|THEIA_SWH-PHASE1_SPOT\d_L1C|THEIA_SPIRIT_SPOT5_L1A")
_UNITS = "W m-2 sr-1 um-1"


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

    Bands have their common names (``green``, ``red``, ``nir``, ``swir16``, ``pan``), in any order in the file. L1A is
    radiance in W m⁻² sr⁻¹ µm⁻¹ without a map projection: `geodes_lab.open_cube` accepts it with an explicit grid, and
    adds a note.
    """
    if bands_.is_band_item(item):
        return item
    archive = packed.archive(item)
    if not archive.matching(dimap.MEMBER):
        return ortho.unpack(item, archive)
    scene = _scene(item, archive)
    band_item = item.clone()
    band_item.datetime = scene.time
    epsg, transform, shape = scene.location.suiting
    band_item.properties |= {
        "identifier": scene.name,
        "geodes:source": archive.place.href,
        "geodes:geometry": "raw",
        "platform": f"spot-{scene.satellite}",
        "processing:level": "L1A",
        "proj:code": f"EPSG:{epsg}",
        "view:sun_azimuth": scene.sun[0],
        "view:sun_elevation": scene.sun[1],
    }
    band_item.properties.pop("start_datetime", None)
    band_item.properties.pop("end_datetime", None)
    if band_item.geometry is None:
        ring = Polygon(scene.location.corners)
        band_item.id, band_item.geometry, band_item.bbox = scene.name, mapping(ring), list(ring.bounds)
    band_item.assets = {}
    about = {
        "product": archive.place.gdal,
        "shape": list(scene.shape),
        "way": scene.location.way,
        "satellite": scene.satellite,
    }
    for band in scene.bands:
        source = replace(scene.source(band), epsg=epsg, transform=transform, shape=shape)
        asset = bands_.asset(
            source,
            common_name=band.common_name,
            wavelength=band.wavelength,
            title=f"{band.name} ({band.title}), radiance",
            media_type=pystac.MediaType.TIFF,
        )
        asset.extra_fields |= {"geodes:native": _FAMILY, "geodes:dimap": about, "unit": _UNITS}
        band_item.add_asset(band.key, asset)
    return band_item


def _scene(item: pystac.Item, archive: Archive) -> Scene:
    """Return the scene, with its name in the catalogue, if that is known."""
    scene, name = dimap.read(archive), name_of(item)
    return replace(scene, name=name) if item.collection_id or _NAME.match(name) else scene


def _native(item: pystac.Item, key: str) -> Gridder:
    fields = item.assets[key].extra_fields
    about, stored = fields["geodes:dimap"], fields.get("geodes:stored")
    rows, cols = about["shape"]
    image = dimap.image(item.assets[key].href, name_of(item), key, (rows, cols), tuple(stored) if stored else None)
    image = replace(
        image, index=fields.get("geodes:band", 1), nodata=fields.get("nodata"), saturated=fields.get("geodes:saturated")
    )
    return Placed(about["product"], image, about["way"], about["satellite"])


bands_.natives[_FAMILY] = _native


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product in its own geometry.

    L1A: the root has ``green``, ``red``, ``nir`` and so on, radiance in W m⁻² sr⁻¹ µm⁻¹ (NaN where there is no data),
    dims ``(line, pixel)``, and ``saturated_green`` and so on, where a number is saturated. The attributes have the
    inputs of reflectance: ``solar_irradiance`` of each band, if the document has it, and the sun's angles.
    ``ground_control`` has the document's points. L1C: ``r20m`` and so on.
    """
    known = next(
        (a.extra_fields["geodes:dimap"] for a in item.assets.values() if "geodes:dimap" in a.extra_fields), None
    )
    if "geodes:source" in item.properties and known is None:
        return ortho.open(item)
    archive = Archive(place_of(known["product"])) if known else packed.archive(item)
    if not archive.matching(dimap.MEMBER):
        return ortho.open(ortho.unpack(item, archive))
    scene = _scene(item, archive)
    attrs = {
        "title": scene.name,
        "time": scene.time.isoformat(),
        "platform": f"spot-{scene.satellite}",
        "instrument": scene.instrument,
        "source": item.properties.get("geodes:source", archive.place.href),
        "processing_level": "L1A",
        "geometry": "raw, as the instrument took it; on a map it is "
        + location.note(scene.location.way, scene.satellite),
        "sun_azimuth": scene.sun[0],
        "sun_elevation": scene.sun[1],
        "Conventions": "CF-1.11",
    }
    coords = {"line": np.arange(scene.shape[0]), "pixel": np.arange(scene.shape[1])}
    variables: dict[str, Any] = {}
    for band in scene.bands:
        variables |= _variables(scene, band)
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(variables, coords=coords, attrs=attrs), "/ground_control": _ground_control(scene)}
    )


def _variables(scene: Scene, band: Band) -> dict[str, Any]:
    """Return a band's radiance, and where it is saturated."""
    numbers = sensor_window.lazy(scene.source(band), scene.dtype)
    about: dict[str, Any] = {
        "long_name": f"{band.name} ({band.title}), radiance at the top of the atmosphere",
        "standard_name": "toa_outgoing_radiance_per_unit_wavelength",
        "units": _UNITS,
        "gain": band.gain,
        "bias": band.bias,
    }
    about |= {} if band.wavelength is None else {"wavelength": band.wavelength}
    about |= {} if band.irradiance is None else {"solar_irradiance": band.irradiance}
    radiance = numbers.astype("float32") / np.float32(band.gain) + np.float32(band.bias)
    dims, there = ("line", "pixel"), numbers != scene.nodata
    if scene.saturated is not None:
        there &= numbers != scene.saturated
    variables: dict[str, Any] = {band.key: (dims, da.where(there, radiance, np.float32("nan")), about)}
    if scene.saturated is not None:
        says = {"long_name": f"{band.name} is saturated", "flag_values": [0, 1], "flag_meanings": "measured saturated"}
        variables[f"saturated_{band.key}"] = (dims, (numbers == scene.saturated).astype("uint8"), says)
    return variables


def _ground_control(scene: Scene) -> xr.Dataset:
    rows, cols, lons, lats = scene.location.points.T
    return xr.Dataset(
        coords={
            "longitude": ("point", lons, {"units": "degrees_east", "standard_name": "longitude"}),
            "latitude": ("point", lats, {"units": "degrees_north", "standard_name": "latitude"}),
            "image_line": ("point", rows),
            "image_pixel": ("point", cols),
        }
    )
