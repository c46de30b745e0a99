"""Spot scenes that CNES orthorectified (L1C, Spot World Heritage): GeoTIFFs described by MUSCATE metadata.

Written without access to a product. The names of products, one file for each band with ``XS1``, ``XS2``, ``XS3`` or
``SWIR`` in its name, and the metadata's place, time and angles follow CNES's snow-swh; quantification and nodata follow
MUSCATE's other products. Missing metadata are refused, not guessed.
"""

from __future__ import annotations

import re
from typing import Any

import pystac
import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.theia import muscate
from geodes_lab.products.theia.muscate import Metadata
from geodes_lab.raster.source import RasterSource

_FILE = r"[^/]+_(XS\d|SWIR|PAN|P|B\d)\.(?i:tiff?)"
_PAN = ("PAN", "P")


def unpack(item: pystac.Item, archive: Archive) -> pystac.Item:
    """Make the band Item; the metadata are read, no pixel.

    Bands have MUSCATE's names, and common names from their wavelengths.
    """
    about = Metadata(archive)
    files: dict[str, str] = {}
    for path in archive.matching(_FILE):
        match = re.search(_FILE + "$", path)
        if match is None or "/MASKS/" in path:
            continue
        if match[1] in files:
            raise GeodesError(
                f"{archive.place.href} has two files for band {match[1]}, {files[match[1]]} and {path}: this layout "
                "is not supported."
            )
        files[match[1]] = path
    if not files:
        raise GeodesError(
            f"{archive.place.href} has no band file (such as *_XS1.tif): the product is incomplete, or its layout is "
            "not supported."
        )
    scale, nodata, wavelengths = 1 / about.quantification(), about.nodata(), about.wavelengths
    common = muscate.common_names({b: wavelengths[b] for b in files if b in wavelengths and b not in _PAN})
    band_item = item.clone()
    band_item.id = about.name
    band_item.datetime = about.time
    band_item.properties |= {
        "identifier": about.name,
        "geodes:source": archive.place.href,
        "processing:level": "L1C",
        "proj:code": f"EPSG:{about.epsg}",
    }
    band_item.assets = {}
    for band, path in files.items():
        grid = about.grid_of(band)
        source = RasterSource(
            archive.gdal(path), about.name, band, about.epsg, grid.transform, grid.shape, scale=scale, nodata=nodata,
            stored=archive.range(path),
        )  # fmt: skip
        name = "pan" if band in _PAN else common.get(band)
        title = f"{(name or band).capitalize()} ({band}), top-of-atmosphere reflectance"
        band_item.add_asset(
            band,
            bands_.asset(
                source,
                common_name=name,
                wavelength=wavelengths.get(band),
                title=title,
                media_type=pystac.MediaType.GEOTIFF,
            ),
        )
    return band_item


def open(unpacked: pystac.Item) -> xr.DataTree:
    """Open the bands, with a node for each resolution."""
    attrs = {
        "title": unpacked.id,
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "Conventions": "CF-1.11",
    }
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs=attrs)}
    for size in sorted({a.extra_fields["gsd"] for a in unpacked.assets.values()}):
        here = {k: a for k, a in unpacked.assets.items() if a.extra_fields["gsd"] == size}
        names = {k: a.extra_fields["bands"][0].get("eo:common_name", k.lower()) for k, a in here.items()}
        about = {
            k: {"standard_name": "toa_bidirectional_reflectance", "long_name": a.title, "units": "1"}
            for k, a in here.items()
        }
        nodes[f"/r{size:g}m"] = bands_.dataset(unpacked, list(here), about).rename(names)
    return xr.DataTree.from_dict(nodes)
