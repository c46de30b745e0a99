"""Where records are: on the ellipsoid in three dimensions, and in passes without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError
from geodes_lab.util import bbox as boxes
from geodes_lab.util import limits

Floats = NDArray[np.float64]

_A, _E2 = 6_378_137.0, 0.0066943799901413165  # WGS 84
MOST_CELLS = 2**24
"""Cells of a map at most, over all its times."""


def cartesian(longitude: Any, latitude: Any) -> Floats:
    """Return places on WGS 84 as metres from the Earth's centre, (n, 3)."""
    lon, lat = np.radians(np.asarray(longitude, float)), np.radians(np.asarray(latitude, float))
    radius = _A / np.sqrt(1 - _E2 * np.sin(lat) ** 2)
    flat = radius * np.cos(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), radius * (1 - _E2) * np.sin(lat)], axis=-1)


def distance(longitude: Any, latitude: Any, other_longitude: Any, other_latitude: Any) -> Floats:
    """Return distances along the ellipsoid, in metres."""
    from pyproj import Geod

    a, b, c, d = (
        np.array(p, np.float64) for p in np.broadcast_arrays(longitude, latitude, other_longitude, other_latitude)
    )
    return np.asarray(Geod(ellps="WGS84").inv(a, b, c, d)[2], np.float64)


def seconds(times: Any) -> Floats:
    """Return times as seconds since 1970; NaN for no time."""
    values = np.asarray(times).astype("datetime64[ns]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e9)


def order(tracks: xr.Dataset) -> NDArray[np.intp]:
    """Return the order of the records by platform, then by time: neighbours on a track are neighbours there."""
    names = tracks["platform"].values.astype(str) if "platform" in tracks.coords else np.zeros(tracks.sizes["time"])
    if "platform" not in tracks.coords and "product" in tracks.coords:
        names = np.array([str(n)[:3] for n in tracks["product"].values])
    return np.lexsort((tracks.time.values, names))


def breaks(tracks: xr.Dataset, ordered: NDArray[np.intp], most_gap: float) -> NDArray[np.bool_]:
    """Return after which records (n − 1), in that order, a track is interrupted.

    Parameters
    ----------
    tracks
        The tracks.
    ordered
        From `order`.
    most_gap
        Seconds between neighbours at most.
    """
    times = seconds(tracks.time.values)[ordered]
    apart = ~((np.diff(times) <= most_gap) & (np.diff(times) >= 0))
    if "platform" in tracks.coords:
        names = tracks["platform"].values[ordered]
        apart |= names[1:] != names[:-1]
    return np.asarray(apart, bool)


def step(tracks: xr.Dataset) -> float:
    """Return the usual time between neighbouring records, in seconds."""
    times = seconds(tracks.time.values)[order(tracks)]
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        raise GeodesError("These tracks have fewer than two records: there is nothing to do along them.")
    return float(np.median(steps))


def axes(bbox: Sequence[float], resolution: float) -> tuple[Floats, Floats]:
    """Return the longitudes and latitudes of the centres of a map's cells.

    Longitudes of a box that crosses the date line go on beyond 180.

    Raises
    ------
    GeodesError
        If the box or the resolution is wrong, or there are too many cells.
    """
    west, south, east, north = boxes.checked(bbox)
    if not 0 < resolution <= 90:
        raise GeodesError(f"resolution is the size of a cell in degrees, more than 0, not {resolution!r}.")
    east = east + 360 if west > east else east
    columns, rows = round((east - west) / resolution), round((north - south) / resolution)
    limits.refuse("The map", columns * rows, MOST_CELLS, "cells")
    if not columns or not rows:
        raise GeodesError(f"The box {tuple(bbox)} is smaller than a cell of {resolution:g} degrees.")
    longitude = west + (np.arange(columns) + 0.5) * (east - west) / columns
    return longitude, south + (np.arange(rows) + 0.5) * (north - south) / rows


def axis_attrs() -> dict[str, dict[str, str]]:
    """Return CF's attributes of a map's axes."""
    return {
        "longitude": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
        "latitude": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
    }
