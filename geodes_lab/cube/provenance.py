"""What a cube says of itself: where each slice came from, what its variables are, what was left out."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pystac

from geodes_lab.cube import acquisitions, mosaic
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of, saturation
from geodes_lab.raster.source import Flown, RasterSource

QUALITY = {
    "long_name": "quality of the pixel over all bands",
    "flag_masks": np.array([mosaic.NODATA, mosaic.MASKED, mosaic.FAILED, mosaic.SATURATED], np.uint8),
    "flag_meanings": "no_data masked read_failed saturated",
    "grid_mapping": "spatial_ref",
}
"""Attributes of the variable ``quality``."""


def coordinates(
    items: list[pystac.Item], slices: list[list[int]], found: dict[str, list[RasterSource | None]]
) -> dict[str, Any]:
    """The coordinates of time, and of each slice its products, their baselines and their offsets."""

    def joined(values: list[Any]) -> str:
        return " ".join(dict.fromkeys(str(v) for v in values))

    offsets = [[s.offset for n in g for s in (found[band][n] for band in found) if s is not None] for g in slices]
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
    """The attributes of a variable, told by the first product that has it.

    Raises
    ------
    GeodesError
        If products measure it in different units: a variable has one.
    """
    having = [(i, s) for i, s in zip(items, sources, strict=True) if s is not None]
    item, source = having[0]
    units = _units(item, source)
    for other, measured in having:
        if _units(other, measured) != units:
            raise GeodesError(
                f"Band {source.band} of {name_of(item)} is in {units}, {measured.band} of {name_of(other)} in "
                f"{_units(other, measured)} (1: a reflectance or another ratio): they cannot be one variable; open "
                "two cubes."
            )
    asset = item.assets[source.band]
    attrs: dict[str, Any] = {"long_name": asset.title or source.band, "grid_mapping": "spatial_ref"}
    if np.dtype(source.dtype).kind != "f":
        attrs["nodata"] = source.fill
    if units != "1" or (np.dtype(source.dtype).kind == "f" and source.scale != 1.0):
        attrs["units"] = units
    attrs |= saturation(asset.extra_fields)
    if source.native is not None:
        attrs["geometry"] = source.native.note
    flown = dict.fromkeys(s.native.flown for _, s in having if isinstance(s.native, Flown))
    if any(flown):
        attrs["orbit"] = "; ".join(filter(None, flown))
    treated = {str(i.assets[s.band].extra_fields.get("geodes:radiometry", "")) for i, s in having} - {""}
    if treated:
        attrs["radiometry"] = "; ".join(sorted(treated))
    return attrs


def _units(item: pystac.Item, source: RasterSource) -> str:
    """Of what a family of ours says itself.

    What other catalogues write there is not passed on, since it is not uniform.
    """
    return str(item.assets[source.band].extra_fields.get("unit", "1"))


def _notes(item: pystac.Item, kind: str) -> list[str]:
    """The sentences that a family has put into an Item; anybody's Item may have something else there."""
    several = item.properties.get(f"geodes:{kind}")
    return [s for s in several if isinstance(s, str)] if isinstance(several, list) else []


def provenance(
    items: list[pystac.Item], superseded: list[str], failed: list[str], found: dict[str, list[RasterSource | None]]
) -> dict[str, Any]:
    """The attributes of a cube.

    What was left out, what the catalogue had wrong, what it did not tell, and what is not there.
    """
    missing = [
        f"{name_of(item)} is here in part: it has no file of {band}, which is no data in its slice."
        for band, sources in found.items()
        for item, source in zip(items, sources, strict=True)
        if source is None and any(band in (k, *names) for k, names in bands_.missing(item).items())
    ]
    corrected, assumed = (list(dict.fromkeys(s for i in items for s in _notes(i, k))) for k in ("corrected", "assumed"))
    return {
        "Conventions": "CF-1.11",
        "history": f"opened in place by geodes_lab {version('geodes-lab')}",
        "superseded": superseded,
        **({"failed": failed} if failed else {}),
        **({"missing": missing} if missing else {}),
        **({"corrected": corrected} if corrected else {}),
        **({"assumed": assumed} if assumed else {}),
    }
