"""What a cube says of itself: where each slice came from, what its variables are, what was left out."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pystac

from geodes_lab import days, mosaic
from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of, saturation
from geodes_lab.source import Source

QUALITY = {
    "long_name": "quality of the pixel over all bands",
    "flag_masks": np.array([mosaic.NODATA, mosaic.MASKED, mosaic.FAILED, mosaic.SATURATED], np.uint8),
    "flag_meanings": "no_data masked read_failed saturated",
    "grid_mapping": "spatial_ref",
}
"""Attributes of the variable ``quality``."""


def coordinates(
    items: list[pystac.Item], slices: list[list[int]], found: dict[str, list[Source | None]]
) -> dict[str, Any]:
    """The coordinates of time, and of each slice its products, their baselines and their offsets."""

    def joined(values: list[Any]) -> str:
        return " ".join(dict.fromkeys(str(v) for v in values))

    offsets = [[s.offset for n in g for s in (found[band][n] for band in found) if s is not None] for g in slices]
    times = np.array([days.time_of(items[g[0]]) for g in slices], "datetime64[ns]")
    return {
        "time": ("time", times, {"long_name": "acquisition (UTC)"}),
        "product": ("time", np.array([joined([name_of(items[n]) for n in g]) for g in slices], object)),
        "baseline": (
            "time",
            np.array([joined([items[n].properties.get("processing:version", "") for n in g]) for g in slices], object),
        ),
        "offset": ("time", np.array([joined(o) for o in offsets], object)),
    }


def attributes(items: list[pystac.Item], sources: list[Source | None]) -> dict[str, Any]:
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
                f"{_units(other, measured)} (1: a reflectance or another ratio): they cannot be one variable; open two cubes."
            )
    asset = item.assets[source.band]
    attrs: dict[str, Any] = {"long_name": asset.title or source.band, "grid_mapping": "spatial_ref"}
    if np.dtype(source.dtype).kind != "f":
        attrs["nodata"] = source.fill
    if np.dtype(source.dtype).kind == "f" and (source.scale != 1.0 or units != "1"):
        attrs["units"] = units
    attrs |= saturation(asset.extra_fields)
    if source.native is not None:
        attrs["geometry"] = source.native.note
    return attrs


def _units(item: pystac.Item, source: Source) -> str:
    """Of what a family of ours says itself; what other catalogues write there is not uniform."""
    return "1" if source.native is None else str(item.assets[source.band].extra_fields.get("unit", "1"))


def provenance(items: list[pystac.Item], superseded: list[str], failed: list[str]) -> dict[str, Any]:
    """The attributes of a cube: what was left out, and what the catalogue had wrong."""
    corrected = [sentence for item in items for sentence in item.properties.get("geodes:corrected", ())]
    return {
        "Conventions": "CF-1.11",
        "history": f"opened in place by geodes_lab {version('geodes-lab')}",
        "superseded": superseded,
        **({"failed": failed} if failed else {}),
        **({"corrected": corrected} if corrected else {}),
    }
