"""Items of any catalogue that have an asset per band, and loose raster files: the file itself is asked for its grid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pystac
import xarray as xr
from rasterio.errors import RasterioError

from geodes_lab import gdalenv, rasters
from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.source import Source

_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/x.geotiff")
_SENTINEL2 = re.compile(r"S2[A-D]_")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt")


def matches(item: pystac.Item) -> bool:
    """Whether an Item has raster assets, by media type or by name."""
    return any(_is_raster(a) for a in item.assets.values())


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item; the header of each file that will be read is looked at, since catalogues err.

    What an Item says of grid and shape is replaced by what its file has. An offset that the Item says was applied
    already is not applied again. What was put right so is said in the property ``geodes:corrected``.

    Parameters
    ----------
    item
        An Item with an asset per band.
    bands
        The bands to make true, by asset key, name or common name; None: all raster assets with role ``data``.
    """
    keys = {k for k, a in item.assets.items() if _is_raster(a)}
    made = item.clone()
    made.set_self_href(item.get_self_href())
    if bands is None:
        keys = {k for k in keys if "data" in (item.assets[k].roles or ["data"])}
    else:
        # As in bands.source: a key that is asked for by its own name is that asset and no other.
        by_name = {b for b in bands if b not in keys}
        keys &= {k for k in keys if k in bands or _names(made.assets[k]) & by_name}
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(sorted(keys), pool.map(lambda k: _band_assets(item, k), sorted(keys)), strict=True))
    # What was not looked at is not passed on as if it were true; the names stay, so that errors can list them.
    made.assets = {}
    for key, asset in item.assets.items():
        made.assets |= found.get(key) or {key: pystac.Asset(asset.href, roles=asset.roles)}
    if wrong := sorted({w for k, assets in found.items() for a in assets.values() for w in _wrong(item, k, a)}):
        made.properties["geodes:corrected"] = wrong
    return made


def _wrong(item: pystac.Item, key: str, true: pystac.Asset) -> Iterator[str]:
    """What an Item says of an asset and its file does not confirm, in sentences."""
    for field, what in (("proj:shape", "pixels"), ("proj:code", "CRS"), ("proj:transform", "grid")):
        said, found = item.assets[key].extra_fields.get(field), true.extra_fields[field]
        if isinstance(said, list):
            said, found = [float(v) for v in said[: len(found)]], [float(v) for v in found]
        if said is not None and said != found:
            yield f"{name_of(item)} says of its {what} {said}, the file has {found}."
    if item.properties.get("earthsearch:boa_offset_applied") and any(
        d.get(f) for d in _listed(item.assets[key]) for f in ("offset", "raster:offset")
    ):
        yield f"{name_of(item)} says an offset, and that it was applied already: it was not applied again."


def _listed(asset: pystac.Asset) -> list[dict[str, Any]]:
    fields = asset.extra_fields
    return [fields, *fields.get("bands", []), *fields.get("raster:bands", [])]


def open(item: pystac.Item) -> xr.DataTree:
    """Open each group of bands that share a grid as a node ``r<metres>m`` (``r<metres>m_2`` for the next such grid)."""
    unpacked = unpack(item)
    grids: dict[Any, list[str]] = {}
    for key, asset in unpacked.assets.items():
        fields = asset.extra_fields
        if "proj:transform" in fields:
            grid = (fields["gsd"], fields["proj:code"], tuple(fields["proj:transform"]), tuple(fields["proj:shape"]))
            grids.setdefault(grid, []).append(key)
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs={"title": name_of(item)})}
    for (resolution, *_), keys in grids.items():
        name = f"/r{resolution:g}m"
        number = sum(n == name or n.startswith(f"{name}_") for n in nodes)
        nodes[f"{name}_{number + 1}" if number else name] = bands_.dataset(unpacked, keys, {})
    return xr.DataTree.from_dict(nodes)


def _is_raster(asset: pystac.Asset) -> bool:
    return (asset.media_type or "").split(";")[0] in _RASTERS or asset.href.lower().endswith(_SUFFIXES)


def _names(asset: pystac.Asset) -> set[str]:
    fields = asset.extra_fields
    listed = [*fields.get("bands", []), *fields.get("eo:bands", [])]
    return {b[f] for b in listed for f in ("name", "common_name", "eo:common_name") if b.get(f)}


