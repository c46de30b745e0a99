"""One raster file of an Item: its header, and its bands as described by the header and the Item together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from geodes_lab.archive import member_index
from geodes_lab.errors import GeodesError
from geodes_lab.formats import gdal_dataset
from geodes_lab.products import addresses, assets, header
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster import series
from geodes_lab.products.sentinel2 import other_catalogues
from geodes_lab.raster.source import RasterSource, holds
from geodes_lab.storage import gdal_env, resolve, spelling
from geodes_lab.storage.location import locate

_SATURATED = 65_535.0
_NUMBER = "count"  # UDUNITS' term for numbers that are not yet a measure


@dataclass(frozen=True)
class Band:
    """The header's information on one band."""

    dtype: str
    nodata: float | None
    scale: float
    offset: float
    description: str
    """Its name; empty if it has none."""
    has_palette: bool
    """Whether its numbers stand for colours, like classes."""
    series: tuple[str, str] | None = None
    """The variable and the time that it shows, of a file that `geodes_lab.save` wrote."""


@dataclass(frozen=True)
class File:
    """The header of an asset's file."""

    path: str
    """The path by which GDAL opens it."""
    epsg: int
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    media_type: str
    tile: tuple[int, int] | None
    """Rows and columns; None for strips, which are not tiles."""
    overviews: int
    stored: tuple[int, int] | None
    """For a stored member of a zip: its range there; see `geodes_lab.archive.member_index.stored`."""
    bands: tuple[Band, ...]


def read(item: pystac.Item, key: str) -> File:
    """Read the header of an asset's file; no pixel.

    Raises
    ------
    GeodesError
        If it does not open, or has no north-up grid with an EPSG code.
    """
    asset = item.assets[key]
    address = addresses.of(asset)
    path = path_of(address, *(asset.extra_fields.get(f) for f in ("file:size", "file:checksum")))
    return of_path(path, f"Band {key} of {name_of(item)}", address)


def of_path(path: str, whose: str, address: str) -> File:
    """Read the header of a file by GDAL; no pixel.

    Parameters
    ----------
    path
        As GDAL opens it.
    whose
        The band and its product, for errors.
    address
        The catalogue's address of the file, for errors.

    Raises
    ------
    GeodesError
        See `read`.
    """
    try:
        with gdal_env.environment(path), gdal_dataset.opened(path) as file:
            placed_by = "gcps" if file.gcps[0] else "rpcs" if file.rpcs else ""
            epsg, (a, b, c, d, e, f), shape = gdal_dataset.epsg(file.crs), tuple(file.transform)[:6], file.shape
            media = pystac.MediaType.JPEG2000 if file.driver == "JP2OpenJPEG" else pystac.MediaType.GEOTIFF
            tile, overviews = file.block_shapes[0], len(file.overviews(1))
            several = zip(
                file.dtypes,
                file.nodatavals,
                file.scales,
                file.offsets,
                file.descriptions,
                file.colorinterp,
                strict=True,
            )
            dates = [series.of_tags(file.tags(n)) for n in range(1, file.count + 1)]
            has = tuple(
                Band(t, n, s, o, str(d or ""), c == ColorInterp.palette, when)
                for (t, n, s, o, d, c), when in zip(several, dates, strict=True)
            )
    except (RasterioError, OSError) as error:
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
        raise GeodesError(f"{whose} does not open ({problem}); check {gdal_dataset.shown(address)}.") from error
    header.refuse_unplaced(whose, placed_by, (a, b, c, d, e, f), epsg)
    if b or d or a <= 0 or e >= 0:
        raise GeodesError(f"{whose} is rotated, or its rows run north: warp it first to a grid whose rows run south.")
    if epsg is None:
        raise GeodesError(f"{whose} has no EPSG code in its file: it cannot be placed on a map.")
    return File(
        path,
        epsg,
        (a, b, c, d, e, f),
        shape,
        media,
        tile if min(tile) > 64 else None,
        overviews,
        member_index.stored(path),
        has,
    )


def path_of(address: str, size: Any, checksum: Any) -> str:
    """Return the path by which GDAL opens a file.

    From a server without byte ranges the file is downloaded once, like a product's zip. ``size`` and ``checksum`` are
    the Item's, or None.
    """
    spelled = spelling.understood(address)
    place = locate(spelled.address)
    if place.scheme != "http" or spelled.member or place.root in _in_parts:
        return spelling.path_of(address)
    there = resolve.choose([spelled.address], size=size, checksum=checksum)
    if there.scheme == "http":
        _in_parts.add(place.root)
    return there.gdal


