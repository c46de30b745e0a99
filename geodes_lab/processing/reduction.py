"""A series of dates becomes one map."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_FEW = 16  # values; of more, ordering each pixel is faster

Reduce = Literal["median", "mean", "maximum", "minimum"]


def reduced(data: xr.DataArray, reduce: Reduce) -> xr.DataArray:
    """Reduce a series to one map: no data is left out; one date stays as it is."""
    if data.sizes["time"] == 1:
        return data.isel(time=0, drop=True)
    if reduce == "median" and data.chunks is None and data.dtype.kind == "f":
        return data.reduce(lambda values, axis: nanmedian(np.moveaxis(values, axis, 0)), "time", keep_attrs=True)
    how = {"maximum": "max", "minimum": "min"}.get(reduce, reduce)
    column = data.chunk(time=-1) if data.chunks and how == "median" else data
    return getattr(column, how)("time", keep_attrs=True)


def nanmedian(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the median along the first axis, without NaN.

    The numbers are those of `numpy.nanmedian`, which takes masked arrays for so few values and is many times slower.

    Parameters
    ----------
    values
        Floating-point numbers, a few along the first axis.

    Returns
    -------
    numpy.ndarray
        Of the same dtype, without the first axis; NaN where all values are.
    """
    if len(values) == 2:
        first, last = np.fmin(*values), np.fmax(*values)  # the other one, where one is NaN
    else:
        ordered = _ordered(values)
        if not np.isnan(ordered[-1]).any():  # NaN come last: there is none
            first, last = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
            return np.where(first == last, first, (first + last) / 2)
        many = np.count_nonzero(~np.isnan(ordered), axis=0)
        middle = np.maximum(many - 1, 0) // 2, np.minimum(many // 2, len(ordered) - 1)
        first, last = (np.take_along_axis(ordered, n[np.newaxis], axis=0)[0] for n in middle)
    # Where there is one middle it stays as it is: its double may be too large.
    return np.where(first == last, first, (first + last) / 2)


def _ordered(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Order the values along the first axis; NaN come last."""
    many = len(values)
    if many > _FEW:
        return np.sort(values, axis=0)
    rows = list(values)
    # Neighbours change places, in whole maps at once, which is faster than to order each pixel.
    for number in range(many):
        for n in range(number % 2, many - 1, 2):
            # Of a number and NaN `fmin` gives the number, and `maximum` NaN.
            rows[n], rows[n + 1] = np.fmin(rows[n], rows[n + 1]), np.maximum(rows[n], rows[n + 1])
    return np.stack(rows)
