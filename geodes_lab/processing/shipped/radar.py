"""Radar images: backscatter without the brightness of slopes, and with less speckle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from geodes_lab.processing.inputs import Between
from geodes_lab.processing.reduction import Reduce, reduced
from geodes_lab.processing.registry import define
from geodes_lab.processing.shipped.composites import Names

_MASK, _ANGLE = "layover_shadow_mask", "local_incidence_angle"
_UNKNOWN = 255
Polarisations = Annotated[list[Literal["vv", "vh", "hh", "hv"]], Field(min_length=1)]


def _flattened(inputs: Mapping[str, Any]) -> list[str]:
    end = "_denoised" if inputs["denoised"] else ""
    angle = [_ANGLE] if inputs["angle"] else []
    return [*(f"gamma0_rtc_{p}{end}" for p in dict.fromkeys(inputs["polarisations"])), *angle, _MASK]


@define(version="1", bands=_flattened, over="each", terrain="must")
def rtc(
    cube: xr.Dataset,
    polarisations: Polarisations = ["vv"],  # noqa: B006  (never changed)
    denoised: bool = False,
    hide: bool = True,
    despeckle: bool = False,
    window: Annotated[int, Between(3, 101)] = 7,
    angle: bool = False,
    reduce: Reduce = "mean",
) -> xr.Dataset:
    """Radiometric terrain correction of Sentinel-1's GRD: γ0 without the brightness of slopes (Small 2011).

    The passes of a period become one map of linear power, with the number of passes that a pixel has, and a mask: 1 if
    the pixel lies in shadow in any pass, 2 in layover, 3 in both, 255 without data.

    Parameters
    ----------
    polarisations
        Of the products.
    denoised
        Whether thermal noise is subtracted.
    hide
        Whether pixels in layover or shadow become no data in that pass.
    despeckle
        Whether speckle is filtered across the passes of the period (Quegan and Yu 2001).
    window
        Pixels of the window of that filter, odd.
    angle
        Whether the mean local incidence angle is given too.
    reduce
        How the passes of a period become one map.

    References
    ----------
    Small, D. (2011): Flattening gamma: radiometric terrain correction for SAR imagery. IEEE Transactions on Geoscience
    and Remote Sensing 49(8), 3081–3093. https://doi.org/10.1109/TGRS.2011.2120616
    """
    from geodes_lab.science.radar.despeckle import despeckle as filtered

    names = [str(n) for n in cube.data_vars if str(n).startswith("gamma0_rtc_")]
    mask = cube[_MASK]
    powers = cube[names].where(mask == 0) if hide else cube[names]
    if despeckle:
        powers = filtered(powers, window=window)
    result = powers.map(lambda band: reduced(band, reduce), keep_attrs=True)
    passes = powers[names[0]].notnull().sum("time").astype(np.uint16)
    result["passes"] = passes.assign_attrs(long_name="number of passes with data", units="1")
    if angle:
        result[_ANGLE] = reduced(cube[_ANGLE], "mean")
    result[_MASK] = _in_any(mask).assign_attrs(mask.attrs)
    return result


def _in_any(mask: xr.DataArray) -> xr.DataArray:
    """Return the mask of all passes together: what any of them has."""
    number = mask.fillna(_UNKNOWN).astype(np.uint8)
    known = number != _UNKNOWN
    shadow, layover = (((number & bit) > 0) & known for bit in (1, 2))
    together = shadow.any("time") * np.uint8(1) + layover.any("time") * np.uint8(2)
    return xr.where(known.any("time"), together, np.uint8(_UNKNOWN)).astype(np.uint8)


@define(version="1", terrain="may")
def despeckle(
    cube: xr.Dataset,
    bands: Names,
    method: Literal["multitemporal", "lee"] = "multitemporal",
    window: Annotated[int, Between(3, 101)] = 7,
    looks: Annotated[float, Between(0.1, 1000)] = 4.4,
    reduce: Reduce = "mean",
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
    reduce
        How the dates of a period become one map.
    """
    from geodes_lab.science.radar.despeckle import despeckle as filtered

    smooth = filtered(cube[bands], method, window=window, looks=looks if method == "lee" else None)
    return smooth.map(lambda band: reduced(band, reduce), keep_attrs=True)