_in_parts: set[str] = set()
"""Servers known to support byte ranges: they are not probed for each file."""


def asset(
    item: pystac.Item, key: str, file: File, index: int, name: str, names: list[str], image: str | None
) -> tuple[pystac.Asset, str]:
    """Describe one band of a file; also return a sentence about missing radiometry, or an empty text.

    The Item's radiometry takes precedence over the file's.

    Parameters
    ----------
    item, key
        The Item, and the asset whose file it is.
    file
        Its header.
    index
        The number of the band in the file, from 1.
    name, names
        The band's name in the band Item, and its other names.
    image
        For Sentinel-2, the image; see `geodes_lab.products.sentinel2.other_catalogues.bands`.
    """
    there, has = item.assets[key], file.bands[index - 1]
    stated = assets.Said(name_of(item), key, there, index if "geodes:band" not in there.extra_fields else 1)
    fields = stated.classes
    if has.has_palette or (assets.is_class(there) and not fields):
        fields["geodes:classes"] = True
    # GDAL returns 1 and 0 if the file has none.
    scale = stated.scale if stated.scale is not None else has.scale if has.scale != 1 else None
    offset = stated.offset if stated.offset is not None else has.offset if has.offset != 0 else None
    nodata, assumed = _nodata(stated.nodata, has), ""
    is_picture = assets.is_picture(key, there)
    # one of Sentinel-2's bands, or derived from them
    is_plain = other_catalogues.matches(item) and not is_picture and not fields
    if image is None and is_plain:
        image = other_catalogues.named([name, *names, stated.common_name or ""])
        names = [*names, *(n for n in other_catalogues.aliases(image) if n not in (name, *names))] if image else names
    if image is not None and other_catalogues.classes(image):
        fields.setdefault("classification:classes", other_catalogues.classes(image))
        nodata = 0.0 if nodata is None else nodata
    elif image is not None and has.dtype == "uint16":
        radiometry = other_catalogues.radiometry(item, there, image, scale, offset)
        scale, offset, nodata = radiometry.scale, radiometry.offset, 0.0 if nodata is None else nodata
        assumed = radiometry.assumed
        was_number = "geodes:assumed" in item.properties and there.extra_fields.get("unit") == _NUMBER
        fields |= {"unit": _NUMBER} if radiometry.is_number or was_number else {}
    elif (
        is_plain
        and scale is None
        and offset is None
        and (has.dtype == "uint16" or (image and np.dtype(has.dtype).kind in "iu"))
    ):
        which = ", nor which band of Sentinel-2 it is" if image is None else f", and ESA's own are not {has.dtype}"
        assumed = f"Stored numbers of {name}: the catalogue gives neither scale nor offset{which}."
    scale, offset = 1.0 if scale is None else scale, offset or 0.0
    # The bands of Sentinel-2 keep the number of saturation in all catalogues, but no Item declares it.
    is_reflectance = image is not None and has.dtype == "uint16" and (scale, offset) != (1.0, 0.0)
    saturated = _SATURATED if is_reflectance else None
    source = RasterSource(
        href=file.path,
        product=name_of(item),
        band=name,
        epsg=file.epsg,
        transform=file.transform,
        shape=file.shape,
        dtype="float64" if has.dtype == "float64" else "float32" if (scale, offset) != (1.0, 0.0) else has.dtype,
        scale=scale,
        offset=offset,
        nodata=nodata,
        saturated=saturated,
        index=index,
        tile=file.tile,
        overviews=file.overviews,
        stored=file.stored,
    )
    band_asset = bands_.asset(
        source,
        common_name=None if is_picture else stated.common_name,
        wavelength=None if is_picture else stated.wavelength,
        title=there.title or name,
        media_type=file.media_type,
    )
    band_asset.roles = sorted(assets.roles(there))
    for entry in (band_asset.extra_fields, *band_asset.extra_fields["raster:bands"]):
        entry["data_type"] = has.dtype
    band_asset.extra_fields |= fields | ({series.FIELD: list(has.series)} if has.series else {})
    if names:
        band_asset.extra_fields["geodes:names"] = names
    if len(file.bands) > 1:
        band_asset.extra_fields |= {"geodes:asset": there.extra_fields.get("geodes:asset", key), "geodes:band": index}
    return band_asset, assumed


def _nodata(stated: float | None, band: Band) -> float | None:
    """Return the number for no data: the Item's, unless the file cannot contain it; NaN needs no declaration."""
    if stated is None or math.isnan(stated):
        return band.nodata if band.nodata is not None else stated if np.dtype(band.dtype).kind == "f" else None
    return stated if holds(band.dtype, stated) else band.nodata
