"""Rasters whose Item tells their grid and numbers: nothing is read until a pixel is; the file then confirms them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from geodes_lab.errors import GeodesError, NotUnderstood
from geodes_lab.formats.tiff.image import GeoTiff
from geodes_lab.products import addresses, assets
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster import file as raster_file
from geodes_lab.products.raster.file import Band, File
from geodes_lab.products.sentinel2 import other_catalogues
from geodes_lab.raster.source import RasterSource, holds
from geodes_lab.reading import pyramid
from geodes_lab.storage import spelling
from geodes_lab.storage.location import locate

_FAMILY = "raster"
_TOLD = "geodes:told"
_KINDS = {"uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"}
_SLACK = 1e-3  # of a pixel: catalogues round


def files(
    item: pystac.Item, known: Mapping[str, list[str]], bands: Sequence[str], images: Mapping[str, str]
) -> dict[str, File] | None:
    """Return the headers of the wanted rasters as the Item tells them; None if it does not tell them all.

    Parameters
    ----------
    item
        The catalogue's Item.
    known
        The Item's names of each raster.
    bands
        The wanted bands.
    images
        For Sentinel-2, the image of each asset.
    """
    told: dict[str, File] = {}
    for band in bands:
        keys = [band] if band in known else [k for k, names in known.items() if band in names]
        if not keys:
            return None
        for key in keys:
            file = told.get(key) or _told(item, key, images.get(key))
            if file is None:
                return None
            told[key] = file
    return told


def _told(item: pystac.Item, key: str, image: str | None) -> File | None:
    asset = item.assets[key]
    several = [assets.entries(asset, field) for field in ("bands", "raster:bands", "eo:bands")]
    if {len(entries) for entries in several if entries} != {1} or asset.extra_fields.get("geodes:series"):
        return None
    fields = (
        {**item.properties, **asset.extra_fields, **several[1][0]}
        if several[1]
        else {**item.properties, **asset.extra_fields}
    )
    fields |= several[0][0] if several[0] else {}
    kind, said = fields.get("data_type"), assets.Said(name_of(item), key, asset)
    if kind not in _KINDS or (kind == "uint8" and not _is_class(asset, image)):
        return None  # a byte may be a colour of a palette
    if said.nodata is None and image is None and np.dtype(kind).kind != "f":
        return None
    if said.nodata is not None and not holds(kind, said.nodata):
        return None
    grid = _grid(fields)
    address = addresses.of(asset)
    if grid is None or not address.partition("?")[0].lower().endswith((".tif", ".tiff")):
        return None
    spelled = spelling.understood(address)
    path = "" if spelled.member or "/vsizip/" in address else spelling.path_of(address)
    if not path.startswith("/vsi"):
        return None  # a file of this machine is looked at in no time: it says what is right where its Item does not
    epsg, transform, shape = grid
    band = Band(kind, None, 1.0, 0.0, "", False)
    return File(path, epsg, transform, shape, pystac.MediaType.COG, None, 0, None, (band,))


def _is_class(asset: pystac.Asset, image: str | None) -> bool:
    return assets.is_class(asset) or bool(image and other_catalogues.classes(image))


def _grid(
    fields: Mapping[str, Any],
) -> tuple[int, tuple[float, float, float, float, float, float], tuple[int, int]] | None:
    code = str(fields.get("proj:code") or f"EPSG:{fields.get('proj:epsg')}")
    shape, numbers = fields.get("proj:shape"), fields.get("proj:transform")
    if not (code.startswith("EPSG:") and code[5:].isdecimal() and isinstance(shape, list) and len(shape) == 2):
        return None
    if not isinstance(numbers, list) or len(numbers) not in (6, 9):
        return None
    if any(type(n) not in (int, float) or not math.isfinite(n) for n in numbers[:6]) or any(
        type(n) is not int for n in shape
    ):
        return None
    a, b, c, d, e, f = numbers[:6]
    return (int(code[5:]), (a, b, c, d, e, f), (shape[0], shape[1])) if a > 0 > e and b == d == 0 else None


def promise(item: pystac.Item, band_item: pystac.Item, told: Mapping[str, File]) -> None:
    """Note in each asset that was not read what its file has to confirm."""
    for key, file in told.items():
        said = assets.Said(name_of(item), key, item.assets[key])
        fields = band_item.assets[key].extra_fields
        own = item.assets[key].extra_fields
        fields["geodes:promise"] = _FAMILY
        fields[_TOLD] = {
            "address": spelling.understood(addresses.of(item.assets[key])).address,
            "kind": file.bands[0].dtype,
            "nodata": said.nodata is not None,
            "measure": said.scale is not None and said.offset is not None,
            "size": own.get("file:size"),
            "checksum": own.get("file:checksum"),
        }


@dataclass(frozen=True)
class Predicted:
    """Confirms a band; see `geodes_lab.raster.source.PredictedBand`."""

    address: str
    """The catalogue's address of the file."""
    kind: str
    """The number type of the file."""
    nodata: bool
    """Whether the Item tells the number for no data; else the file does."""
    measure: bool
    """Whether the Item tells scale and offset; else the file must have none."""
    size: int | None
    checksum: str | None

    def resolve(self, source: RasterSource) -> RasterSource:
        """Return the band as its file describes it."""
        href = source.href
        if locate(self.address).scheme == "http":
            href = raster_file.path_of(self.address, self.size, self.checksum)
        plain = replace(source, href=href, promise=None)
        file = _header(plain, self.address)
        band = file.bands[0]
        if len(file.bands) != 1:
            raise self._wrong(source, "one band", len(file.bands))
        for what, told, actual in (
            ("EPSG code", source.epsg, file.epsg),
            ("pixels", source.shape, file.shape),
            ("number type", self.kind, band.dtype),
        ):
            if told != actual:
                raise self._wrong(source, f"{told} for the {what}", actual)
        if not _same(source, file):
            raise self._wrong(source, f"{source.transform} for the grid", file.transform)
        if band.series or (band.has_palette and not source.is_class):
            raise self._wrong(source, "a measure", "colours" if band.has_palette else "one time of a series")
        if not self.measure and (band.scale, band.offset) != (1.0, 0.0):
            raise self._wrong(source, "no scale and offset", (band.scale, band.offset))
        nodata = source.nodata if self.nodata or band.nodata is None else band.nodata
        return replace(plain, nodata=nodata, tile=file.tile, overviews=file.overviews)

    def _wrong(self, source: RasterSource, told: str, actual: Any) -> GeodesError:
        return GeodesError(
            f"{source.product} gives {told} of its band {source.band}, but the file has {actual}: open it with "
            "gl.open_cube([geodes_lab.products.unpack(item), …]), which reads the files' headers first."
        )


