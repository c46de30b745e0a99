"""Sentinel-1 GRD: images in ground range, calibrated to backscatter; in their own geometry, or put on a grid lazily."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pystac
import xarray as xr
from pyproj import Transformer
from shapely.geometry import MultiPoint, mapping

from geodes_lab.products import bands as bands_
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel1 import ipf_history
from geodes_lab.products.sentinel1.annotation import Annotation
from geodes_lab.products.sentinel1.calibration import QUANTITIES
from geodes_lab.products.sentinel1.flattening.facets import LAYOVER, SHADOW, UNKNOWN
from geodes_lab.products.sentinel1.grid import ON_SLOPES, Geocoded
from geodes_lab.products.sentinel1.ground_range import TITLES, choices, node
from geodes_lab.products.sentinel1.image import Image, geolocation, images, measurement, missing, processor
from geodes_lab.products.sentinel1.plane import Plane
from geodes_lab.raster.geometry import Gridder
from geodes_lab.storage.location import place_of

_NAME = re.compile(r"S1[A-D]_(IW|EW|SM|S\d)_GRD[FHM]_\dS")
_FAMILY = "sentinel1"
_OF_ALL = ("incidence", "local_incidence_angle", "layover_shadow_mask")  # one for all polarisations
_CLASSES = {0: "neither", SHADOW: "shadow", LAYOVER: "layover", SHADOW + LAYOVER: "layover and shadow"}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its type, and not one with an asset per band."""
    named = bool(_NAME.match(name_of(item))) or item.properties.get("product:type") == "GRD"
    return named and (packed.is_one(item) or any("geodes:radar" in a.extra_fields for a in item.assets.values()))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product; its annotations are read, no pixel.

    Bands are ``sigma0_vv``, ``beta0_vv``, ``gamma0_vv`` and so on, each with ``_denoised`` if the thermal noise can be
    subtracted, and ``incidence``; ``vv`` means ``sigma0_vv``. These refer to the ellipsoid: slopes are not corrected,
    even with ``dem=``. Those that need ``dem=`` are ``gamma0_rtc_vv`` (and ``_denoised``): gamma nought by the area of
    ground in each pixel (Small 2011); ``local_incidence_angle`` in degrees; ``layover_shadow_mask`` (0: neither, 1:
    shadow, 2: layover, 3: both, 255: no data). The image has no map grid: the declared one is UTM with the image's
    spacing, and the numbers are put on the requested grid when they are read.

    References
    ----------
    Small, D. (2011): Flattening Gamma: Radiometric Terrain Correction for SAR Imagery. IEEE Transactions on Geoscience
    and Remote Sensing 49(8), 3081–3093. https://doi.org/10.1109/TGRS.2011.2120616
    """
    if any("geodes:radar" in a.extra_fields for a in item.assets.values()):
        return item
    archive = packed.archive(item)
    product_images = list(images(archive))
    first = product_images[0].annotation
    band_item = item.clone()
    band_item.id, version = processor(archive)
    band_item.datetime = pystac.utils.str_to_datetime(f"{first.start}Z")
    epsg, transform, shape, plane = _suiting(first)
    band_item.properties |= {
        "identifier": band_item.id,
        "geodes:source": archive.place.href,
        "product:type": "GRD",
        "processing:level": "L1",
        "proj:code": f"EPSG:{epsg}",
        "sar:instrument_mode": first.mode,
        "sar:polarizations": [i.annotation.polarisation for i in product_images],
        "sat:orbit_state": "ascending" if first.ascending else "descending",
        "platform": f"sentinel-{band_item.id[1:3].lower()}",
        "processing:version": version,
    }
    band_item.properties.pop("start_datetime", None)
    band_item.properties.pop("end_datetime", None)
    if band_item.geometry is None:
        corners = MultiPoint(np.stack([first.grid.longitude.ravel(), first.grid.latitude.ravel()], axis=1)).convex_hull
        band_item.geometry, band_item.bbox = mapping(corners), list(corners.bounds)
    gone = {
        f"{quantity}_{p}": [p, p.upper(), f"{quantity}_{p}_denoised"]
        if quantity == "sigma0"
        else [f"{quantity}_{p}_denoised"]
        for p in missing(archive)
        for quantity in QUANTITIES
    }
    noiseless = [i.annotation.polarisation.lower() for i in product_images if i.lacks_noise]
    gone |= {f"{quantity}_{p}_denoised": [] for p in noiseless for quantity in (*QUANTITIES, "gamma0_rtc")}
    gone |= {f"gamma0_rtc_{p}": [f"gamma0_rtc_{p}_denoised"] for p in missing(archive)}
    if gone:
        band_item.properties["geodes:missing"] = gone
    band_item.assets = {}
    for image in product_images:
        annotation = image.annotation
        polarisation = annotation.polarisation.lower()
        # The terrain is placed once for all polarisations: their images have the same geometry.
        seen_by = product_images[0] if _is_alike(annotation, first) else image
        for quantity, noise in (*choices(image, annotation is first), *_on_slopes(image, annotation is first)):
            is_plain = quantity in _OF_ALL
            key = quantity if is_plain else f"{quantity}_{polarisation}{'_denoised' if noise else ''}"
            source = replace(image.source, band=key, epsg=epsg, transform=transform, shape=shape, tile=None)
            if quantity == "layover_shadow_mask":
                source = replace(source, dtype="uint8", nodata=UNKNOWN)
            title = TITLES[quantity] + ("" if is_plain else f", {annotation.polarisation}")
            title += ", thermal noise subtracted" if noise else ""
            asset = bands_.asset(
                source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.TIFF
            )
            is_angle = quantity in ("incidence", "local_incidence_angle")
            asset.extra_fields |= {"geodes:native": _FAMILY, "unit": "degree" if is_angle else "1"}
            if quantity == "layover_shadow_mask":
                asset.extra_fields["classification:classes"] = [
                    {"value": n, "name": text.replace(" ", "_"), "description": text} for n, text in _CLASSES.items()
                ]
            treated = ipf_history.treated(archive.place, image, noise, version)
            if treated and not is_plain:
                asset.extra_fields["geodes:radiometry"] = treated
            asset.extra_fields["geodes:radar"] = {
                "product": archive.place.gdal,
                "annotation": image.member,
                "calibration": image.calibration,
                "noise": noise,
                "version": ipf_history.version_of(version),
                "border": ipf_history.border(archive.place, image, version),
                "quantity": quantity,
                "polarisation": polarisation,
                "shape": list(annotation.shape),
                "plane": [*plane.line, *plane.pixel, plane.reach],
                **({"scene": [seen_by.member, epsg]} if quantity in ON_SLOPES else {}),
            }
            if quantity == "sigma0" and not noise:
                asset.extra_fields["geodes:names"] = [polarisation, annotation.polarisation]
            band_item.add_asset(key, asset)
    return band_item


def _on_slopes(image: Image, is_first: bool) -> Iterator[tuple[str, str | None]]:
    """Yield the same of the quantities that need a terrain model."""
    yield "gamma0_rtc", None
    if image.noise:
        yield "gamma0_rtc", image.noise
    if is_first:
        yield "local_incidence_angle", None
        yield "layover_shadow_mask", None


def _is_alike(one: Annotation, other: Annotation) -> bool:
    """Whether two images have the same geometry."""
    return all(getattr(one, name) == getattr(other, name) for name in ("start", "interval", "shape", "spacing"))


def _suiting(
    annotation: Annotation,
) -> tuple[int, tuple[float, float, float, float, float, float], tuple[int, int], Plane]:
    """Return a suitable grid for an image: UTM at its centre, its own spacing, aligned to whole multiples of it.

    Also return the position of the image on it.
    """
    grid, spacing = annotation.grid, annotation.spacing[1]
    lon = np.where(np.ptp(grid.longitude) > 180, np.mod(grid.longitude, 360), grid.longitude)
    middle = (float(lon.mean()) + 180) % 360 - 180
    epsg = (32600 if grid.latitude.mean() >= 0 else 32700) + int((middle + 180) // 6) + 1
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(grid.longitude, grid.latitude)
    west, east = math.floor(np.min(x) / spacing) * spacing, math.ceil(np.max(x) / spacing) * spacing
    south, north = math.floor(np.min(y) / spacing) * spacing, math.ceil(np.max(y) / spacing) * spacing
    shape = round((north - south) / spacing), round((east - west) / spacing)
    line, pixel = np.meshgrid(grid.line, grid.pixel, indexing="ij")
    plane = Plane.of(np.ravel(x), np.ravel(y), line.ravel(), pixel.ravel())
    return epsg, (spacing, 0.0, west, 0.0, -spacing, north), shape, plane


def _native(item: pystac.Item, key: str) -> Gridder:
    asset = item.assets[key]
    radar = asset.extra_fields["geodes:radar"]
    stored = asset.extra_fields.get("geodes:stored")
    polarisation, (rows, cols) = radar["polarisation"], radar["shape"]
    image = measurement(asset.href, name_of(item), polarisation, (rows, cols), tuple(stored) if stored else None)
    place, plane = place_of(radar["product"]), radar["plane"]
    about = Plane((plane[0], plane[1], plane[2]), (plane[3], plane[4], plane[5]), plane[6])
    return Geocoded(
        place,
        radar["annotation"],
        radar["calibration"],
        radar["noise"],
        radar["quantity"],
        image,
        radar.get("version"),
        radar.get("border"),
        about,
        scene=tuple(radar["scene"]) if "scene" in radar else None,
    )


bands_.natives[_FAMILY] = _native


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product with a node for each polarisation, in the image's own geometry.

    Each has ``dn`` (digital number), ``sigma0``, ``beta0`` and ``gamma0`` (linear power, NaN where there is no data),
    the same with ``_denoised`` if the thermal noise can be subtracted, and ``incidence_angle``, all for the ellipsoid;
    dims ``(line, pixel)``, with ``azimuth_time`` and ``ground_range`` as coordinates. Its child ``geolocation`` is the
    grid of longitudes and latitudes.
    """
    archive = packed.archive(item)
    name, version = processor(archive)
    nodes: dict[str, Any] = {}
    several = list(images(archive))
    noiseless = [i.annotation.polarisation.lower() for i in several if i.lacks_noise]
    gone = sorted([*missing(archive), *(f"{p}/{quantity}_denoised" for p in noiseless for quantity in QUANTITIES)])
    for image in several:
        annotation = image.annotation
        nodes.setdefault(
            "/",
            xr.Dataset(
                attrs={
                    "title": name,
                    "time": str(annotation.start),
                    "source": archive.place.href,
                    "orbit_pass": "ascending" if annotation.ascending else "descending",
                    "geometry": "ground range: not on a map; open_cube puts it on a grid",
                    "processor": f"Sentinel-1 IPF {version}".strip(),
                    **({"missing": gone} if gone else {}),
                    "calibration": "squared digital number by squared gain, bilinear in the product's own table",
                    "Conventions": "CF-1.11",
                }
            ),
        )
        path = f"/{annotation.polarisation.lower()}"
        nodes[path] = node(archive.place, image, version)
        nodes[f"{path}/geolocation"] = geolocation(annotation)
    return xr.DataTree.from_dict(nodes)
