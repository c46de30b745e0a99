"""Which products make a slice of a cube.

They are the newest processing of each acquisition, grouped by pass or by the local day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pystac
from odc.geo.crs import CRS

from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster.series import SLICE
from geodes_lab.raster.source import RasterSource
from geodes_lab.util import instant


def newest(items: Sequence[pystac.Item]) -> tuple[list[pystac.Item], list[str]]:
    """Keep the newest processing of each acquisition, and name those left out.

    Two Sentinel-2 products are one acquisition if type, platform, time, tile and the start of the datastrip are the
    same (a tile that is cut by the end of a datastrip comes as two products that complement each other); the later
    baseline is kept, then the later generation. A product that is given twice counts once. All other products are kept.

    Returns
    -------
    kept : list of pystac.Item
        In order of time; within a day the newest processing first, because the first product with data fills a pixel.
    superseded : list of str
        The names of the products that were left out.
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
    best_items = sorted(sorted(sorted(best.values(), key=lambda i: i.id), key=version, reverse=True), key=time_of)
    return best_items, sorted({i.id for i in items} - {i.id for i in best_items})


_YEARS = (1678, 2261)  # the years that nanoseconds can represent


def time_of(item: pystac.Item) -> np.datetime64:
    """Return the acquisition time (UTC), in nanoseconds; for an interval, its begin.

    Raises
    ------
    GeodesError
        If the Item has none.
    """
    time = instant.begin(item)
    if time is None:
        raise GeodesError(
            f"{name_of(item)} has no time of acquisition: give an Item with a datetime instead of the bare file, or "
            "with start_datetime and end_datetime."
        )
    if not _YEARS[0] <= time.year <= _YEARS[1]:
        raise GeodesError(
            f"{name_of(item)} has the time {time:%Y-%m-%d}, which no cube can have: times of cubes are from "
            f"{_YEARS[0]} to {_YEARS[1]}. Correct the Item."
        )
    return np.datetime64(time.replace(tzinfo=None), "ns")


def group(items: Sequence[pystac.Item], sources: Sequence[RasterSource], groupby: str) -> list[list[int]]:
    """Return the products of each slice, by their number.

    Parameters
    ----------
    items, sources
        The products, and a band of each.
    groupby
        ``"pass"``: products of one satellite pass, if they contain that information, else of one local day;
        ``"solar_day"``: of one local day, whatever the pass; ``"item"``: one slice for each product.

    Raises
    ------
    GeodesError
        If products of two processing levels would be in one slice.
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
    """Return the products of each pass, by orbit or datatake.

    Products without that information are grouped by day, and by their other information.
    """
    passes = [pass_of(item) for item in items]
    orbits = _split([n for n, one in enumerate(passes) if one.orbit], [(one.platform, one.orbit) for one in passes])
    states = [one.state for one in passes]
    orbits = [part for numbers in orbits for part in _split(numbers, states, join=True)]
    platforms = [one.platform for one in passes]
    ways = [(one.relative, one.state) if one.relative or one.state else "" for one in passes]
    others: list[list[int]] = []
    for numbers in _split([n for n, one in enumerate(passes) if not one.orbit], days):
        for same in _split(numbers, platforms, join=True):
            others += _split(same, ways, join=True)
    slices = [list(numbers) for numbers in orbits]
    for numbers in others:
        # Products without an orbit join the pass of their day and satellite, if there is only one.
        one = passes[numbers[0]]
        there = [
            k for k, of in enumerate(orbits)
            if days[of[0]] == days[numbers[0]] and (not one.platform or one.platform == passes[of[0]].platform)
        ]  # fmt: skip
        if len(there) == 1 and not one.relative:
            slices[there[0]] = sorted(slices[there[0]] + numbers)
        else:
            slices.append(numbers)
    return slices


def _split(numbers: Sequence[int], values: Sequence[Any], *, join: bool = False) -> list[list[int]]:
    """Split numbers by a value of each.

    With ``join``, those with an empty value join the others, if these are all equal.
    """
    parts: dict[Any, list[int]] = {}
    for number in numbers:
        parts.setdefault(values[number], []).append(number)
    if join and len(parts) == 2 and "" in parts:
        return [list(numbers)]
    return list(parts.values())


class Pass(NamedTuple):
    """A product's information about its pass; empty texts: unknown."""

    platform: str = ""
    """The platform, such as ``s1a``, in one spelling."""
    orbit: str = ""
    """The absolute orbit, or the start of the datatake."""
    relative: str = ""
    """The relative orbit."""
    state: str = ""
    """``ascending`` or ``descending``.

    An orbit ascends on one side of the Earth and descends on the other, where radar works at night.
    """


