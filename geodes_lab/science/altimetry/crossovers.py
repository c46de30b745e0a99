"""Crossovers: where two passes measure the same place, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import positions, quantities
from geodes_lab.science.altimetry.positions import Floats

_LEAST_ANGLE = 1.0  # degrees: passes of repeated orbits lie beside each other and do not cross
_MOST_PAIRS = 2**26


class _Segments:
    """The pieces of tracks between neighbouring records, on a plane of longitude and latitude."""

    def __init__(self, tracks: xr.Dataset, most_gap: float) -> None:
        ordered = positions.order(tracks)
        whole = np.flatnonzero(~positions.breaks(tracks, ordered, most_gap))
        first, last = ordered[whole], ordered[whole + 1]
        longitude, latitude = tracks.longitude.values.astype(float), tracks.latitude.values.astype(float)
        there = np.isfinite(longitude[first] + longitude[last] + latitude[first] + latitude[last])
        self.first, self.last = first[there], last[there]
        x = longitude[self.first]
        step = (longitude[self.last] - x + 180) % 360 - 180
        # A piece across the date line is there twice, once on each side.
        beyond = np.abs(x + step) > 180
        self.first = np.concatenate([self.first, self.first[beyond]])
        self.last = np.concatenate([self.last, self.last[beyond]])
        self.x = np.concatenate([x, x[beyond] - 360 * np.sign(step[beyond])])
        self.dx = np.concatenate([step, step[beyond]])
        self.y = latitude[self.first]
        self.dy = latitude[self.last] - self.y

    def lines(self) -> Any:
        import shapely

        ends = np.stack([np.stack([self.x, self.y], 1), np.stack([self.x + self.dx, self.y + self.dy], 1)], 1)
        return shapely.linestrings(ends)


def crossovers(
    tracks: xr.Dataset,
    other: xr.Dataset | None = None,
    variables: Sequence[str] | str = (),
    *,
    within: Any = None,
    most_gap: float | None = None,
) -> xr.Dataset:
    """Find the crossovers of passes, and the differences of variables there.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`.
    other
        The tracks of another satellite or time; None: the crossovers of ``tracks`` with themselves.
    variables
        Variables along time of both; they are computed during this call.
    within
        The most time between both passes: a timedelta, or text such as ``"3h"``; None: any.
    most_gap
        Seconds between the two records beside a crossover at most: where a pass has a longer gap, nothing is
        interpolated. None: twice the usual step of the tracks.

    Returns
    -------
    xarray.Dataset
        Dimension ``crossover``, in the order of ``time_1``; coordinates ``longitude``, ``latitude``; ``time_1``,
        ``time_2`` and ``time_difference`` (second less first, seconds), and for each variable ``VARIABLE_1``,
        ``VARIABLE_2`` and ``VARIABLE_difference`` (second less first), each interpolated linearly between both records;
        NaN where one is missing. For tracks with themselves the earlier pass is the first. ``angle`` in degrees is
        that between the passes; below 1° they are taken as parallel.

    Raises
    ------
    GeodesError
        If a variable is missing, or an argument is wrong.

    Notes
    -----
    Between records a pass is taken as a line of longitude and latitude, which is beside the true one by less than 10 m
    for records 7 km apart. Where both passes are within one step of a pole's turning point, it is less exact.
    """
    quantities.check(tracks)
    second = tracks if other is None else other
    quantities.check(second)
    names = arguments.names("variables", variables)
    values = [(quantities.one(tracks, n), quantities.one(second, n)) for n in names]
    gaps = [2 * positions.step(t) if most_gap is None else _positive(most_gap) for t in (tracks, second)]
    one, two = _Segments(tracks, gaps[0]), _Segments(second, gaps[1])
    left, right = _pairs(one, two, other is None)
    if other is None:
        beside = (one.first[left] == two.last[right]) | (one.last[left] == two.first[right])
        left, right = left[~beside], right[~beside]
    left, right, t, u, angle = _crossing(one, two, left, right)
    first = positions.seconds(tracks.time.values)
    then = positions.seconds(second.time.values)
    time_1 = _between(first, one, left, t)
    time_2 = _between(then, two, right, u)
    keep = np.ones(len(t), bool)
    if within is not None:
        keep = np.abs(time_2 - time_1) <= _span(within)
    longitude = (one.x[left] + t * one.dx[left] + 180) % 360 - 180
    latitude = one.y[left] + t * one.dy[left]
    columns: dict[str, Any] = {
        "time_1": time_1,
        "time_2": time_2,
        "time_difference": time_2 - time_1,
        "angle": angle,
    }
    for name, (a, b) in zip(names, values, strict=True):
        columns[f"{name}_1"] = _between(a.values.astype(float), one, left, t)
        columns[f"{name}_2"] = _between(b.values.astype(float), two, right, u)
    if other is None:  # the earlier one is the first
        columns = _earlier_first(columns, names)
    order = np.argsort(columns["time_1"], kind="stable")
    order = order[keep[order]]
    data = xr.Dataset(coords={"longitude": ("crossover", longitude[order]), "latitude": ("crossover", latitude[order])})
    for name, column in columns.items():
        data[name] = ("crossover", _times(column[order]) if name in ("time_1", "time_2") else column[order])
    for name, (a, _) in zip(names, values, strict=True):
        data[f"{name}_difference"] = data[f"{name}_2"] - data[f"{name}_1"]
        for end in ("1", "2", "difference"):
            data[f"{name}_{end}"].attrs = {k: v for k, v in a.attrs.items() if k in ("units", "long_name")}
    data.time_difference.attrs = {"units": "s", "long_name": "second pass less first"}
    data.angle.attrs = {"units": "degree", "long_name": "angle between the passes"}
    for axis, attrs in positions.axis_attrs().items():
        data[axis].attrs = {k: v for k, v in attrs.items() if k != "axis"}
    return data


def _pairs(one: _Segments, two: _Segments, same: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs of pieces that touch or cross, as shapely's tree finds them."""
    import shapely

    if not len(one.first) or not len(two.first):
        return np.zeros(0, int), np.zeros(0, int)
    lines = one.lines()
    tree = shapely.STRtree(lines if same else two.lines())
    left, right = tree.query(lines, predicate="intersects")
    if same:
        left, right = left[left < right], right[left < right]
    if len(left) > _MOST_PAIRS:
        raise GeodesError(f"These tracks cross {len(left)} times: choose a shorter period or a box.")
    return left, right


def _crossing(
    one: _Segments, two: _Segments, left: NDArray[np.intp], right: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats, Floats]:
    """Return the pairs that cross, where on each piece (0 to 1), and the angle."""
    ax, ay, bx, by = one.dx[left], one.dy[left], two.dx[right], two.dy[right]
    sx, sy = two.x[right] - one.x[left], two.y[right] - one.y[left]
    cross = ax * by - ay * bx
    squeeze = np.cos(np.radians(one.y[left]))
    length = np.hypot(ax * squeeze, ay) * np.hypot(bx * squeeze, by)
    with np.errstate(divide="ignore", invalid="ignore"):
        sine = np.clip(np.abs(cross) * squeeze / length, 0, 1)
        t, u = (sx * by - sy * bx) / cross, (sx * ay - sy * ax) / cross
    angle = np.degrees(np.arcsin(sine))
    x = one.x[left] + t * ax
    # A crossing at a record belongs to the piece that begins there; one at the date line to its western side.
    good = (t >= 0) & (t < 1) & (u >= 0) & (u < 1) & (angle >= _LEAST_ANGLE) & (x >= -180) & (x < 180)
    return left[good], right[good], t[good], u[good], angle[good]


def _between(values: Floats, pieces: _Segments, which: NDArray[np.intp], part: Floats) -> Floats:
    first, last = values[pieces.first[which]], values[pieces.last[which]]
    return np.asarray(first + part * (last - first))


def _earlier_first(columns: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    swap = columns["time_1"] > columns["time_2"]
    for name in ("time", *names):
        one, two = columns[f"{name}_1"], columns[f"{name}_2"]
        columns[f"{name}_1"], columns[f"{name}_2"] = np.where(swap, two, one), np.where(swap, one, two)
    return columns | {"time_difference": columns["time_2"] - columns["time_1"]}


def _times(seconds: Floats) -> NDArray[Any]:
    return (np.asarray(seconds) * 1e3).round().astype("datetime64[ms]").astype("datetime64[ns]")


def _positive(value: Any) -> float:
    number = arguments.number("most_gap", value, "a number of seconds, more than 0")
    if number <= 0:
        raise GeodesError(f"most_gap is a number of seconds, more than 0, not {value!r}.")
    return number


def _span(within: Any) -> float:
    try:
        return float(pd.Timedelta(within).total_seconds())
    except (ValueError, TypeError) as error:
        raise GeodesError(f"within is a time such as '3h' or a timedelta, not {within!r}.") from error
