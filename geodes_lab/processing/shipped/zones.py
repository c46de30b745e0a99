"""Series in time of zones: polygons become a table, with exact area weights."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import xarray as xr

from geodes_lab.processing.inputs import Shapes
from geodes_lab.processing.registry import define
from geodes_lab.processing.shipped.composites import Names

Statistic = Literal["mean", "std", "min", "max", "sum", "count"]


@define(version="1", gives="table", region="zones")
def zonal(
    cube: xr.Dataset,
    zones: Shapes,
    bands: Names,
    statistics: list[Statistic] = ["mean", "std", "count"],  # noqa: B006  (never changed)
    by: str | None = None,
) -> pd.DataFrame:
    """Statistics of zones for each date, by exact area weights.

    Parameters
    ----------
    zones
        Polygons.
    bands
        Bands, such as red and nir.
    statistics
        What is computed of each zone, band and date.
    by
        The property of the zones with their names.
    """
    from geodes_lab.science.zonal import zonal as statistics_of

    return statistics_of(cube[bands], zones, statistics=statistics, by=by)
