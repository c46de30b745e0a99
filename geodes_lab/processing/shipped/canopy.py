"""Canopies: leaf area and other variables of vegetation from Sentinel-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from geodes_lab.processing.reduction import Reduce, reduced
from geodes_lab.processing.registry import define

Variables = Annotated[list[Literal["lai", "fapar", "fcover", "ccc", "cwc"]], Field(min_length=1)]


def _inputs(inputs: Mapping[str, Any]) -> list[str]:
    from geodes_lab.science.canopy.network import ANGLES, BANDS

    return [*BANDS, *ANGLES]


@define(
    version="1",
    bands=_inputs,
    over="each",
    loads=True,
    opens={"resampling": {"B03": "average", "B04": "average"}},
    resolution=20.0,
)
def canopy(
    cube: xr.Dataset,
    variables: Variables = ["lai"],  # noqa: B006  (never changed)
    network: Literal["sl2p-2.1", "sl2p-ccrs"] = "sl2p-2.1",
    invalid: Literal["mask", "keep"] = "mask",
    reduce: Reduce = "median",
) -> xr.Dataset:
    """Leaf area index and other variables of canopies, by neural networks (Weiss, Baret and Jay 2020).

    From Sentinel-2's surface reflectance (level 2A) at 20 m. Each date is computed, then the dates of a period become
    one map, with the number of dates that a pixel has. Clouds need a mask: the networks do not know them.

    Parameters
    ----------
    variables
        Leaf area index, fractions of absorbed light and of covered ground, chlorophyll and water in the canopy.
    network
        That of the Sentinel-2 toolbox, or the same method trained again (Fernandes et al. 2024).
    invalid
        Whether values outside of the definition domain, or too low or too high, become no data.
    reduce
        How the dates of a period become one map.

    References
    ----------
    Weiss, M., Baret, F., Jay, S. (2020): S2ToolBox Level 2 products: LAI, FAPAR, FCOVER. Algorithm Theoretical Basis
    Document, version 2.1. https://hal.inrae.fr/hal-03584016
    """
    from geodes_lab.science.canopy.biophysical import biophysical

    wanted = list(dict.fromkeys(variables))
    several = biophysical(cube, wanted, network=network, invalid=invalid)
    # What an attribute names must be in the result too: the flags are of dates.
    result = several[wanted].map(lambda v: reduced(v, reduce), keep_attrs=True)
    for name in wanted:
        result[name].attrs.pop("ancillary_variables", None)
    dates = several[wanted[0]].notnull().sum("time").astype(np.uint16)
    return result.assign(dates=dates.assign_attrs(long_name="number of dates with data", units="1"))
