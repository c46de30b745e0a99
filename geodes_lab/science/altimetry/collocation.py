"""Tracks beside a model or a buoy: the nearest number in space and time, and how both differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import arguments
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.science.altimetry import positions, quantities
from geodes_lab.science.altimetry.positions import Floats

_PLACES = {"longitude": ("longitude", "lon"), "latitude": ("latitude", "lat")}


def collocated(
    tracks: xr.Dataset,
    variable: str,
    other: xr.Dataset,
    other_variable: str,
    *,
    distance: float,
    within: Any,
) -> xr.Dataset:
    """Put the nearest number of a model or of a buoy beside each record of tracks.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`.
    variable
        A variable along time; it is computed during this call, as is the other.
    other
        A model's grid: dims ``time``, ``latitude`` and ``longitude`` (or ``lat``, ``lon``), each with its coordinate;
        without a time it is of any time. Or a buoy, several, or a ship: one dimension (such as ``time``) with
        coordinates ``time``, ``longitude`` and ``latitude``, of which those of position may be single numbers.
    other_variable
        The variable of the other; NaN is no number: of points the nearest with a number is taken, of a grid the
        nearest cell, and NaN stays.
    distance
        Metres between both at most.
    within
        Time between both at most: a timedelta, or text such as ``"30min"``.

    Returns
    -------
    xarray.Dataset
        Dimension ``time``, only the records that have both numbers: ``VARIABLE``, ``other``, ``difference`` (track less
        other), ``distance`` in metres and ``time_difference`` (track less other, seconds). Of points, nearness is
        measured in ``distance`` and ``within``.

    Raises
    ------
    GeodesError
        If the other has no such variable, positions or times, or nothing is near.

    References
    ----------
    Monaldo, F. (1988): Expected differences between buoy and radar altimeter estimates of wind speed and significant
    wave height. Journal of Geophysical Research 93, https://doi.org/10.1029/JC093iC03p02285 (50 km and 30 minutes).
    """
    values = quantities.one(tracks, variable)
    farthest = arguments.number("distance", distance, "a length in metres")
    longest = _span(within)
    if not isinstance(other, xr.Dataset) or other_variable not in other.data_vars:
        known = [str(k) for k in other.data_vars] if isinstance(other, xr.Dataset) else []
        raise GeodesError(
            f"The other Dataset has no variable {other_variable!r}"
            f"{nearest(str(other_variable), known) or '; it has: ' + (', '.join(known) or 'none') + '.'}"
        )
    place = {want: _coordinate(other, names) for want, names in _PLACES.items()}
    data = other[other_variable]
    if set(place.values()) <= set(map(str, data.dims)):
        found = _in_grid(tracks, data, place, longest)
    else:
        found = _of_points(tracks, data, place, farthest, longest)
    far = positions.distance(tracks.longitude.values, tracks.latitude.values, found[1], found[2])
    late = positions.seconds(tracks.time.values) - found[3]
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values.values) & np.isfinite(found[0]) & (far <= farthest)
        good &= np.isnan(found[3]) | (np.abs(late) <= longest)
    if not good.any():
        raise GeodesError(
            f"No record of the tracks has a number of the other within {farthest:g} m and {longest:g} s: give larger "
            "limits, or other tracks."
        )
    result = xr.Dataset({variable: values}).isel(time=good)
    units = {"units": values.attrs["units"]} if "units" in values.attrs else {}
    result["other"] = ("time", found[0][good], {k: v for k, v in data.attrs.items() if k in ("units", "long_name")})
    if "units" in data.attrs and units and data.attrs["units"] != units["units"]:
        raise GeodesError(
            f"{variable} is in {units['units']}, and {other_variable} in {data.attrs['units']}: convert one."
        )
    result["difference"] = result[variable] - result["other"]
    result["difference"].attrs = {"long_name": "track less other", **units}
    result["distance"] = ("time", far[good], {"units": "m"})
    result["time_difference"] = ("time", late[good], {"units": "s", "long_name": "track less other"})
    return result.assign_attrs(limits=f"{farthest:g} m, {longest:g} s", other_variable=other_variable)


def agreement(pairs: xr.Dataset, variable: str) -> dict[str, float]:
    """Return how tracks and the other agree.

    Parameters
    ----------
    pairs
        From `collocated`.
    variable
        The tracks' variable.

    Returns
    -------
    dict
        ``count``, ``bias`` (mean of track less other), ``rmse``, ``scatter_index`` (standard deviation of the
        difference by the mean of the other), ``correlation`` (of Pearson; NaN for fewer than three pairs).
    """
    one, other = quantities.one(pairs, variable).values, quantities.one(pairs, "other").values
    difference = one - other
    enough = len(one) > 2 and float(np.std(one)) > 0 and float(np.std(other)) > 0
    return {
        "count": float(len(one)),
        "bias": float(difference.mean()),
        "rmse": float(np.sqrt((difference**2).mean())),
        "scatter_index": float(difference.std() / other.mean()) if other.mean() else float("nan"),
        "correlation": float(np.corrcoef(one, other)[0, 1]) if enough else float("nan"),
    }


_Found = tuple[Floats, Floats, Floats, Floats]


def _coordinate(other: xr.Dataset, names: tuple[str, ...]) -> str:
    name = next((n for n in names if n in other.coords), None)
    if name is None:
        raise GeodesError(f"The other Dataset has no coordinate {' or '.join(names)}: add it with assign_coords.")
    return name


def _in_grid(tracks: xr.Dataset, data: xr.DataArray, place: dict[str, str], longest: float) -> _Found:
    """Return the number, place and time of the nearest cell of each record."""
    lon, lat = (np.asarray(data[place[k]].values, float) for k in ("longitude", "latitude"))
    dims = [d for d in data.dims if d not in place.values()]
    if dims not in ([], ["time"]):
        raise GeodesError(
            f"{data.name} has dims {data.dims}: select one of {', '.join(map(str, dims))} with .sel first."
        )
    column = _nearest(lon, tracks.longitude.values, 360.0)
    row = _nearest(lat, tracks.latitude.values)
    count = tracks.sizes["time"]
    when, then = np.zeros(count, int), np.full(count, np.nan)
    if dims:
        times = positions.seconds(data.time.values)
        when = _nearest(times, positions.seconds(tracks.time.values))
        then = times[when]
    index = {
        place["latitude"]: xr.DataArray(row, dims="record"),
        place["longitude"]: xr.DataArray(column, dims="record"),
    }
    if dims:
        index["time"] = xr.DataArray(when, dims="record")
    picked = data.isel(index).compute()
    return np.asarray(picked.values, float), lon[column], lat[row], then


def _of_points(
    tracks: xr.Dataset, data: xr.DataArray, place: dict[str, str], farthest: float, longest: float
) -> _Found:
    """Return the number, place and time of the nearest point of each record."""
    from scipy.spatial import cKDTree

    if data.ndim != 1 or "time" not in data.coords:
        raise GeodesError(
            f"{data.name} is neither a grid (time, latitude, longitude) nor points along one dimension with times: it "
            f"has dims {data.dims}."
        )
    lon, lat = (
        np.broadcast_to(np.asarray(data[place[k]].values, float), data.shape) for k in ("longitude", "latitude")
    )
    numbers, times = np.asarray(data.compute().values, float), positions.seconds(data.time.values)
    there = np.isfinite(numbers) & np.isfinite(lon + lat) & np.isfinite(times)
    if not there.any():
        raise GeodesError(f"{data.name} of the other Dataset has no numbers.")
    begin = times[there][0]
    known = np.column_stack([positions.cartesian(lon, lat)[there] / farthest, (times[there] - begin) / longest])
    asked = np.column_stack(
        [
            positions.cartesian(tracks.longitude.values, tracks.latitude.values) / farthest,
            (positions.seconds(tracks.time.values) - begin) / longest,
        ]
    )
    valid = np.isfinite(asked).all(axis=1)
    near = np.zeros(len(asked), int)
    near[valid] = cKDTree(known).query(asked[valid])[1]
    pick = np.flatnonzero(there)[near]
    return np.where(valid, numbers[pick], np.nan), lon[pick], lat[pick], times[pick]


def _nearest(axis: Floats, wanted: Any, period: float | None = None) -> NDArray[np.intp]:
    """Return the index of the nearest number of an axis in any order; of a circle with ``period``."""
    wanted = np.nan_to_num(np.asarray(wanted, float))
    shift = np.asarray(axis, float) % period if period else np.asarray(axis, float)
    order = np.argsort(shift, kind="stable")
    line = shift[order]
    if period:
        line = np.concatenate([[line[-1] - period], line, [line[0] + period]])
        order = np.concatenate([[order[-1]], order, [order[0]]])
        wanted = wanted % period
    after = (
        np.clip(np.searchsorted(line, wanted), 1, max(len(line) - 1, 1))
        if len(line) > 1
        else np.zeros(len(wanted), int)
    )
    before = np.maximum(after - 1, 0)
    return np.asarray(order[np.where(wanted - line[before] <= line[after] - wanted, before, after)], np.intp)


def _span(within: Any) -> float:
    try:
        seconds = float(pd.Timedelta(within).total_seconds())
    except (ValueError, TypeError) as error:
        raise GeodesError(f"within is a time such as '30min' or a timedelta, not {within!r}.") from error
    if not seconds > 0:
        raise GeodesError(f"within is a time, more than 0, not {within!r}.")
    return seconds
