"""Which products make a slice of a cube: the newest processing of each acquisition, grouped by the day at their place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from geodes_lab import instant
from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of
from geodes_lab.source import Source


def newest(items: Sequence[pystac.Item]) -> tuple[list[pystac.Item], list[str]]:
    """Keep the newest processing of each acquisition, and name those left out.

    Two Sentinel-2 products are one acquisition if type, platform, time, tile and the start of the datastrip are the same
    (a tile cut by the end of a datastrip comes as two products that complement each other); the later baseline wins,
    then the later generation. The same product given twice is one. All else is kept.

    Returns
    -------
    kept : list of pystac.Item
        In time; within a day the newest processing first, since the first product with data wins a pixel.
    superseded : list of str
        The names of those left out.
    """

    def version(item: pystac.Item) -> tuple[str, str]:
        p = item.properties
        return str(p.get("processing:version", "")), str(p.get("s2:generation_time", ""))

    best: dict[Any, pystac.Item] = {}
    for item in sorted(items, key=version):
        p = item.properties
        strip = re.search(r"_S(\d{8}T\d{6})", str(p.get("s2:datastrip_id")))
        if strip and "grid:code" in p:
            same: Any = (p.get("product:type"), p.get("platform"), instant.begin(item), p["grid:code"], strip.group(1))
        else:
            same = item.datetime, frozenset(a.href for a in item.assets.values())
        best[same] = item
    kept = sorted(sorted(sorted(best.values(), key=lambda i: i.id), key=version, reverse=True), key=time_of)
    return kept, sorted({i.id for i in items} - {i.id for i in kept})


def time_of(item: pystac.Item) -> np.datetime64:
    """The time of acquisition (UTC), in nanoseconds; of an Item of an interval its begin.

    Raises
    ------
    GeodesError
        If the Item says none.
    """
    time = instant.begin(item)
    if time is None:
        raise GeodesError(
            f"{name_of(item)} says no time of acquisition: give an Item with a datetime instead of the bare file, or with start_datetime "
            "and end_datetime."
        )
    return np.datetime64(time.replace(tzinfo=None), "ns")


def group(items: Sequence[pystac.Item], sources: Sequence[Source], groupby: str) -> list[list[int]]:
    """Which products, by their number, make a slice.

    Parameters
    ----------
    items, sources
        The products, and a band of each.
    groupby
        ``"solar_day"``: those of one day at their place; ``"item"``: each its own.

    Raises
    ------
    GeodesError
        If ``groupby`` is neither, or products of two levels would be pasted into one slice.
    """
    if groupby == "item":
        return [[n] for n in range(len(items))]
    if groupby != "solar_day":
        raise GeodesError(f"groupby is 'solar_day' or 'item', not {groupby!r}.")
    days: dict[Any, list[int]] = {}
    for number, (item, source) in enumerate(zip(items, sources, strict=True)):
        seconds = round(_longitude(source.geobox) / 15 * 3600)
        days.setdefault((time_of(item) + np.timedelta64(seconds, "s")).astype("datetime64[D]"), []).append(number)
    for day, numbers in days.items():
        _refuse_mixed(str(day), [items[n] for n in numbers])
    return list(days.values())


def _refuse_mixed(day: str, items: Sequence[pystac.Item]) -> None:
    """Reflectance above the atmosphere and below it are two quantities, whatever their bands are called."""
    levels = {str(i.properties["processing:level"]): i for i in reversed(items) if i.properties.get("processing:level")}
    if len(levels) > 1:
        (one, first), (other, second) = sorted(levels.items())[:2]
        raise GeodesError(
            f"On {day} {name_of(first)} is {one} and {name_of(second)} is {other}: pasted into one slice their numbers would mix; open a cube of "
            "each, or give groupby='item'."
        )


@lru_cache(maxsize=1024)
def _longitude(grid: GeoBox) -> float:
    """Of the centre; from the grid, since a box in degrees says nothing where it crosses the date line."""
    return float(grid.center_pixel.geographic_extent.centroid.points[0][0])