def _same(source: RasterSource, file: File) -> bool:
    """Whether first and last pixel are where the Item says."""
    (a, _, c, _, e, f), (wide, _, left, _, high, top) = source.moved(-source.turned).transform, file.transform
    rows, cols = source.shape
    first = max(abs((left - c) / a), abs((top - f) / e))
    last = max(abs(cols * (wide - a) / a), abs(rows * (high - e) / e))
    return first <= _SLACK and last <= 50 * _SLACK


def _header(source: RasterSource, address: str) -> File:
    """Read the header of the file: by its tiles where they can be read, since they are needed next; else by GDAL."""
    try:
        image = pyramid.image_of(source)
    except NotUnderstood:
        image = None
    if isinstance(image, GeoTiff):
        header = image.header
        level, (x, y), (wide, high) = header.levels[0], header.centre, header.pixel
        if header.epsg is not None and not header.is_annotated and not math.isnan(x):
            transform = (wide, 0.0, x - wide / 2, 0.0, high, y - high / 2)
            band = Band(level.dtype.newbyteorder("=").name, level.nodata, 1.0, 0.0, "", False)
            bands, tile = (band,) * (level.planes * level.samples), level.tile if min(level.tile) > 64 else None
            overviews = len(header.levels) - 1
            return File(
                source.href, header.epsg, transform, level.shape, pystac.MediaType.GEOTIFF, tile, overviews, None, bands
            )
    stamp = Path(source.href).stat().st_mtime_ns if Path(source.href).exists() else 0
    return _by_gdal(source.href, f"Band {source.band} of {source.product}", address, stamp)


@lru_cache(maxsize=4096)
def _by_gdal(path: str, whose: str, address: str, _stamp: int) -> File:
    return raster_file.of_path(path, whose, address)


bands_.promises[_FAMILY] = lambda item, key: Predicted(**item.assets[key].extra_fields[_TOLD])
