"""Items of any catalogue that have an asset per band, and loose raster files: the file itself is asked for its grid."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pystac
import rasterio
import xarray as xr
from rasterio.errors import RasterioError

from geodes_lab.datalake import gdal_options, locate
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.source import Source

_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/x.geotiff")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt")


def matches(item: pystac.Item) -> bool:
    """Whether an Item has raster assets, by media type or by name."""
    return any(_is_raster(a) for a in item.assets.values())


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item; the header of each file that will be read is looked at, since catalogues err.

    What an Item says of grid and shape is replaced by what its file has. An offset that the Item says was applied
    already is not applied again.

    Parameters
    ----------
    item
        An Item with an asset per band.
    bands
        The bands to make true, by asset key, name or common name; None: all raster assets with role ``data``.
    """
    keys = {k for k, a in item.assets.items() if _is_raster(a) and "data" in (a.roles or ["data"])}
    made = item.clone()
    made.set_self_href(item.get_self_href())
    if bands is not None:
        # As in bands.source: a key that is asked for by its own name is that asset and no other.
        by_name = {b for b in bands if b not in keys}
        keys &= {k for k in keys if k in bands or _names(made.assets[k]) & by_name}
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(sorted(keys), pool.map(lambda k: _band_asset(item, k), sorted(keys)), strict=True))
    # What was not looked at is not passed on as if it were true; the names stay, so that errors can list them.
    made.assets = {k: found.get(k) or pystac.Asset(a.href, roles=a.roles) for k, a in made.assets.items()}
    return made


def open(item: pystac.Item) -> xr.DataTree:
    """Open each group of bands that share a grid as a node ``r<metres>m``."""
    unpacked = unpack(item)
    grids: dict[str, list[str]] = {}
    for key, asset in unpacked.assets.items():
        if "proj:transform" in asset.extra_fields:
            grids.setdefault(f"r{asset.extra_fields['gsd']:g}m", []).append(key)
    nodes = {f"/{name}": bands_.dataset(unpacked, keys, {}) for name, keys in grids.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": name_of(item)}), **nodes})


def _is_raster(asset: pystac.Asset) -> bool:
    return (asset.media_type or "").split(";")[0] in _RASTERS or asset.href.lower().endswith(_SUFFIXES)


def _names(asset: pystac.Asset) -> set[str]:
    fields = asset.extra_fields
    listed = [*fields.get("bands", []), *fields.get("eo:bands", [])]
    return {b[f] for b in listed for f in ("name", "common_name", "eo:common_name") if b.get(f)}


def _band_asset(item: pystac.Item, key: str) -> pystac.Asset:
    asset = item.assets[key]
    place = locate(asset.get_absolute_href() or asset.href)
    try:
        with rasterio.Env(**gdal_options(place.gdal)), rasterio.open(place.gdal) as file:
            epsg, dtype, nodata = file.crs and file.crs.to_epsg(), file.dtypes[0], file.nodata
            transform, shape, media = tuple(file.transform)[:6], file.shape, file.driver
    except (RasterioError, OSError) as error:
        raise GeodesError(f"Band {key} of {name_of(item)} does not open ({error}); check {place.href}.") from error
    if epsg is None:
        raise GeodesError(f"Band {key} of {name_of(item)} has no EPSG code in its file: it cannot be placed on a map.")
    said = _said(item, asset)
    source = Source(
        href=place.gdal,
        product=name_of(item),
        band=key,
        epsg=epsg,
        transform=transform,
        shape=shape,
        dtype="float32" if (said["scale"], said["offset"]) != (1.0, 0.0) else dtype,
        scale=said["scale"],
        offset=said["offset"],
        nodata=said["nodata"] if said["nodata"] is not None else nodata,
    )
    return bands_.asset(
        source,
        common_name=said["common_name"],
        wavelength=said["wavelength"],
        title=asset.title or key,
        media_type=pystac.MediaType.JPEG2000 if media == "JP2OpenJPEG" else pystac.MediaType.GEOTIFF,
    )


def _said(item: pystac.Item, asset: pystac.Asset) -> dict[str, Any]:
    """What the Item says of a band, in the words of STAC 1.1 or 1.0."""
    fields = asset.extra_fields
    band: dict[str, Any] = next(iter(fields.get("bands", [])), {})
    old: dict[str, Any] = next(iter(fields.get("raster:bands", [])), {})
    eo: dict[str, Any] = next(iter(fields.get("eo:bands", [])), {})
    scale = next((d[k] for d, k in ((fields, "raster:scale"), (band, "raster:scale"), (old, "scale")) if k in d), 1.0)
    offset = next(
        (d[k] for d, k in ((fields, "raster:offset"), (band, "raster:offset"), (old, "offset")) if k in d), 0.0
    )
    if item.properties.get("earthsearch:boa_offset_applied"):
        offset = 0.0
    return {
        "scale": float(scale),
        "offset": float(offset),
        "nodata": next((d["nodata"] for d in (fields, band, old) if d.get("nodata") is not None), None),
        "common_name": band.get("eo:common_name") or eo.get("common_name"),
        "wavelength": band.get("eo:center_wavelength") or eo.get("center_wavelength"),
    }
