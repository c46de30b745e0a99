"""A variable in time in one GeoTIFF: each band says which variable it is, and when.

`geodes_lab.save` writes it so. Other programs see bands that are named by their dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pystac
import xarray as xr

from geodes_lab.util import instant

FIELD = "geodes:series"
"""The variable and the time of an asset of a band Item."""
SLICE = "geodes:slice"
"""The property of an Item that is one slice of a cube, and is never pasted with another."""
_VARIABLE, _TIME = "geodes_variable", "geodes_time"
_LONG = 200  # characters of a name


def tags(data: xr.Dataset | xr.DataArray, number: int) -> dict[str, str]:
    """Return the tags of a band.

    Empty where its time is not known, or a microsecond does not tell two times apart: an Item could not either.
    """
    if "time" not in data.coords or data.time.ndim > 1 or data.time.dtype.kind != "M":
        return {}
    times = np.atleast_1d(data.time.values).astype("datetime64[us]")
    if np.isnat(times).any() or len(np.unique(times)) != len(times):
        return {}
    is_series = isinstance(data, xr.DataArray) and "time" in data.dims
    name = str(data.name or "data") if isinstance(data, xr.DataArray) else list(map(str, data.data_vars))[number]
    return {_VARIABLE: name, _TIME: f"{times[number if is_series else 0]}Z"}


def of_tags(text: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what a band's tags say: its variable, and its time as an Item has it."""
    name, time = text.get(_VARIABLE, ""), instant.utc(text.get(_TIME))
    return (name, instant.text(time)) if time and 0 < len(name) <= _LONG else None


def are_times(names: Sequence[str]) -> bool:
    """Whether the names of bands are dates: then the file may be a series."""
    return bool(names) and all(instant.utc(name) for name in names)


def apart(item: pystac.Item, wanted: Sequence[str]) -> list[pystac.Item]:
    """Return an Item for each time of a band Item, if it is a series; else the Item, with the time of its bands.

    Parameters
    ----------
    item
        A band Item.
    wanted
        The bands that are asked for; where one of them is a date, the Item stays whole.
    """
    spans = {key: asset.extra_fields.get(FIELD) for key, asset in item.assets.items()}
    dated = {key: (str(s[0]), str(s[1])) for key, s in spans.items() if isinstance(s, list) and len(s) == 2}
    times = sorted({time for _, time in dated.values()})
    if len(times) == 1 and instant.begin(item) is None and len(dated) == len(spans):
        item.datetime = instant.utc(times[0])
    if len(times) < 2 or any(band in item.assets for band in wanted):
        return [item]
    items = []
    for number, time in enumerate(times):
        one = item.clone()
        one.set_self_href(item.get_self_href())
        one.datetime = instant.utc(time)
        one.properties = {**item.properties, "start_datetime": None, "end_datetime": None, SLICE: number}
        one.assets = {name: item.assets[key] for key, (name, when) in dated.items() if when == time}
        items.append(one)
    return items


def joined(data: xr.Dataset, item: pystac.Item) -> xr.Dataset:
    """Return the bands of one grid with a time, if they are a series."""
    spans = {str(name): item.assets[name].extra_fields.get(FIELD) for name in data.data_vars if name in item.assets}
    dated = {name: s for name, s in spans.items() if isinstance(s, list)}
    variables = {s[0] for s in dated.values()}
    times = [pd.Timestamp(s[1]).tz_localize(None) for s in dated.values()]
    if len(dated) != len(data.data_vars) or len(variables) != 1 or len(set(times)) != len(times) or len(times) < 2:
        return data
    index: Any = pd.DatetimeIndex(times, name="time")
    whole = xr.concat([data[name] for name in dated], index, coords="minimal", compat="override").sortby("time")
    (name,) = variables
    return whole.rename(name).to_dataset().assign_attrs(data.attrs)
