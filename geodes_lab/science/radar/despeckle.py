"""Speckle filters: across the dates of a series (Quegan and Yu), and within each image (Lee)."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.radar import windows

Method = Literal["multitemporal", "lee"]
Cube = TypeVar("Cube", xr.Dataset, xr.DataArray)
_SAYS = {
    "multitemporal": "multi-temporal filter (Quegan and Yu 2001), means of {side} × {side} pixels",
    "lee": "Lee's filter of 1980, {side} × {side} pixels, {looks:g} looks",
}


def despeckle(cube: Cube, method: Method = "multitemporal", *, window: int = 7, looks: float | None = None) -> Cube:
    """Reduce the speckle of backscatter.

    Parameters
    ----------
    cube
        A cube of `geodes_lab.open_cube`, or a variable of one, in linear power; its last dims are y and x. Lazy or not.
    method
        ``"multitemporal"``: each date becomes its local mean, times the mean of all dates' ratios to their local means
        (as S1Tiling does). Details stay that are the same in all dates, and changes stay at the scale of the window.
        ``"lee"``: each image by itself, between the pixel and its local mean, by how much more the window varies than
        speckle does.
    window
        Pixels of the window of local means in y and x, odd.
    looks
        The equivalent number of looks of the cube, for ``"lee"``: see `geodes_lab.equivalent_looks`. 4.4 in products
        IW GRDH on their own grid.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The same variables, of which those of backscatter are filtered; no data stays no data, and has no weight. Chunks
        stay, and results do not depend on them. ``attrs["speckle"]`` says what was done. Nothing is computed now.

    Raises
    ------
    GeodesError
        If it is not linear power, there is no time for the multi-temporal filter, or an argument is invalid.

    Notes
    -----
    N dates of L looks become, at best, N L looks, where the window has many more than N. A field that changes keeps the
    change of its mean; a point that changes alone does not keep all of it. The multi-temporal filter holds all dates of
    a chunk at once.

    References
    ----------
    Quegan, S., Yu, J. J. (2001): Filtering of multichannel SAR images. IEEE Transactions on Geoscience and Remote
    Sensing 39(11), 2373–2379. https://doi.org/10.1109/36.964973

    Lee, J.-S. (1980): Digital image enhancement and noise filtering by use of local statistics. IEEE Transactions on
    Pattern Analysis and Machine Intelligence 2(2), 165–168. https://doi.org/10.1109/TPAMI.1980.4766994

    Examples
    --------
    >>> import geodes_lab as gl
    >>> cube = gl.open_cube(items, bands=["gamma0_rtc_vv"], dem="cop-dem.tif")  # doctest: +SKIP
    >>> smooth = gl.despeckle(cube)                                             # doctest: +SKIP
    """
    arguments.choice("method", method, ("multitemporal", "lee"))
    pixels = windows.side("window", window)
    several = windows.powers("gl.despeckle", cube)
    if method == "lee":
        if looks is None:
            raise GeodesError(
                "Lee's filter needs looks=, the equivalent number of looks of this cube: gl.equivalent_looks(cube) "
                "estimates it."
            )
        if arguments.number("looks", looks, "a number of looks, more than 0") <= 0:
            raise GeodesError(f"looks is a number of looks, more than 0, not {looks!r}.")
    elif looks is not None:
        raise GeodesError("looks= is for Lee's filter; the multi-temporal filter does not need it.")
    elif without := [k for k, v in several.items() if "time" not in v.dims]:
        raise GeodesError(f"{without[0]} has no dim time: the multi-temporal filter needs several dates; use 'lee'.")
    says = _SAYS[method].format(side=pixels, looks=looks or 0)
    filtered = {
        name: (_multitemporal(data, pixels) if looks is None else _lee(data, pixels, looks))
        .transpose(*data.dims)
        .assign_attrs(data.attrs, speckle=says)
        for name, data in several.items()
    }
    if isinstance(cube, xr.DataArray):
        (result,) = filtered.values()
        return result.rename(cube.name)
    return cube.assign(filtered)


def _multitemporal(data: xr.DataArray, side: int) -> xr.DataArray:
    mean = windows.over(data, side // 2, partial(_local_mean, side=side))
    ratio = xr.where(mean > 0, data / mean, np.nan)
    common = ratio.mean("time", skipna=True, dtype="float64").astype(data.dtype)
    return xr.where(data.notnull(), mean * common, np.nan).astype(data.dtype)


def _local_mean(values: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    return windows.means(values, side)[0]


def _lee(data: xr.DataArray, side: int, looks: float) -> xr.DataArray:
    return windows.over(data, side // 2, partial(lee, side=side, looks=looks))


def lee(values: NDArray[np.floating], side: int, looks: float) -> NDArray[np.floating]:
    """Filter images by Lee's local statistics for multiplicative noise.

    Parameters
    ----------
    values
        (..., y, x) linear power; NaN is no data, and stays.
    side
        Pixels of the window.
    looks
        The equivalent number of looks: speckle has the relative variance 1 / looks.
    """
    mean, square = windows.means(values, side)
    noise = 1 / looks
    signal = np.maximum(square / (1 + noise) - mean * mean, 0)
    whole = mean * mean * noise + signal
    gain = np.divide(signal, whole, out=np.zeros_like(signal), where=whole > 0)
    filtered: NDArray[np.floating] = mean + gain * (values - mean)
    return filtered
