"""Sentinel-2 as other catalogues publish it, with an asset per band.

Which band an asset is, and how its numbers become reflectance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pystac

from geodes_lab.errors import GeodesError
from geodes_lab.products import assets
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel2.bands import BANDS, CLASSES, NUMBERS

_PREFIXES = ("s2:", "sentinel:", "sentinel2:", "earthsearch:", "eopf:")
_NAME = re.compile(r"S2[A-D]_(?:MSIL(1C|2A)_|OPER_|USER_|\d\d?[C-X][A-Z]{2}_)")
_BASELINE = re.compile(r"_N(\d\d)(\d\d)_R\d{3}_")
# 04.00 and N0400 as ESA writes it; 4.0 and 400 as a JSON number, in which 05.10 is 5.1.
_BASELINES = [
    re.compile(form, re.ASCII)
    for form in (r"(\d\d)\.(\d\d)", r"N(\d\d)\.?(\d\d)", r"(\d\d?)(?:\.(\d\d?))?", r"(\d\d?)(\d\d)")
]
_IMAGE = re.compile(r"(?:^|[_/.-])(B(?:0\d|1[0-2]|8A)|AOT|WVP|SCL)(?:[_-]\d\dm)?(?:-jp2)?(?:\.\w+)?$", re.IGNORECASE)
_ATMOSPHERE = {"AOT": 1e-3, "WVP": 1e-3}
_SCALE, _ADDED = 1e-4, -1000
_OFFSET_SINCE, _USERS_OWN = "04.00", "99"
# The names of Earth Search and CDSE, if they differ from ESA's.
_KEYS = {b.common_name: b.name for b in BANDS} | {
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "scl": "SCL",
    "aot": "AOT",
    "wvp": "WVP",
}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is of Sentinel-2's MultiSpectral Instrument in ESA's processing, whatever its file layout."""
    p = item.properties
    if str(_first(p, "product_type") or p.get("product:type") or "").startswith("S2MSI"):
        return True
    return any(_NAME.match(str(name)) for name in (name_of(item), item.id, *_uris(p))) or any(
        k.startswith("s2:") for k in p
    )


def baseline(item: pystac.Item) -> str | None:
    """Return ESA's processing baseline, such as ``04.00``; None if it is unknown."""
    p = item.properties
    for value, forms in ((_first(p, "processing_baseline"), _BASELINES), (p.get("processing:version"), _BASELINES[:2])):
        matched = next((m for form in forms if (m := form.fullmatch(str(value)))), None)
        if matched:
            return f"{int(matched[1]):02d}.{(matched[2] or '').ljust(2, '0')}"
    named = next((m for text in (*_uris(p), name_of(item), item.id) if (m := _BASELINE.search(str(text)))), None)
    return f"{named[1]}.{named[2]}" if named else None


def level(item: pystac.Item) -> str | None:
    """Return ``L1C`` or ``L2A``; None if it is unknown."""
    p = item.properties
    for text in (
        _first(p, "product_type"),
        p.get("product:type"),
        *_uris(p),
        name_of(item),
        item.id,
        p.get("processing:level"),
    ):
        if matched := re.search(r"(?:MSI|L)_?(1C|2A)(?![A-Z0-9])", str(text or "")):
            return f"L{matched[1]}"
    return None


def properties(item: pystac.Item) -> dict[str, Any]:
    """Return such an Item's properties, in the terms that a cube uses.

    They are level, baseline, tile and the start of the datastrip.
    """
    p = item.properties
    tile = str(p.get("s2:mgrs_tile") or "")
    grid = re.fullmatch(r"MGRS-(\d[C-X][A-Z]{2})", str(p.get("grid:code") or ""))
    matched = {
        "processing:version": baseline(item),
        "processing:level": level(item),
        "product:type": {"L1C": "S2MSI1C", "L2A": "S2MSI2A"}.get(level(item) or ""),
        "platform": str(p["platform"]).lower() if p.get("platform") else None,
        "grid:code": f"MGRS-{tile}"
        if re.fullmatch(r"\d\d[C-X][A-Z]{2}", tile)
        else f"MGRS-0{grid[1]}"
        if grid
        else None,
        "s2:datastrip_id": _first(p, "datastrip_id"),
        "s2:generation_time": _first(p, "generation_time"),
    }
    return {k: v for k, v in matched.items() if v is not None}


def bands(item: pystac.Item) -> dict[str, str]:
    """Return ESA's name for each asset that is one image of the product.

    ``B04``, ``AOT``, ``WVP`` or ``SCL``, by the asset's key.
    """
    matched = {}
    for key, asset in item.assets.items():
        several = any(len(assets.entries(asset, field)) > 1 for field in ("bands", "eo:bands", "raster:bands"))
        if several or not assets.is_raster(asset) or assets.is_picture(key, asset) or "MSK_" in asset.href:
            continue
        plain = re.sub(r"(?:[_-]\d\dm)?(?:-jp2)?$", "", key)
        texts = (*assets.names(asset)[:1], key, asset.href.partition("?")[0])
        image = next((m[1].upper() for text in texts if (m := _IMAGE.search(text))), None)
        if image := image or _KEYS.get(plain):
            matched[key] = image
    return matched


