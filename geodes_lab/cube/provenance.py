"""The metadata of a cube: the origin of each slice, the description of its variables, and what was left out."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import pystac

from geodes_lab.cube import acquisitions, mosaic
from geodes_lab.cube.band_sources import CONVERTED
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of, saturation
from geodes_lab.raster.geometry import Flown
from geodes_lab.raster.source import RasterSource

QUALITY = {
    "long_name": "quality of the pixel over all bands",
    "flag_masks": np.array([mosaic.NODATA, mosaic.MASKED, mosaic.FAILED, mosaic.SATURATED], np.uint8),
    "flag_meanings": "no_data masked read_failed saturated",
    "grid_mapping": "spatial_ref",
}
"""Attributes of the variable ``quality``."""


def coordinates(
    items: list[pystac.Item], slices: list[list[int]], sources_by_band: dict[str, list[RasterSource | None]]
) -> dict[str, Any]:
    """Return the coordinates: time, and for each slice its products, their baselines and their offsets."""

    def joined(values: list[Any]) -> str:
        return " ".join(dict.fromkeys(str(v) for v in values))

    offsets = [
        [s.offset for n in g for s in (sources_by_band[band][n] for band in sources_by_band) if s is not None]
        for g in slices
    ]
    times = np.array([acquisitions.time_of(items[g[0]]) for g in slices], "datetime64[ns]")
    return {
        "time": ("time", times, {"long_name": "acquisition (UTC)"}),
        "product": ("time", np.array([joined([name_of(items[n]) for n in g]) for g in slices], object)),
        "baseline": (
            "time",
            np.array([joined([items[n].properties.get("processing:version", "") for n in g]) for g in slices], object),
        ),
        "offset": ("time", np.array([joined(o) for o in offsets], object)),
    }


def attributes(items: list[pystac.Item], sources: list[RasterSource | None]) -> dict[str, Any]:
    """Return the attributes of a variable, from the first product that has it.

    Raises
    ------
    GeodesError
        If products use different units: a variable has one.
    """
    having = [(i, s) for i, s in zip(items, sources, strict=True) if s is not None]
    item, source = having[0]
    units = _units(item, source)
    for other, measured in having:
        if _units(other, measured) != units:
            raise GeodesError(
                f"Band {source.band} of {name_of(item)} is in {units}, {measured.band} of {name_of(other)} in "
                f"{_units(other, measured)} (1: a reflectance or another ratio): two units cannot be in one variable; "
                "open two cubes."
            )
    asset = item.assets[source.band]
    attrs: dict[str, Any] = {"long_name": asset.title or source.band, "grid_mapping": "spatial_ref"}
    if np.dtype(source.dtype).kind != "f":
        attrs["nodata"] = source.fill
    if units != "1" or (np.dtype(source.dtype).kind == "f" and source.scale != 1.0):
        attrs["units"] = units
    attrs |= saturation(asset.extra_fields)
    if source.native is not None:
        # Not "geometry", which CF has for shapes: readers would look for variables of these names.
        attrs["geolocation"] = source.native.note
    natives = dict.fromkeys(s.native for _, s in having if s.native is not None)
    flown = dict.fromkeys(native.flown for native in natives if isinstance(native, Flown))
    if any(flown):
        attrs["orbit"] = "; ".join(filter(None, flown))
    treated = {str(i.assets[s.band].extra_fields.get("geodes:radiometry", "")) for i, s in having} - {""}
    if treated:
        attrs["radiometry"] = "; ".join(sorted(treated))
    return attrs


def _units(item: pystac.Item, source: RasterSource) -> str:
    """Return the units of a product of a known family.

    Units of other catalogues are not used, because they are not uniform.
    """
    return str(item.assets[source.band].extra_fields.get("unit", "1"))


def _notes(item: pystac.Item, kind: str) -> list[str]:
    """Return the notes of a family in an Item; in other Items the field may have any content."""
    several = item.properties.get(f"geodes:{kind}")
    return [s for s in several if isinstance(s, str)] if isinstance(several, list) else []


@cache
def _version() -> str:
    return version("geodes-lab")  # parses all metadata of the package


def provenance(
    items: list[pystac.Item],
    superseded: list[str],
    failed: list[str],
    sources_by_band: dict[str, list[RasterSource | None]],
) -> dict[str, Any]:
    """Return the attributes of a cube.

    They list what was left out, what the catalogue had wrong or omitted, and what is missing.
    """
    missing = [
        f"{name_of(item)} is incomplete: the file of {band} is missing, so the band is no data in its slice."
        for band, sources in sources_by_band.items()
        for item, source in zip(items, sources, strict=True)
        if source is None and any(band in (k, *names) for k, names in bands_.missing(item).items())
    ]
    from_converted = [name_of(i) for i in items if i.properties.get(CONVERTED) is True]
    corrected, assumed = (list(dict.fromkeys(s for i in items for s in _notes(i, k))) for k in ("corrected", "assumed"))
    levels = sorted({str(i.properties["processing:level"]) for i in items if i.properties.get("processing:level")})
    return {
        "Conventions": "CF-1.11",
        **({"processing_level": " ".join(levels)} if levels else {}),
        "history": f"opened in place by geodes_lab {_version()}",
        "superseded": superseded,
        **({"converted": from_converted} if from_converted else {}),
        **({"failed": failed} if failed else {}),
        **({"missing": missing} if missing else {}),
        **({"corrected": corrected} if corrected else {}),
        **({"assumed": assumed} if assumed else {}),
    }
