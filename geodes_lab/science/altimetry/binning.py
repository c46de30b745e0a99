"""Maps of tracks by cells: what was measured in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import positions, quantities

Statistic = Literal["mean", "std", "min", "max", "median", "count"]
_KNOWN = ("mean", "std", "min", "max", "median", "count")


def binned(
    tracks: xr.Dataset,
    variable: str,
    bbox: Sequence[float],
    resolution: float,
    *,
    statistics: Sequence[Statistic] | Statistic = ("mean", "count"),
    every: str | None = None,
) -> xr.Dataset:
    """Put the records of tracks into the cells of a map.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`.
    variable
        A variable along time; NaN is left out. It is computed during this call.
    bbox
        West, south, east, north in degrees; where west is more than east, the box crosses the date line.
    resolution
        Size of a cell in degrees; it is adjusted so that the box has whole cells.
    statistics
        Of the records of a cell: ``"mean"``, ``"std"`` (population), ``"min"``, ``"max"``, ``"median"``, ``"count"``.
    every
        One map for each period, such as ``"1D"`` or ``"6h"``; None: one map of all records.

    Returns
    -------
    xarray.Dataset
        For each statistic ``VARIABLE_STATISTIC`` (latitude, longitude), with ``every`` (time, latitude, longitude);
        NaN where no record is. Each record counts once, whatever the area of the cell and the neighbours' correlation.

    Raises
    ------
    GeodesError
        If the variable, the box or a statistic is wrong.
    """
    values = quantities.one(tracks, variable)
    chosen = arguments.names("statistics", statistics)
    for name in chosen:
        arguments.choice("statistics", name, _KNOWN)
    longitude, latitude = positions.axes(bbox, resolution)
    edges, periods = _periods(tracks, every)
    west, south, east, north = bbox
    width = ((east - west) % 360 or 360.0) / len(longitude)
    height = (north - south) / len(latitude)
    column = np.floor(((tracks.longitude.values - west) % 360) / width)
    row = np.floor((tracks.latitude.values - south) / height)
    row = np.where(tracks.latitude.values == north, len(latitude) - 1, row)  # the last cells have their outer edge
    column = np.where((tracks.longitude.values - east) % 360 == 0, np.minimum(column, len(longitude) - 1), column)
    shape = (len(periods), len(latitude), len(longitude))
    good = np.isfinite(values.values) & (row >= 0) & (row < shape[1]) & (column >= 0) & (column < shape[2])
    which = np.searchsorted(edges, tracks.time.values, side="right") - 1 if every else np.zeros(len(row), int)
    cell = np.ravel_multi_index((which[good], row[good].astype(int), column[good].astype(int)), shape)
    table = pd.Series(values.values[good].astype(float)).groupby(cell)
    coords = {"latitude": latitude, "longitude": longitude}
    dims: tuple[str, ...] = ("latitude", "longitude")
    if every:
        coords, dims = {"time": periods, **coords}, ("time", *dims)
    result = xr.Dataset(coords=coords, attrs={"Conventions": "CF-1.11", "cell_methods": "area: point statistics"})
    for name in chosen:
        computed = table.std(ddof=0) if name == "std" else getattr(table, name)()
        full = np.zeros(shape) if name == "count" else np.full(shape, np.nan)
        full.flat[computed.index.to_numpy()] = computed.to_numpy()
        full = full.astype(np.int32) if name == "count" else full
        about = {"long_name": f"{name} of {values.attrs.get('long_name', variable)}"}
        units = {} if name == "count" or "units" not in values.attrs else {"units": values.attrs["units"]}
        result[f"{variable}_{name}"] = (dims, full if every else full[0], about | units)
    for axis, attrs in positions.axis_attrs().items():
        result[axis].attrs = attrs
    return result


def _periods(tracks: xr.Dataset, every: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the beginnings of the periods, for searching and as coordinate."""
    if every is None:
        return np.zeros(0), np.zeros(1)
    times = pd.DatetimeIndex(tracks.time.values)
    try:
        begin = times.min().floor(every) if len(times) else None
        periods = pd.date_range(begin, times.max(), freq=every)
    except (ValueError, TypeError) as error:
        raise GeodesError(f"every is a period such as '1D' or '6h', not {every!r} ({error}).") from error
    return periods.to_numpy(), periods.to_numpy()