def _band_assets(item: pystac.Item, key: str) -> dict[str, pystac.Asset]:
    """Describe the bands of one file by what the file has; of a file of several bands, an asset each."""
    asset = item.assets[key]
    place = locate(asset.get_absolute_href() or asset.href)
    try:
        with gdalenv.environment(place.gdal), rasters.opened(place.gdal) as file:
            epsg, transform, shape = file.crs and file.crs.to_epsg(), tuple(file.transform)[:6], file.shape
            media = pystac.MediaType.JPEG2000 if file.driver == "JP2OpenJPEG" else pystac.MediaType.GEOTIFF
            tile, overviews = file.block_shapes[0], len(file.overviews(1))
            has = list(zip(file.dtypes, file.nodatavals, file.scales, file.offsets, file.descriptions, strict=True))
    except (RasterioError, OSError) as error:
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
        raise GeodesError(f"Band {key} of {name_of(item)} does not open ({problem}); check {place.href}.") from error
    if transform[1] or transform[3] or transform[0] <= 0 or transform[4] >= 0:
        raise GeodesError(
            f"Band {key} of {name_of(item)} is rotated, or its rows run north: warp it first, to a grid whose rows run south."
        )
    if epsg is None:
        raise GeodesError(f"Band {key} of {name_of(item)} has no EPSG code in its file: it cannot be placed on a map.")
    made = {}
    for index, (dtype, nodata, scale, offset, description) in enumerate(has, 1):
        said = _said(item, asset, index if len(has) > 1 else None)
        # What the Item says of radiometry counts, else what the file says of itself.
        scale = said["scale"] if said["scale"] is not None else scale
        offset = said["offset"] if said["offset"] is not None else offset
        measured = (scale, offset) != (1.0, 0.0)
        name = key if len(has) == 1 else said["name"] or description or f"{key}_{index}"
        source = Source(
            href=place.gdal,
            product=name_of(item),
            band=name,
            epsg=epsg,
            transform=transform,
            shape=shape,
            dtype="float64" if dtype == "float64" else "float32" if measured else dtype,
            scale=scale,
            offset=offset,
            nodata=said["nodata"] if said["nodata"] is not None else nodata,
            saturated=_saturation(item, dtype, measured),
            index=index,
            tile=tile if min(tile) > 64 else None,  # strips are no tiles
            overviews=overviews,
        )
        made[name] = bands_.asset(
            source,
            common_name=said["common_name"],
            wavelength=said["wavelength"],
            title=asset.title or name,
            media_type=media,
        )
        made[name].extra_fields |= {k: v for k, v in asset.extra_fields.items() if k.startswith("classification:")}
    return made


def _saturation(item: pystac.Item, dtype: str, is_measure: bool) -> float | None:
    """The number of saturation, which the bands of Sentinel-2 keep in any catalogue; no Item says it."""
    said = {str(item.properties.get(f, "")).lower() for f in ("constellation", "platform")}
    is_sentinel2 = bool(_SENTINEL2.match(item.id)) or any(s.startswith("sentinel-2") for s in said)
    return 65_535.0 if is_sentinel2 and is_measure and dtype == "uint16" else None


def _said(item: pystac.Item, asset: pystac.Asset, number: int | None) -> dict[str, Any]:
    """What the Item says of a band, in the words of STAC 1.1 or 1.0; None for what it does not say.

    ``number`` is that of the band in a file of several.
    """
    fields = asset.extra_fields

    def listed(field: str) -> dict[str, Any]:
        entries = fields.get(field, [])
        at = (number or 1) - 1
        return dict(entries[at]) if at < len(entries) else {}

    band, old, eo = listed("bands"), listed("raster:bands"), listed("eo:bands")
    scale = next((d[k] for d, k in ((fields, "raster:scale"), (band, "raster:scale"), (old, "scale")) if k in d), None)
    offset = next(
        (d[k] for d, k in ((fields, "raster:offset"), (band, "raster:offset"), (old, "offset")) if k in d), None
    )
    if item.properties.get("earthsearch:boa_offset_applied"):
        offset = 0.0
    nodata = next((d["nodata"] for d in (fields, band, old) if d.get("nodata") is not None), None)
    return {
        "name": band.get("name") or eo.get("name"),
        "scale": None if scale is None else float(scale),
        "offset": None if offset is None else float(offset),
        "nodata": None if nodata is None else float(nodata),  # STAC has "nan" and "inf" as words
        "common_name": band.get("eo:common_name") or eo.get("common_name"),
        "wavelength": band.get("eo:center_wavelength") or eo.get("center_wavelength"),
    }
