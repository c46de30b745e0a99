"""Sentinel-2 L1C in ESA's SAFE layout: thirteen JPEG 2000 bands, radiometry and grid from the product's own XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pystac
import xarray as xr
from shapely import box
from shapely.geometry import mapping

from geodes_lab.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed, sentinel2_masks
from geodes_lab.products.bands import name_of
from geodes_lab.source import Source

_NAME = re.compile(r"S2[A-D]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")


@dataclass(frozen=True)
class Band:
    """One spectral band of the MultiSpectral Instrument."""

    name: str
    """As in file names, such as ``B8A``."""
    resolution: int
    """Metres a pixel."""
    common_name: str | None
    """STAC's common name."""
    wavelength: float
    """Centre, in micrometres."""
    title: str
    """For people."""


# In the order of the product's bandId, 0 to 12.
BANDS = (
    Band("B01", 60, "coastal", 0.443, "Coastal aerosol"),
    Band("B02", 10, "blue", 0.490, "Blue"),
    Band("B03", 10, "green", 0.560, "Green"),
    Band("B04", 10, "red", 0.665, "Red"),
    Band("B05", 20, "rededge071", 0.704, "Red edge 1"),
    Band("B06", 20, "rededge075", 0.740, "Red edge 2"),
    Band("B07", 20, "rededge078", 0.783, "Red edge 3"),
    Band("B08", 10, "nir", 0.842, "Near infrared"),
    Band("B8A", 20, "nir08", 0.865, "Narrow near infrared"),
    Band("B09", 60, "nir09", 0.945, "Water vapour"),
    Band("B10", 60, "cirrus", 1.375, "Cirrus"),
    Band("B11", 20, "swir16", 1.610, "Short-wave infrared 1"),
    Band("B12", 20, "swir22", 2.190, "Short-wave infrared 2"),
)


