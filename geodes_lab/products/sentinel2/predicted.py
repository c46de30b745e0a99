"""Sentinel-2 L1C without reading: a product's name predicts its grid and radiometry.

The first access confirms them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel2 import angle_bands, safe_metadata
from geodes_lab.products.sentinel2 import masks as sentinel2_masks
from geodes_lab.products.sentinel2 import tile as sentinel2_tile
from geodes_lab.products.sentinel2.bands import BANDS, TILES, asset
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.location import object_of
from geodes_lab.storage.object_location import ObjectLocation

_NAME = re.compile(r"(S2[A-D])_MSIL1C_(\d{8}T\d{6})_N(0[2-5]\d\d)_R\d{3}_T(\d\d[A-Z]{3})_\d{8}T\d{6}$")
_FAMILY = "sentinel2"
_SCALE, _NODATA, _SATURATED = 1e-4, 0.0, 65_535.0
_SHAPE = [sentinel2_tile.SIDE // 10] * 2
_SLACK = 0.1  # degrees by which a footprint may extend beyond its tile


def item(catalogued: pystac.Item) -> pystac.Item | None:
    """Make the band Item of a product without reading anything of it.

    Its grid follows from the tile, its offset from the baseline; the files are located in the zip when one is first
    read, and everything is then checked against the product's own XML. Until then the hrefs are patterns.

    Returns
    -------
    pystac.Item or None
        None if the name is not sufficient, the product is a folder, or its footprint in the catalogue is not in the
        tile, or has another shape: then the product's metadata must be read.
    """
    named = _NAME.match(name_of(catalogued))
    if not named or not _lies_on(catalogued, named[4]) or catalogued.properties.get("proj:shape", _SHAPE) != _SHAPE:
        return None
    place = packed.archive(catalogued).place
    if place.is_folder:
        return None
    name, new = named[0], named[3] >= "0400"
    epsg, grids = sentinel2_tile.grids(named[4])
    band_item = catalogued.clone()
    band_item.id = name
    band_item.properties |= {
        "identifier": name,
        "geodes:source": place.href,
        "processing:version": f"{named[3][:2]}.{named[3][2:]}",
        "processing:level": "L1C",
        "product:type": "S2MSI1C",
        "platform": f"sentinel-{named[1][1:].lower()}",
        "grid:code": f"MGRS-{named[4]}",
        "proj:code": f"EPSG:{epsg}",
    }
    start = band_item.properties.pop("start_datetime", None)
    band_item.properties.pop("end_datetime", None)
    band_item.datetime = pystac.utils.str_to_datetime(start or named[2])
    band_item.assets = {}
    inside = f"/vsizip/{{{place.gdal}}}/{name}.SAFE/GRANULE/*"
    plain = RasterSource("", name, "", epsg, *grids[60])
    for band in BANDS:
        transform, shape = grids[band.resolution]
        source = replace(
            plain,
            href=f"{inside}/IMG_DATA/T{named[4]}_{named[2]}_{band.name}.jp2",
            band=band.name,
            transform=transform,
            shape=shape,
            scale=_SCALE,
            offset=-0.1 if new else 0.0,
            nodata=_NODATA,
            saturated=_SATURATED,
            tile=TILES[band.resolution],
            overviews=4,
        )
        band_item.add_asset(band.name, asset(source, band.name))
    band_item.assets |= sentinel2_masks.described(
        f"{inside}/QI_DATA/MSK_{'CLASSI_B00.jp2' if new else 'CLOUDS_B00.gml'}", None, plain
    )
    for one in band_item.assets.values():
        one.extra_fields["geodes:promise"] = _FAMILY
    angle_bands.add(band_item, packed.archive(catalogued), "safe", plain, None)
    return band_item


def _lies_on(item: pystac.Item, tile: str) -> bool:
    """Whether the product's footprint in the catalogue is in its tile."""
    box = item.bbox
    if box is None or len(box) != 4:
        return False
    try:
        west, south, east, north = sentinel2_tile.bounds(tile)
    except ValueError:
        return False
    return box[0] > west - _SLACK and box[1] > south - _SLACK and box[2] < east + _SLACK and box[3] < north + _SLACK


def is_predicted(item: pystac.Item) -> bool:
    """Whether a band Item is predicted."""
    return any("geodes:promise" in a.extra_fields for a in item.assets.values())


def archive(item: pystac.Item) -> Archive:
    """Return the archive of a predicted band Item."""
    return Archive(object_of(next(iter(item.assets.values())).href))


@dataclass(frozen=True)
class Predicted:
    """Confirms a band; see `geodes_lab.raster.source.PredictedBand`."""

    place: ObjectLocation
    """The product's zip."""
    band: str
    """The band's key."""

    def resolve(self, source: RasterSource) -> RasterSource:
        """Return the band as described in the product's own XML."""
        place = self.place
        stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
        true = _sources(place, stamp).get(self.band)
        if true is None:
            raise GeodesError(
                f"{source.product} has no {self.band}, which products of its baseline should have: {_WAY_OUT}"
            )
        for what, predicted, actual in (
            ("is in EPSG", source.epsg, true.epsg),
            ("begins at", source.transform[2::3], true.transform[2::3]),
            ("has pixels", source.shape, true.shape),
            ("has the offset", round(source.offset, 9), round(true.offset, 9)),
            ("has the scale", source.scale, true.scale),
            ("has the no-data value", source.nodata, true.nodata),
        ):
            if predicted != actual:
                raise GeodesError(f"{source.product} {what} {actual}, but its name means {predicted}: {_WAY_OUT}")
        return replace(source, href=true.href, stored=true.stored, saturated=true.saturated, promise=None)


_WAY_OUT = "open it with gl.open_cube([geodes_lab.products.unpack(item), …]), which reads the metadata first."


@lru_cache(maxsize=512)
def _sources(place: ObjectLocation, _stamp: int) -> dict[str, RasterSource]:
    """Return the actual bands and masks of a product.

    Its list of members and two XML files are read, once in a process.
    """
    archive = Archive(place)
    safe = safe_metadata.read(archive)
    actual = {i.key: safe.source(archive, i) for i in safe.images}
    plain = RasterSource("", safe.name, "", safe.epsg, *safe.grids[60])
    masks = pystac.Item(safe.name, None, None, safe.start, {}, assets=sentinel2_masks.assets(archive, plain))
    return actual | {key: bands_.source(masks, key) for key in masks.assets}


bands_.promises[_FAMILY] = lambda item, key: Predicted(object_of(item.assets[key].href), key)
