"""Maps of tracks by optimal interpolation: the most likely field, and how uncertain it is."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import engine as engines
from geodes_lab.science.altimetry import positions, quantities
from geodes_lab.util import limits

_NEIGHBOURS = 500


def interpolated(
    tracks: xr.Dataset,
    variable: str,
    bbox: Sequence[float],
    resolution: float,
    times: Any,
    *,
    length: float,
    duration: Any,
    noise: float | str,
    sigma: float | None = None,
    background: float | Literal["mean"] = "mean",
    covariance: Literal["gaussian", "matern_12", "matern_32", "matern_52", "cauchy"] = "gaussian",
    neighbours: int = 50,
    engine: Literal["auto", "pyinterp", "numpy"] = "auto",
) -> xr.Dataset:
    """Map a variable of tracks by optimal interpolation, in space and time.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`, of one or several satellites.
    variable
        A variable along time; NaN is left out. It is computed during this call.
    bbox, resolution
        West, south, east, north, and the size of a cell, in degrees; the field is estimated at the cells' centres.
    times
        The time of the map, or a list of times.
    length
        The length of correlation in metres: a distance r gives exp(−(r/length)²) with ``"gaussian"``.
    duration
        The time of correlation: a timedelta, or text such as ``"12h"``.
    noise
        The standard deviation of a record's error, in the variable's units and more than 0; or the name of a variable
        along time that has it.
    sigma
        The standard deviation of the field about the background; None: that of the records.
    background
        The field where nothing is near: a number, or ``"mean"``, the mean of the records.
    covariance
        The function of correlation.
    neighbours
        Records used for each cell: the nearest in space and time, measured in ``length`` and ``duration``.
    engine
        ``"pyinterp"``, ``"numpy"``, or ``"auto"``: pyinterp where it is installed. Both give the same numbers.

    Returns
    -------
    xarray.Dataset
        The variable, and ``VARIABLE_error``, its formal standard deviation (time, latitude, longitude): near ``sigma``
        it says that the map knows nothing but the background. ``attrs`` has the parameters and the engine.

    Raises
    ------
    GeodesError
        If an argument is wrong, or there is no record.

    Notes
    -----
    The best linear unbiased estimate from the nearest records. Errors of records are taken as independent, which those
    of one pass (orbit, long waves of corrections) are not: filter or correct them before. Land is not known: mask it.

    References
    ----------
    Bretherton, F. P., Davis, R. E., Fandry, C. B. (1976): A technique for objective analysis and design of
    oceanographic experiments applied to MODE-73. Deep-Sea Research 23, https://doi.org/10.1016/0011-7471(76)90001-2
    Le Traon, P.-Y., Nadal, F., Ducet, N. (1998): An improved mapping method of multisatellite altimeter data. Journal
    of Atmospheric and Oceanic Technology 15, https://doi.org/10.1175/1520-0426(1998)015<0522:AIMMOM>2.0.CO;2
    """
    values = quantities.one(tracks, variable)
    arguments.choice("covariance", covariance, engines.COVARIANCES)
    used = engines.chosen(arguments.choice("engine", engine, engines.ENGINES))
    longitude, latitude = positions.axes(bbox, resolution)
    when = np.atleast_1d(pd.to_datetime(np.atleast_1d(arguments.plain(times) if isinstance(times, str) else times)))
    limits.refuse("The maps", when.size * longitude.size * latitude.size, positions.MOST_CELLS, "cells")
    errors = _noise(tracks, noise)
    good = np.isfinite(values.values) & np.isfinite(errors)
    if not good.any():
        raise GeodesError(f"{variable} has no data along these tracks: there is nothing to map.")
    data = values.values[good].astype(float)
    mean = float(data.mean()) if background == "mean" else arguments.number("background", background, "a number")
    spread = float(np.sqrt(((data - mean) ** 2).mean())) if sigma is None else _positive("sigma", sigma)
    if spread == 0:
        raise GeodesError(f"{variable} is the same everywhere, so that its spread is 0: give sigma=.")
    model = engines.Model(
        covariance,
        _positive("length", length),
        _seconds(duration),
        spread,
        min(arguments.whole("neighbours", neighbours, "a number of records, at least 1", 1), _NEIGHBOURS),
    )
    known = np.column_stack([tracks[c].values[good] for c in ("longitude", "latitude")])
    known = np.column_stack([known, positions.seconds(tracks.time.values[good])])
    grid = np.meshgrid(positions.seconds(when), latitude, longitude, indexing="ij")
    wanted = np.column_stack([g.ravel() for g in grid[::-1]])
    estimate, error = engines.interpolate(known, data - mean, errors[good], wanted, model, used)
    shape, dims = grid[0].shape, ("time", "latitude", "longitude")
    about = {k: v for k, v in values.attrs.items() if k in ("long_name", "standard_name", "units")}
    units = {"units": about["units"]} if "units" in about else {}
    result = xr.Dataset(
        {
            variable: (dims, (estimate + mean).reshape(shape), about),
            f"{variable}_error": (dims, error.reshape(shape), {"long_name": f"formal error of {variable}", **units}),
        },
        {"time": when.astype("datetime64[ns]"), "latitude": latitude, "longitude": longitude},
        {
            "Conventions": "CF-1.11",
            "method": f"optimal interpolation, covariance {covariance}, {model.neighbours} nearest records",
            "length_m": model.length,
            "duration_s": model.time,
            "sigma": spread,
            "background": mean,
            "noise": noise,
            "records": int(good.sum()),
            "engine": used,
            "software": f"geodes_lab {version('geodes-lab')}",
        },
    )
    for axis, attrs in positions.axis_attrs().items():
        result[axis].attrs = attrs
    return result


def _noise(tracks: xr.Dataset, noise: float | str) -> positions.Floats:
    if isinstance(noise, str):
        errors = quantities.one(tracks, noise).values.astype(float)
        if (errors <= 0).any():
            raise GeodesError(f"{noise} has errors that are 0 or less: give errors that are more than 0.")
        return np.asarray(errors, float)
    return np.full(tracks.sizes["time"], _positive("noise", noise))


def _positive(name: str, value: Any) -> float:
    number = arguments.number(name, value, "a number, more than 0")
    if number <= 0:
        raise GeodesError(f"{name} is a number, more than 0, not {value!r}.")
    return number


def _seconds(duration: Any) -> float:
    try:
        span = pd.Timedelta(duration).total_seconds()
    except (ValueError, TypeError) as error:
        raise GeodesError(f"duration is a time such as '12h' or a timedelta, not {duration!r}.") from error
    return _positive("duration", span)