# Rows and columns of a JPEG 2000 tile by resolution, as every baseline has them; the file is asked before it is read.
_TILES = {10: (1024, 1024), 20: (640, 640), 60: (192, 192)}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is a Sentinel-2 L1C product: by its type, or its name."""
    return item.properties.get("product:type") == "S2MSI1C" or bool(_NAME.match(name_of(item)))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: grid, offset, quantification and nodata from its own XML.

    The two metadata files are read, no pixel. ``bands`` is not needed: the XML tells the truth of all. A band Item is
    given back as it is.
    """
    if any("proj:transform" in a.extra_fields for a in item.assets.values()):
        return item
    archive = packed.archive(item)
    product = _xml(archive, archive.find(r"MTD_MSIL1C\.xml", "product metadata (MTD_MSIL1C.xml)"))
    tile = _xml(archive, archive.find(r"GRANULE/[^/]+/MTD_TL\.xml", "tile metadata (MTD_TL.xml)"))
    name = _text(product, "PRODUCT_URI", archive).removesuffix(".SAFE")
    scale = 1 / float(_text(product, "QUANTIFICATION_VALUE", archive))
    baseline = _text(product, "PROCESSING_BASELINE", archive)
    offsets = {int(e.get("band_id", -1)): float(e.text or 0) for e in product.iter("RADIO_ADD_OFFSET")}
    if set(offsets) != set(range(len(BANDS))) and (offsets or baseline >= "04.00"):
        raise GeodesError(
            f"MTD_MSIL1C.xml of {archive.place.href} (baseline {baseline}) has {len(offsets)} of 13 RADIO_ADD_OFFSET: "
            "the reflectance would be wrong; fetch the product again."
        )
    special = {
        e.findtext("SPECIAL_VALUE_TEXT"): e.findtext("SPECIAL_VALUE_INDEX") for e in product.iter("Special_Values")
    }
    nodata = float(special.get("NODATA") or 0)
    epsg, grids = _grids(tile, archive)
    images = {i.text.rsplit("_", 1)[-1]: i.text for i in product.iter("IMAGE_FILE") if i.text}

    made = item.clone()
    made.id = name
    made.properties.update(
        {
            "identifier": name,
            "geodes:source": archive.place.href,
            "processing:version": baseline,
            "processing:level": "L1C",
            "product:type": "S2MSI1C",
            "proj:code": f"EPSG:{epsg}",
            "platform": _text(product, "SPACECRAFT_NAME", archive).lower(),
            "s2:generation_time": _text(product, "GENERATION_TIME", archive),
            "s2:datastrip_id": next((e.get("datastripIdentifier") for e in product.iter("Granule")), None),
            "grid:code": f"MGRS-{name.split('_')[5][1:]}",
        }
    )
    made.datetime = pystac.utils.str_to_datetime(_text(product, "DATATAKE_SENSING_START", archive))
    made.properties.pop("start_datetime", None)
    made.properties.pop("end_datetime", None)
    if made.geometry is None:
        _, (height, width) = grids[10]
        source = Source("", name, "", epsg, grids[10][0], (height, width))
        made.bbox = list(source.geobox.geographic_extent.boundingbox.bbox)
        made.geometry = mapping(box(*made.bbox))
    made.assets = {}
    for number, band in enumerate(BANDS):
        if band.name not in images:
            continue
        member = archive.find(re.escape(images[band.name].rsplit("/", 1)[-1]) + r"\.jp2", f"band {band.name}")
        transform, shape = grids[band.resolution]
        source = Source(
            href=archive.gdal(member),
            product=name,
            band=band.name,
            epsg=epsg,
            transform=transform,
            shape=shape,
            scale=scale,
            offset=offsets.get(number, 0.0) * scale,  # none before baseline 04.00
            nodata=nodata,
            stored=archive.range(member),
            tile=_TILES[band.resolution],
            overviews=4,
        )
        made.add_asset(
            band.name,
            bands_.asset(
                source,
                common_name=band.common_name,
                wavelength=band.wavelength,
                title=f"{band.title} ({band.name})",
                media_type=pystac.MediaType.JPEG2000,
            ),
        )
    made.assets |= sentinel2_masks.assets(archive, Source("", name, "", epsg, *grids[60]))
    return made


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``r10m``, ``r20m``, ``r60m``: top-of-atmosphere reflectance, named by common name."""
    unpacked = unpack(item)
    nodes: dict[str, Any] = {
        "/": xr.Dataset(
            attrs={
                "title": name_of(unpacked),
                "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
                "processing_baseline": unpacked.properties["processing:version"],
                "source": unpacked.properties["geodes:source"],
                "Conventions": "CF-1.11",
            }
        )
    }
    for resolution in (10, 20, 60):
        names = [b for b in BANDS if b.resolution == resolution and b.name in unpacked.assets]
        if not names:
            continue
        attrs = {b.name: attributes(unpacked.assets[b.name]) for b in names}
        node = bands_.dataset(unpacked, [b.name for b in names], attrs)
        nodes[f"/r{resolution}m"] = node.rename({b.name: b.common_name for b in names})
    return xr.DataTree.from_dict(nodes)


def attributes(asset: pystac.Asset) -> dict[str, Any]:
    """CF attributes of a band's reflectance."""
    return {
        "standard_name": "toa_bidirectional_reflectance",
        "long_name": f"{asset.title} top-of-atmosphere reflectance",
        "units": "1",
        "scale_applied": asset.extra_fields["raster:scale"],
        "offset_applied": asset.extra_fields["raster:offset"],
    }


def _xml(archive: Archive, member: str) -> ET.Element:
    try:
        return ET.fromstring(archive.read(member))
    except ET.ParseError as error:
        raise GeodesError(
            f"{member} in {archive.place.href} is not valid XML ({error}); fetch the product again."
        ) from error


def _text(root: ET.Element, tag: str, archive: Archive) -> str:
    element = next(root.iter(tag), None)
    if element is None or not element.text:
        raise GeodesError(
            f"The metadata of {archive.place.href} has no {tag}: it is no Sentinel-2 L1C product, or damaged."
        )
    return element.text.strip()


def _grids(
    tile: ET.Element, archive: Archive
) -> tuple[int, dict[int, tuple[tuple[float, float, float, float, float, float], tuple[int, int]]]]:
    """EPSG code, and transform and shape by resolution in metres, as MTD_TL.xml has them."""
    code = _text(tile, "HORIZONTAL_CS_CODE", archive)
    try:
        sizes = {
            int(e.get("resolution", 0)): (int(e.findtext("NROWS", "")), int(e.findtext("NCOLS", "")))
            for e in tile.iter("Size")
        }
        origins = {
            int(e.get("resolution", 0)): tuple(float(e.findtext(t, "")) for t in ("XDIM", "YDIM", "ULX", "ULY"))
            for e in tile.iter("Geoposition")
        }
        grids = {r: ((dx, 0.0, x, 0.0, dy, y), sizes[r]) for r, (dx, dy, x, y) in origins.items()}
        return int(code.upper().removeprefix("EPSG:")), {r: grids[r] for r in (10, 20, 60)}
    except (KeyError, ValueError) as error:
        raise GeodesError(f"MTD_TL.xml of {archive.place.href} does not say where its grid lies ({error}).") from error
