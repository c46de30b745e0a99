"""Which products make a slice of a cube.

The newest processing of each acquisition, grouped by the day at their place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of
from geodes_lab.raster.source import RasterSource
from geodes_lab.util import instant


def newest(items: Sequence[pystac.Item]) -> tuple[list[pystac.Item], list[str]]:
    """Keep the newest processing of each acquisition, and name those left out.

    Two Sentinel-2 products are one acquisition if type, platform, time, tile and the start of the datastrip are the
    same (a tile cut by the end of a datastrip comes as two products that complement each other); the later baseline
    wins, then the later generation. The same product given twice is one. All else is kept.

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


_YEARS = (1678, 2261)  # that nanoseconds count


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
            f"{name_of(item)} says no time of acquisition: give an Item with a datetime instead of the bare file, or "
            "with start_datetime and end_datetime."
        )
    if not _YEARS[0] <= time.year <= _YEARS[1]:
        raise GeodesError(
            f"{name_of(item)} says {time:%Y-%m-%d}, which is no time of a cube: these are from {_YEARS[0]} to "
            f"{_YEARS[1]}."
        )
    return np.datetime64(time.replace(tzinfo=None), "ns")


def group(items: Sequence[pystac.Item], sources: Sequence[RasterSource], groupby: str) -> list[list[int]]:
    """Which products, by their number, make a slice.

    Parameters
    ----------
    items, sources
        The products, and a band of each.
    groupby
        ``"pass"``: those of one pass of a satellite, where they tell it, else of one day at their place;
        ``"solar_day"``: of one day at their place, whichever the pass; ``"item"``: each its own.

    Raises
    ------
    GeodesError
        If products of two levels would be pasted into one slice.
    """
    if groupby == "item":
        return [[n] for n in range(len(items))]
    days = _days(items, sources)
    every = list(range(len(items)))
    slices = _split(every, days) if groupby == "solar_day" else _passes(items, days)
    for numbers in slices:
        _refuse_mixed(str(days[numbers[0]]), [items[n] for n in numbers])
    return sorted(slices)


def _passes(items: Sequence[pystac.Item], days: Sequence[np.datetime64]) -> list[list[int]]:
    """The products of each pass: by orbit or datatake.

    Those that tell neither by their day, and by what else they tell.
    """
    told = [pass_of(item) for item in items]
    orbits = _split([n for n, one in enumerate(told) if one.orbit], [(one.platform, one.orbit) for one in told])
    orbits = [part for numbers in orbits for part in _split(numbers, [one.state for one in told], join=True)]
    others: list[list[int]] = []
    for numbers in _split([n for n, one in enumerate(told) if not one.orbit], days):
        for same in _split(numbers, [one.platform for one in told], join=True):
            ways = [(one.relative, one.state) if one.relative or one.state else "" for one in told]
            others += _split(same, ways, join=True)
    slices = [list(numbers) for numbers in orbits]
    for numbers in others:
        # What says no orbit belongs to the pass that its day and its satellite have, if there is but one.
        one = told[numbers[0]]
        there = [
            k for k, of in enumerate(orbits)
            if days[of[0]] == days[numbers[0]] and (not one.platform or one.platform == told[of[0]].platform)
        ]  # fmt: skip
        if len(there) == 1 and not one.relative:
            slices[there[0]] = sorted(slices[there[0]] + numbers)
        else:
            slices.append(numbers)
    return slices


def _split(numbers: Sequence[int], values: Sequence[Any], *, join: bool = False) -> list[list[int]]:
    """Part numbers by a value of each.

    With ``join`` those whose value is empty go with the others, if these are all alike.
    """
    parts: dict[Any, list[int]] = {}
    for number in numbers:
        parts.setdefault(values[number], []).append(number)
    if join and len(parts) == 2 and "" in parts:
        return [list(numbers)]
    return list(parts.values())


class Pass(NamedTuple):
    """What a product tells of the pass in which it was acquired; empty texts: nothing."""

    platform: str = ""
    """Such as ``s1a``, however the catalogue writes it."""
    orbit: str = ""
    """The absolute orbit, or the start of the datatake."""
    relative: str = ""
    """The relative orbit."""
    state: str = ""
    """``ascending`` or ``descending``.

    An orbit goes up on one side of the earth and down on the other, where radar sees by night.
    """


def pass_of(item: pystac.Item) -> Pass:
    """Say what a product tells of its pass, by its name or its properties."""
    p, name = item.properties, name_of(item)
    state = str(p.get("sat:orbit_state") or "").lower()
    found = _SENTINEL2.match(name) or _DATATAKE.fullmatch(str(p.get("s2:datatake_id", "")))
    if found:
        return Pass(found[1].lower(), found[2])
    if found := _SENTINEL1.match(name):
        return Pass(found[1].lower(), str(int(found[2])), "", state)
    platform = p.get("platform")
    short = re.sub(r"[^a-z0-9]", "", platform.lower()).replace("sentinel", "s") if isinstance(platform, str) else ""
    return Pass(
        short, _number(p.get("sat:absolute_orbit")) if short else "", _number(p.get("sat:relative_orbit")), state
    )


def _number(told: Any) -> str:
    """An orbit's number, which some catalogues write as a text; empty where it is none."""
    text = str(told) if isinstance(told, (int, str)) and not isinstance(told, bool) else ""
    return str(int(text)) if text.isascii() and text.isdecimal() else ""


# The time in a product's name is the start of its datatake, the same for all tiles; the orbit in that of radar is the
# absolute one.
_SENTINEL2 = re.compile(r"(S2[A-D])_MSIL(?:1C|2A)_(\d{8}T\d{6})_")
_DATATAKE = re.compile(r"G(S2[A-D])_(\d{8}T\d{6})_\d{6}_N.*")
_SENTINEL1 = re.compile(r"(S1[A-D])_(?:IW|EW|WV|S\d)_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_")


def _days(items: Sequence[pystac.Item], sources: Sequence[RasterSource]) -> list[np.datetime64]:
    """The day at the place of each product.

    The places are counted on from the first: at 180° it would be yesterday on one side.
    """
    longitudes = [_longitude(source.geobox) for source in sources]
    first = longitudes[0] if longitudes else 0.0
    found = []
    for item, longitude in zip(items, longitudes, strict=True):
        beside = first + (longitude - first + 180) % 360 - 180
        found.append((time_of(item) + np.timedelta64(round(beside / 15 * 3600), "s")).astype("datetime64[D]"))
    return found


def _refuse_mixed(day: str, items: Sequence[pystac.Item]) -> None:
    """Reflectance above the atmosphere and below it are two quantities, whatever their bands are called."""
    levels = {str(i.properties["processing:level"]): i for i in reversed(items) if i.properties.get("processing:level")}
    if len(levels) > 1:
        (one, first), (other, second) = sorted(levels.items())[:2]
        raise GeodesError(
            f"On {day} {name_of(first)} is {one} and {name_of(second)} is {other}: pasted into one slice their "
            "numbers would mix; open a cube of each, or give groupby='item'."
        )


@lru_cache(maxsize=1024)
def _longitude(grid: GeoBox) -> float:
    """Of the centre; from the grid, since a box in degrees says nothing where it crosses the date line."""
    return float(grid.center_pixel.geographic_extent.centroid.points[0][0])
