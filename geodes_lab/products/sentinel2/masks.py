"""The cloud masks of Sentinel-2 L1C: a raster of three bands since baseline 04.00, polygons before."""

from __future__ import annotations

import re

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.products import bands as bands_
from geodes_lab.raster.source import RasterSource

_RASTER = r"QI_DATA/MSK_CLASSI_B00\.jp2"
_POLYGONS = r"QI_DATA/(?:\w+_)?MSK_CLOUDS(?:_\w+)?\.gml"
# Asset, band of the raster or kind of polygon, class, title.
_CLASSES = (
    ("MSK_OPAQUE", 1, "cloud", "Opaque clouds"),
    ("MSK_CIRRUS", 2, "cirrus", "Cirrus clouds"),
    ("MSK_SNOW", 3, "snow", "Snow and ice"),
)


def names() -> list[str]:
    """Return the assets and the classes of a product's cloud masks."""
    return [*(key for key, *_ in _CLASSES), *(name for *_, name, _ in _CLASSES)]


def is_one(name: str) -> bool:
    """Whether a file with this name, without suffix, contains the cloud masks."""
    return any(re.fullmatch(p, f"QI_DATA/{name}{suffix}") for p, suffix in ((_RASTER, ".jp2"), (_POLYGONS, ".gml")))


def assets(archive: Archive, like: RasterSource) -> dict[str, pystac.Asset]:
    """Describe the cloud masks of a product, if it has any.

    Parameters
    ----------
    archive
        The product's members.
    like
        Any source of the product with its grid of 60 m.

    Returns
    -------
    dict
        ``MSK_OPAQUE``, ``MSK_CIRRUS`` and, since baseline 04.00, ``MSK_SNOW``, each 1 in its class; the names of the
        classes are ``cloud``, ``cirrus`` and ``snow``.
    """
    for pattern in (_RASTER, _POLYGONS):
        members = archive.matching(pattern)
        if len(members) == 1:
            return described(archive.gdal(members[0]), archive.range(members[0]), like)
    return {}


def described(href: str, stored: tuple[int, int] | None, like: RasterSource) -> dict[str, pystac.Asset]:
    """Describe the cloud masks of one file, a raster or polygons by its name; see `assets`."""
    by_key, is_raster = {}, href.endswith(".jp2")
    for key, index, name, title in _CLASSES[: 3 if is_raster else 2]:
        source = RasterSource(
            href=href,
            product=like.product,
            band=key,
            epsg=like.epsg,
            transform=like.transform,
            shape=like.shape,
            dtype="uint8",
            index=index if is_raster else 1,
            stored=stored,
            tile=(192, 192) if is_raster else like.shape,
        )
        media = pystac.MediaType.JPEG2000 if is_raster else "application/gml+xml"
        asset = bands_.asset(source, common_name=None, wavelength=None, title=title, media_type=media)
        asset.roles = ["data-mask", name]
        asset.extra_fields["classification:classes"] = [{"value": 1, "name": name, "description": title}]
        by_key[key] = asset
    return by_key