def pass_of(item: pystac.Item) -> Pass:
    """Return a product's information about its pass, from its name or its properties."""
    p, name = item.properties, name_of(item)
    if SLICE in p:
        return Pass(name, str(p[SLICE]))
    state = str(p.get("sat:orbit_state") or "").lower()
    match = _SENTINEL2.match(name) or _DATATAKE.fullmatch(str(p.get("s2:datatake_id", "")))
    if match:
        return Pass(match[1].lower(), match[2])
    if match := _SENTINEL1.match(name):
        return Pass(match[1].lower(), str(int(match[2])), "", state)
    platform = p.get("platform")
    short = re.sub(r"[^a-z0-9]", "", platform.lower()).replace("sentinel", "s") if isinstance(platform, str) else ""
    return Pass(
        short, _number(p.get("sat:absolute_orbit")) if short else "", _number(p.get("sat:relative_orbit")), state
    )


def _number(value: Any) -> str:
    """Return an orbit number, which some catalogues write as text; empty if it is not a number."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return str(int(text)) if text.isascii() and text.isdecimal() else ""


# The time in a product's name is the start of its datatake, equal for all tiles; the orbit in a radar product's name is
# the absolute one.
_SENTINEL2 = re.compile(r"(S2[A-D])_MSIL(?:1C|2A)_(\d{8}T\d{6})_")
_DATATAKE = re.compile(r"G(S2[A-D])_(\d{8}T\d{6})_\d{6}_N.*")
_SENTINEL1 = re.compile(r"(S1[A-D])_(?:IW|EW|WV|S\d)_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_")


def _days(items: Sequence[pystac.Item], sources: Sequence[RasterSource]) -> list[np.datetime64]:
    """Return the local day of each product.

    Longitudes continue from the first one: otherwise one side of 180° would be a day earlier.
    """
    longitudes = [_longitude(source.shape, source.transform, source.epsg) for source in sources]
    first = longitudes[0] if longitudes else 0.0
    days = []
    for item, longitude in zip(items, longitudes, strict=True):
        beside = first + (longitude - first + 180) % 360 - 180
        days.append((time_of(item) + np.timedelta64(round(beside / 15 * 3600), "s")).astype("datetime64[D]"))
    return days


def _refuse_mixed(day: str, items: Sequence[pystac.Item]) -> None:
    """Refuse to mix reflectance above and below the atmosphere: two quantities, even if bands have the same names."""
    levels = {str(i.properties["processing:level"]): i for i in reversed(items) if i.properties.get("processing:level")}
    if len(levels) > 1:
        (one, first), (other, second) = sorted(levels.items())[:2]
        raise GeodesError(
            f"On {day} {name_of(first)} is {one} and {name_of(second)} is {other}: in one slice their values would be "
            "mixed. Open one cube for each, or give groupby='item'."
        )


@lru_cache(maxsize=1024)
def _longitude(shape: tuple[int, int], transform: tuple[float, ...], epsg: int) -> float:
    """Return the centre's longitude; from the grid, because a box in degrees is ambiguous at the date line."""
    a, b, c, d, e, f = transform
    row, col = shape[0] / 2, shape[1] / 2
    to_degrees = CRS(f"EPSG:{epsg}").transformer_to_crs(CRS("EPSG:4326"))
    return float(to_degrees(c + a * col + b * row, f + d * col + e * row)[0])