def named(names: Iterable[str]) -> str | None:
    """Return ESA's name for one band of a file with several, from its names; None if no name is known."""
    known = {b.common_name: b.name for b in BANDS} | {b.name: b.name for b in BANDS}
    return next((known[n] for n in names if n in known), None)


def main(item: pystac.Item) -> dict[str, str]:
    """Return, by ESA's name, the key of the main asset among those of the same image.

    It is the finest, a GeoTIFF first.
    """
    matched = bands(item)

    def order(key: str) -> tuple[float, bool, int]:
        asset = item.assets[key]
        resolution = assets.Said(name_of(item), key, asset).resolution
        named = re.search(r"_(\d\d)m", asset.href.rsplit("/", 1)[-1])
        return resolution or (float(named[1]) if named else 1e9), assets.is_jpeg2000(asset), len(key)

    best: dict[str, str] = {}
    for key in sorted(matched, key=order):
        best.setdefault(matched[key], key)
    return best


def aliases(image: str) -> list[str]:
    """Return the names by which an image is known here: ESA's, and STAC's common name."""
    common = BANDS[NUMBERS[image]].common_name if image in NUMBERS else None
    return [image, *([common] if common else [])]


def classes(image: str) -> list[dict[str, Any]]:
    """Return the classes of an image, in STAC's terms; empty for a measure."""
    return [{"value": n, "name": name} for n, name in enumerate(CLASSES)] if image == "SCL" else []


@dataclass(frozen=True)
class Radiometry:
    """How an image's numbers become a measure."""

    scale: float
    offset: float
    assumed: str = ""
    """A sentence on what the catalogue does not say; empty if it says all."""
    is_number: bool = False
    """Whether the numbers stay as in the file, because their meaning is unknown."""


def radiometry(
    item: pystac.Item, asset: pystac.Asset, image: str, scale: float | None, offset: float | None
) -> Radiometry:
    """Find scale and offset of a reflectance, an optical thickness or a water vapour that is stored as ESA's integers.

    Stated values are used, with one exception: an offset that the GeoTIFFs already include, as Earth Search says of its
    own, is not added again; ESA's JPEG 2000 beside them are unchanged. If no offset is stated, it follows from the
    processing baseline: since 04.00, numbers of reflectance are 1000 too high.

    Parameters
    ----------
    item, asset
        As the catalogue has them.
    image
        See `bands`; not classes.
    scale, offset
        From the Item, or else the file; None: neither has one.
    """
    if image in _ATMOSPHERE:
        return Radiometry(scale if scale is not None else _ATMOSPHERE[image], offset or 0.0)
    if is_applied(item, asset):
        return Radiometry(scale if scale is not None else _SCALE, 0.0)
    if scale is not None and offset is not None:
        # In its collection of ESA's Collection 1, the GeoTIFFs have ESA's numbers.
        value = item.properties.get("earthsearch:boa_offset_applied") if "-c1-" not in str(item.collection_id) else None
        is_doubtful = value is not None and offset and not assets.is_jpeg2000(asset)
        return Radiometry(scale, offset, _DOUBTFUL if is_doubtful else "")
    version = baseline(item)
    if offset is not None:
        return Radiometry(_SCALE, offset, f"The scale {_SCALE:g} of {_WHAT} is assumed: the catalogue gives none.")
    if version is None or version.startswith(_USERS_OWN):
        untold = f"the catalogue gives neither an offset nor the processing baseline of {_WHAT}."
        if scale is None:
            return Radiometry(1.0, 0.0, f"Stored numbers, without scale and offset: {untold}", True)
        return Radiometry(scale, 0.0, f"No offset: {untold}")
    scale = _SCALE if scale is None else scale
    offset = _ADDED * scale if version >= _OFFSET_SINCE else 0.0
    how = f"follow from the processing baseline {version}: the catalogue does not give both."
    return Radiometry(scale, offset, f"The offset {offset:g} and the scale {scale:g} of {_WHAT} {how}")


_WHAT = "Sentinel-2's reflectance"
# https://github.com/cirrus-geo/cirrus-earth-search/issues/33, https://github.com/Element84/earth-search/issues/71
_DOUBTFUL = (
    "The offset was added where Earth Search says that the numbers do not include it. For some of its Items this is "
    "wrong: many negative reflectances are the sign."
)


def is_applied(item: pystac.Item, asset: pystac.Asset) -> bool:
    """Whether the numbers of an asset already include the offset: catalogues say so for GeoTIFFs that they made.

    Raises
    ------
    GeodesError
        If an Item's value is neither yes nor no.
    """
    applied = False
    for field, value in item.properties.items():
        if field.endswith(":boa_offset_applied") and value is not None:
            word = str(value).lower()
            if word not in _YES and word not in _NO:
                raise GeodesError(
                    f"{name_of(item)} says {field} {value!r}, which is neither true nor false; correct the Item."
                )
            applied |= word in _YES
    return applied and not assets.is_jpeg2000(asset)


_YES, _NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def _first(properties: dict[str, Any], name: str) -> Any:
    for prefix in _PREFIXES:  # for each of thousands of Items: a generator takes twice as long
        if value := properties.get(prefix + name):
            return value
    return None


def _uris(properties: dict[str, Any]) -> list[str]:
    return [str(v) for v in (_first(properties, n) for n in ("product_uri", "product_id", "product_title")) if v]
