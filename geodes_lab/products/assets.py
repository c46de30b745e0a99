"""What an asset of any Item says about its file.

Whether it is a raster or a picture, and the STAC 1.0 or 1.1 fields of each band.
"""

from __future__ import annotations

import math
import re
from typing import Any

import pystac

from geodes_lab.errors import GeodesError

_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/x.geotiff")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".hgt")
_PICTURE = re.compile(
    r"(?:^|[/_.-])(tci|pvi|visual|preview|overview|thumbnail|quicklook|true[_-]?colou?r)(?=$|[_.-])", re.IGNORECASE
)
_SHOWN = {"visual", "overview", "thumbnail"}
_LISTS = ("bands", "eo:bands", "raster:bands")
_CLASSES = ("classification:classes", "classification:bitfields", "file:values", "geodes:classes")
_MASKS = {"classification", "land-water", "saturation", "cloud-shadow"}
_CONDITIONS = {"cloud", "snow-ice"}  # with the role of data they are probabilities


def is_raster(asset: pystac.Asset) -> bool:
    """Whether it is a raster, by its media type or its name."""
    path = asset.href.partition("?")[0].lower()
    return (asset.media_type or "").split(";")[0].strip().lower() in _RASTERS or path.endswith(_SUFFIXES)


def is_jpeg2000(asset: pystac.Asset) -> bool:
    """Whether it declares JPEG 2000; the file's real format is determined when it is opened."""
    return "jp2" in (asset.media_type or "") or asset.href.partition("?")[0].lower().endswith(".jp2")


def roles(asset: pystac.Asset) -> set[str]:
    """Its roles; an asset without any is data."""
    several = asset.roles if isinstance(asset.roles, list) else [asset.roles]
    return {r for r in several if isinstance(r, str)} or {"data"}


def is_picture(key: str, asset: pystac.Asset) -> bool:
    """Whether it is a picture for display, by its roles or its name.

    Its numbers are colours, whatever its bands are called.
    """
    name = asset.href.partition("?")[0].rsplit("/", 1)[-1]
    return bool(_SHOWN & roles(asset)) or any(_PICTURE.search(text) for text in (key, name))


def is_class(asset: pystac.Asset) -> bool:
    """Whether the numbers are classes or bits, by their description, or by its role.

    A mask is not a measure.
    """
    several = [asset.extra_fields, *(e for field in _LISTS for e in entries(asset, field))]
    own_roles = roles(asset)
    return (
        any(fields.get(name) for fields in several for name in _CLASSES)
        or any("mask" in role or role in _MASKS for role in own_roles)
        or ("data" not in own_roles and bool(own_roles & _CONDITIONS))
    )


def entries(asset: pystac.Asset, field: str) -> list[dict[str, Any]]:
    """Return the objects in an asset's list of bands; a plain text becomes a name, and other values are ignored."""
    several = asset.extra_fields.get(field)
    if not isinstance(several, list):
        return []
    return [e if isinstance(e, dict) else {"name": e} if isinstance(e, str) else {} for e in several]


def texts(asset: pystac.Asset, field: str) -> list[str]:
    """Return the texts in an asset's list."""
    several = asset.extra_fields.get(field)
    return [t for t in several if isinstance(t, str)] if isinstance(several, list) else []


def names(asset: pystac.Asset) -> list[str]:
    """Return the names and the common names of an asset's bands."""
    listed = [
        b.get(f)
        for field in _LISTS[:2]
        for b in entries(asset, field)
        for f in ("name", "common_name", "eo:common_name")
    ]
    return list(dict.fromkeys(str(n) for n in listed if n not in (None, "")))


class Said:
    """The STAC 1.1 or 1.0 fields of one band of an asset; None for a missing field.

    Parameters
    ----------
    product, key
        The names of the Item and the asset in error messages.
    asset
        The asset.
    index
        The number of the band in the file, from 1.
    """

    def __init__(self, product: str, key: str, asset: pystac.Asset, index: int = 1) -> None:
        self._whose = f"{product} gives its band {key}"
        self._fields = asset.extra_fields
        several = {field: entries(asset, field) for field in _LISTS}
        self._band, self._eo, self._raster = (several[f][index - 1] if index <= len(several[f]) else {} for f in _LISTS)

    @property
    def name(self) -> str | None:
        """The band's name."""
        return _text(self._band.get("name")) or _text(self._eo.get("name"))

    @property
    def common_name(self) -> str | None:
        """STAC's common name."""
        return _text(self._band.get("eo:common_name")) or _text(self._eo.get("common_name"))

    @property
    def wavelength(self) -> float | None:
        """The centre of the band, in micrometres."""
        value = self._band.get("eo:center_wavelength") or self._eo.get("center_wavelength")
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def resolution(self) -> float | None:
        """Metres per pixel, if the Item has them."""
        grid = self._fields.get("proj:transform")
        value = (
            self._fields.get("gsd"),
            self._raster.get("spatial_resolution"),
            grid[0] if isinstance(grid, list) and grid else None,
        )
        return next(
            (float(t) for t in value if isinstance(t, (int, float)) and not isinstance(t, bool) and t > 0), None
        )

    @property
    def scale(self) -> float | None:
        """The factor for the numbers."""
        scale = self._number("scale")
        if scale is not None and (not math.isfinite(scale) or scale == 0):
            raise GeodesError(
                f"{self._whose} the scale {scale:g}, which is not possible; correct the Item, or leave it out."
            )
        return scale

    @property
    def offset(self) -> float | None:
        """The number that is added then."""
        offset = self._number("offset")
        if offset is not None and not math.isfinite(offset):
            raise GeodesError(
                f"{self._whose} the offset {offset:g}, which is not possible; correct the Item, or leave it out."
            )
        return offset

    @property
    def nodata(self) -> float | None:
        """The number for no data; STAC writes ``nan`` and ``inf`` as words."""
        return self._number("nodata", "nodata")

    @property
    def classes(self) -> dict[str, Any]:
        """The classes or bits, in the terms of STAC's classification extension."""
        return {
            name: value
            for fields in (self._raster, self._eo, self._band, self._fields)
            for name in _CLASSES[:2]
            if isinstance(value := fields.get(name), list) and value
        }

    def _number(self, name: str, own: str = "") -> float | None:
        own = own or f"raster:{name}"
        for fields, word in ((self._fields, own), (self._band, own), (self._raster, name)):
            value = fields.get(word)
            if value is None or value == "":
                continue
            try:
                if isinstance(value, (bool, list, dict)):
                    raise ValueError
                return float(value)
            except (TypeError, ValueError):
                raise GeodesError(
                    f"{self._whose} {word} {value!r}, which is not a number; correct the Item, or leave it out."
                ) from None
        return None


def _text(value: Any) -> str | None:
    return str(value) if value is not None and not isinstance(value, (list, dict)) and str(value) else None
