"""Radar: speckle filters."""

from __future__ import annotations

from typing import Annotated, Literal

import xarray as xr

from geodes_lab.processing.inputs import Between
from geodes_lab.processing.registry import define
from geodes_lab.processing.shipped.composites import Names


@define(version="1")
def despeckle(
    cube: xr.Dataset,
    bands: Names,
    method: Literal["multitemporal", "lee"] = "multitemporal",
    window: Annotated[int, Between(3, 101)] = 7,
    looks: Annotated[float, Between(0.1, 1000)] = 4.4,
) -> xr.Dataset:
    """Backscatter with less speckle: by Quegan and Yu (2001) across the dates of a period, or by Lee (1980).

    Parameters
    ----------
    bands
        Bands of backscatter, such as gamma0_vv.
    method
        Across the dates of a period, or within each image.
    window
        Pixels of the window of local means, odd.
    looks
        The equivalent number of looks, for Lee's filter.
    """
    from geodes_lab.science.radar.despeckle import despeckle as filtered

    return filtered(cube[bands], method, window=window, looks=looks if method == "lee" else None)
