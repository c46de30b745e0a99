"""Tracks of altimeters: maps of cells, and a table of crossovers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pystac
import xarray as xr
from pydantic import Field

from geodes_lab.processing.inputs import Between, Unit
from geodes_lab.processing.registry import define

Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Statistic = Literal["mean", "std", "min", "max", "median", "count"]


@define(id="track-map", version="1")
def track_map(
    items: list[pystac.Item],
    variable: str,
    box: Box,
    resolution: Annotated[float, Unit("deg"), Between(0.01, 10)] = 0.5,
    statistics: list[Statistic] = ["mean", "count"],  # noqa: B006  (never changed)
    node: str | None = None,
) -> xr.Dataset:
    """Map of a variable of altimeter tracks, by cells of longitude and latitude.

    Parameters
    ----------
    variable
        A variable along time, such as VAVH.
    box
        West, south, east, north in degrees.
    resolution
        Size of a cell.
    statistics
        What is computed of the records of a cell.
    node
        Rate and band, such as hz1; without, the first of the file, or ku of Sentinel-3.
    """
    import rioxarray  # noqa: F401  (registers .rio)

    from geodes_lab.science.altimetry import binned

    tracks = _tracks(items, node, [variable], box)
    cells = binned(tracks, variable, box, resolution, statistics=statistics)
    data = cells.rename(latitude="y", longitude="x").isel(y=slice(None, None, -1))
    data = data.rename({n: str(n).replace("-", "_") for n in data.data_vars})
    return data.rio.write_crs("EPSG:4326").assign_coords(time=tracks.time.values.min())


@define(version="1", gives="table")
def crossovers(
    items: list[pystac.Item],
    variables: Annotated[list[str], Field(min_length=1, max_length=20)],
    box: Box | None = None,
    within: Annotated[float, Unit("h"), Between(0, 24 * 366)] = 240.0,
    node: str | None = None,
) -> pd.DataFrame:
    """Crossovers of altimeter tracks, with the differences of variables there.

    Parameters
    ----------
    variables
        Variables along time, such as VAVH.
    box
        West, south, east, north in degrees; without, everywhere.
    within
        The most time between both passes.
    node
        Rate and band, such as hz1; without, the first of the file, or ku of Sentinel-3.
    """
    from geodes_lab.science.altimetry import crossovers as crossovers_of

    found = crossovers_of(_tracks(items, node, variables, box), variables=variables, within=f"{within}h")
    return found.to_dataframe().reset_index(drop=True)


def _tracks(items: list[pystac.Item], node: str | None, variables: list[str], box: list[float] | None) -> xr.Dataset:
    from geodes_lab.cube.tracks import open_tracks

    data: Any = open_tracks(items, node=node, variables=variables, bbox=box)
    return data.isel(time=~np.isnat(data.time.values))
