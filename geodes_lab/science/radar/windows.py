"""Means of the pixels around each pixel, without those that have no data; the same whatever the chunks are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import arguments
from geodes_lab.errors import GeodesError

Floats = NDArray[np.floating]


def means(values: Floats, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of the pixels around each pixel, and the mean of their squares.

    Parameters
    ----------
    values
        (..., y, x); NaN has no weight.
    side
        Pixels of the window in y and in x, odd. Beyond the array there is no data.

    Returns
    -------
    mean, square : numpy.ndarray
        NaN where the whole window has no data.
    """
    there = ~np.isnan(values)
    filled = np.where(there, values, 0).astype(np.float64)
    count = np.rint(_mean(there.astype(np.float64), side) * side * side)
    count[count == 0] = np.nan
    return _mean(filled, side) * side * side / count, _mean(filled * filled, side) * side * side / count


def _mean(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    size = (1,) * (values.ndim - 2) + (side, side)
    mean: NDArray[np.float64] = scipy.ndimage.uniform_filter(values, size, mode="constant")
    return mean


def over(data: xr.DataArray, reach: int, call: Callable[[Floats], Floats]) -> xr.DataArray:
    """Apply a function of pixels and those around them to a variable, lazily if it is lazy.

    Parameters
    ----------
    data
        Its last dims are y and x.
    reach
        How many pixels around each the function uses.
    call
        Gets (..., y, x) with NaN for no data, and returns as many.
    """

    def done(values: Any) -> Any:
        if not isinstance(values, da.Array):
            return call(np.asarray(values)).astype(values.dtype)
        depth = {values.ndim - 2: reach, values.ndim - 1: reach}
        return da.map_overlap(
            _called, values, call=call, depth=depth, boundary=np.nan, dtype=values.dtype, meta=values._meta
        )

    return xr.apply_ufunc(done, data, dask="allowed", keep_attrs=True)


def _called(block: Floats, call: Callable[[Floats], Floats]) -> Floats:
    return call(block).astype(block.dtype)


def powers(name: str, cube: Any) -> dict[str, xr.DataArray]:
    """Return the variables of a cube that are backscatter, in linear power.

    Raises
    ------
    GeodesError
        If there are none, or they are in decibels, or have no y and x.
    """
    if not isinstance(cube, (xr.Dataset, xr.DataArray)):
        raise GeodesError(f"{name} needs a cube of gl.open_cube, or a variable of one, not {type(cube).__name__}.")
    dataset = cube.to_dataset(name=cube.name or "backscatter") if isinstance(cube, xr.DataArray) else cube
    found = {}
    for key, data in dataset.data_vars.items():
        if data.dims[-2:] != ("y", "x") or data.dtype.kind != "f" or data.attrs.get("units") in ("degree", "m"):
            continue
        if str(data.attrs.get("units", "")).lower() == "db":
            raise GeodesError(f"{key} is in decibels: give {name} linear power, and take the logarithm afterwards.")
        found[str(key)] = data
    if not found:
        raise GeodesError(f"{name} needs backscatter: variables of floats whose last dims are y and x. There are none.")
    return found


def side(name: str, window: Any) -> int:
    """Return the side of a window.

    Raises
    ------
    GeodesError
        If it is not an odd number of pixels, 3 to 101.
    """
    pixels = arguments.whole(name, window, "an odd number of pixels, 3 to 101", 3)
    if pixels % 2 == 0 or pixels > 101:
        raise GeodesError(f"{name} is an odd number of pixels, 3 to 101, not {pixels}.")
    return pixels
