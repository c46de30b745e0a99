"""Reflectance in the older layout of CNES's centre: Take5 of SPOT, and the first Landsat of Theia.

All bands are in one file.

Based on public readers of these files (SNAP, Sen2Agri, Let-it-snow): numbers are thousandths, -10000 is no data, and
the bits of the masks. The files contain their grid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pystac
import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import header, packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.header import Header
from geodes_lab.products.metadata import Document
from geodes_lab.products.theia import muscate, reflectance
from geodes_lab.raster.source import RasterSource

_NAME = re.compile(r"(SPOT[45]_HR\w+?|LANDSAT\d_[A-Z]+)_XS_\d{8}_N(1|1C|2A)_")
_SCALE, _NODATA = 1 / 1000, -10_000.0
# A part of the file's name, and Theia's name for such reflectance; common names mean the first available one.
_KINDS = {"ORTHO_SURF_CORR_PENTE": "FRE", "ORTHO_SURF_CORR_ENV": "SRE", "N1_TUILE": "REF", "N1": "REF"}
_MASKS: dict[str, tuple[str, str, tuple[tuple[str, int, int], ...]]] = {
    "NUA": ("CLM_XS", "Clouds and their shadows", (("cloud", 1, 1), ("cloud_shadow", 6, 2), ("cirrus", 5, 1))),
    "DIV": (
        "DIV_XS",
        "Edge, water, snow and slopes",
        (("edge", 0, 1), ("water", 1, 1), ("snow", 2, 1), ("sun_too_low", 3, 2)),
    ),
    "SAT": ("SAT_XS", "Saturated pixels, a bit for each band", (("saturated", 0, 8),)),
}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product, by its name: the collections hold both layouts."""
    return _NAME.match(name_of(item)) is not None


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item: ``FRE_XS1`` (corrected for slopes), ``SRE_XS1``, ``REF_XS1`` (level 1C), and masks.

    The product's XML names the bands and has the time; the headers of the files have the grid. A band Item is returned
    unchanged.
    """
    if bands_.is_band_item(item):
        return item
    archive = packed.archive(item)
    about = Document(archive, archive.find(rf"{_NAME.pattern}[^/]*\.xml", "product metadata (<product>.xml)"))
    band_item = item.clone()
    band_item.id = about.text(".//IDENT")
    names = [b.strip() for b in about.text(".//BANDS").split(";") if b.strip()]
    wavelengths = {b: w for b, w in muscate.nominal(band_item.id).items() if b in names}
    common = muscate.common_names(wavelengths)
    band_item.assets = {}
    main = None
    for kind, path in _images(archive):
        head = header.read(archive.gdal(path), f"{path.rsplit('/', 1)[-1]} of {archive.place.href}")
        main = main or kind
        for index, band in enumerate(names, 1):
            key = f"{kind}_{band}"
            source = _source(archive, path, band_item.id, key, head, index)
            asset = bands_.asset(
                source,
                common_name=common.get(band) if kind == main else None,
                wavelength=wavelengths.get(band),
                title=f"{(common.get(band) or 'Band').capitalize()} ({band}), {reflectance.KINDS[kind]}",
                media_type=pystac.MediaType.GEOTIFF,
            )
            if kind == main:
                asset.extra_fields["geodes:names"] = [band]
            band_item.assets[key] = asset
        band_item.properties["proj:code"] = f"EPSG:{head.epsg}"
    if main is None:
        raise GeodesError(
            f"{archive.place.href} has no reflectance (*{', *'.join(_KINDS)}): the product is incomplete."
        )
    for suffix, (key, title, fields) in _MASKS.items():
        for path in archive.matching(rf"[^/]+_{suffix}\.(?:TIF|tif)"):
            head = header.read(archive.gdal(path), f"{path.rsplit('/', 1)[-1]} of {archive.place.href}")
            asset = bands_.asset(
                _source(archive, path, band_item.id, key, head, None), common_name=None, wavelength=None, title=title,
                media_type=pystac.MediaType.GEOTIFF,
            )  # fmt: skip
            asset.roles = ["data-mask"]
            asset.extra_fields["classification:bitfields"] = [
                {"name": n, "offset": offset, "length": length, "classes": []} for n, offset, length in fields
            ]
            band_item.assets[key] = asset
    band_item.properties |= {
        "identifier": band_item.id,
        "geodes:source": archive.place.href,
        "processing:level": "L1C" if main == "REF" else "L2A",
    }
    band_item.datetime = _time(about)
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as a node for its resolution (``r20m``, ``r30m``), like `theia.reflectance.open`."""
    return reflectance.tree(unpack(item))


def _images(archive: Archive) -> Iterator[tuple[str, str]]:
    """Yield kinds of reflectance, the one corrected for slopes first, and their files."""
    seen = set()
    for part, kind in _KINDS.items():
        for path in archive.matching(rf"[^/]+_{part}_[^/]+\.(?:TIF|tif)"):
            if kind not in seen and not re.search(r"_(NUA|DIV|SAT|AOT)[_.]", path):
                seen.add(kind)
                yield kind, path


def _source(archive: Archive, path: str, product: str, key: str, head: Header, index: int | None) -> RasterSource:
    measure: dict[str, Any] = {"dtype": head.dtype}
    if index is not None:
        measure = {"scale": _SCALE, "nodata": _NODATA if head.nodata is None else head.nodata, "index": index}
    return RasterSource(
        archive.gdal(path), product, key, head.epsg, head.transform, head.shape, stored=archive.range(path), **measure
    )


def _time(about: Document) -> datetime:
    text = about.text(".//DATE_PDV")
    try:
        return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
    except ValueError:
        raise GeodesError(f"DATE_PDV in {about.name} is not a date: {text!r}.") from None
