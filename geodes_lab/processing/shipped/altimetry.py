"""Tracks of altimeters: maps of cells, optimal interpolation, crossovers, and comparison with others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pystac
import xarray as xr
from pydantic import Field

from geodes_lab.errors import GeodesError
from geodes_lab.processing.inputs import Between, Unit
from geodes_lab.processing.place import Place
from geodes_lab.processing.references import Files
from geodes_lab.processing.registry import define

Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Statistic = Literal["mean", "std", "min", "max", "median", "count"]
Cell = Annotated[float, Unit("deg"), Between(0.01, 10)]
Length = Annotated[float, Unit("km"), Between(0, 5000)]
_DERIVED = ("sea_level_anomaly", "wave_height")


@define(id="track-map", version="2")
def track_map(
    items: list[pystac.Item],
    variable: str,
    place: Place = Place(),  # noqa: B008  (never changed)
    box: Box | None = None,
    cell: Cell = 0.5,
    statistics: list[Statistic] = ["mean", "count"],  # noqa: B006  (never changed)
    node: str | None = None,
    edit: bool = False,
    corrections: list[str] | None = None,
    smooth: Length = 0.0,
) -> xr.Dataset:
    """Map of a variable of altimeter tracks, by cells of longitude and latitude.

    Parameters
    ----------
    variable
        A variable along time, such as VAVH; of level 2 also sea_level_anomaly and wave_height, which are computed.
    box
        West, south, east, north in degrees; without, the box of the region.
    cell
        Size of a cell. The map is in degrees, whatever CRS the job has.
    statistics
        What is computed of the records of a cell.
    node
        Rate and band, such as hz1; without, the first of the file, or ku of Sentinel-3.
    edit
        Whether records of level 2 that fail the editing criteria are left out.
    corrections
        Corrections of the sea level; without, those of the handbooks' formula.
    smooth
        Shorter waves along the track are filtered out before (Lanczos); 0: none.
    """
    from geodes_lab.science.altimetry import binned

    tracks = _tracks(items, node, [variable], _box(box, place), edit=edit, corrections=corrections, smooth=smooth)
    cells = binned(tracks, variable, _box(box, place), cell, statistics=statistics)
    return _map(cells, tracks.time.values.min())


@define(id="optimal-map", version="1")
def optimal_map(
    items: list[pystac.Item],
    variable: str,
    moment: Annotated[str, Field(max_length=40)],
    noise: Annotated[float, Between(1e-6, 1e6)],
    place: Place = Place(),  # noqa: B008  (never changed)
    box: Box | None = None,
    cell: Cell = 0.5,
    length: Annotated[float, Unit("km"), Between(1, 5000)] = 150.0,
    duration: Annotated[float, Unit("h"), Between(0.1, 24 * 366)] = 24.0,
    neighbours: Annotated[int, Between(1, 500)] = 50,
    node: str | None = None,
    edit: bool = False,
    corrections: list[str] | None = None,
    smooth: Length = 0.0,
) -> xr.Dataset:
    """Map of a variable of altimeter tracks at a moment, by optimal interpolation, with its error.

    Parameters
    ----------
    variable
        A variable along time, such as VAVH; of level 2 also sea_level_anomaly and wave_height, which are computed.
    moment
        The time of the map (UTC), such as 2022-02-16T12:00.
    noise
        The standard deviation of a record's error, in the units of the variable.
    box
        West, south, east, north in degrees; without, the box of the region.
    cell
        Size of a cell. The map is in degrees, whatever CRS the job has.
    length
        The length of correlation.
    duration
        The time of correlation.
    neighbours
        Records used for each cell.
    node
        Rate and band, such as hz1; without, the first of the file, or ku of Sentinel-3.
    edit
        Whether records of level 2 that fail the editing criteria are left out.
    corrections
        Corrections of the sea level; without, those of the handbooks' formula.
    smooth
        Shorter waves along the track are filtered out before (Lanczos); 0: none.

    References
    ----------
    Bretherton, F. P., Davis, R. E., Fandry, C. B. (1976): A technique for objective analysis and design of
    oceanographic experiments applied to MODE-73. Deep-Sea Research 23, https://doi.org/10.1016/0011-7471(76)90001-2
    """
    from geodes_lab.science.altimetry import interpolated

    try:
        when = np.datetime64(pd.Timestamp(moment).tz_localize(None), "ns")
    except (ValueError, TypeError):
        raise GeodesError(f"moment is a time, such as 2022-02-16T12:00, not {moment!r}.") from None
    tracks = _tracks(items, node, [variable], _box(box, place), edit=edit, corrections=corrections, smooth=smooth)
    field = interpolated(
        tracks, variable, _box(box, place), cell, when,
        length=1000 * length, duration=f"{duration}h", noise=noise, neighbours=neighbours,
    )  # fmt: skip
    return _map(field.isel(time=0, drop=True), when)


@define(version="2", gives="table")
def crossovers(
    items: list[pystac.Item],
    variables: Annotated[list[str], Field(min_length=1, max_length=20)],
    box: Box | None = None,
    within: Annotated[float, Unit("h"), Between(0, 24 * 366)] = 240.0,
    node: str | None = None,
    edit: bool = False,
    corrections: list[str] | None = None,
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
    edit
        Whether records of level 2 that fail the editing criteria are left out.
    corrections
        Corrections of the sea level; without, those of the handbooks' formula.
    """
    from geodes_lab.science.altimetry import crossovers as crossovers_of

    tracks = _tracks(items, node, variables, box, edit=edit, corrections=corrections)
    found = crossovers_of(tracks, variables=variables, within=f"{within}h")
    return found.to_dataframe().reset_index(drop=True)


@define(version="1", gives="table")
def collocation(
    items: list[pystac.Item],
    variable: str,
    other: Files,
    other_variable: str,
    box: Box | None = None,
    distance: Annotated[float, Unit("km"), Between(0, 1000)] = 50.0,
    within: Annotated[float, Unit("min"), Between(0, 1e5)] = 30.0,
    node: str | None = None,
    edit: bool = False,
    corrections: list[str] | None = None,
) -> pd.DataFrame:
    """Altimeter tracks beside a buoy or other tracks: the nearest number in space and time, and the difference.

    Parameters
    ----------
    variable
        A variable along time, such as VAVH.
    other
        NetCDF files with a position for each record, such as a buoy's: a path in your home, an address or an Item.
    other_variable
        The variable of the other.
    box
        West, south, east, north in degrees; without, everywhere.
    distance
        Distance between both, at most.
    within
        Time between both, at most.
    node
        Rate and band, such as hz1; without, the first of the file, or ku of Sentinel-3.
    edit
        Whether records of level 2 that fail the editing criteria are left out.
    corrections
        Corrections of the sea level; without, those of the handbooks' formula.

    References
    ----------
    Monaldo, F. (1988): Expected differences between buoy and radar altimeter estimates of wind speed and significant
    wave height. Journal of Geophysical Research 93, https://doi.org/10.1029/JC093iC03p02285 (50 km and 30 minutes).
    """
    from geodes_lab.cube.tracks import open_tracks
    from geodes_lab.science.altimetry import collocated

    tracks = _tracks(items, node, [variable], box, edit=edit, corrections=corrections)
    beside = open_tracks(other if isinstance(other, list) else [other], variables=[other_variable])
    pairs = collocated(
        tracks, variable, beside, other_variable, distance=1000 * distance, within=f"{within}min"
    )  # fmt: skip
    return pairs.to_dataframe().reset_index()


def _box(box: list[float] | None, place: Place) -> list[float]:
    if box is not None:
        return box
    if place.bbox is None:
        raise GeodesError("The map needs a place: give box= (west, south, east, north in degrees), or region=.")
    return list(place.bbox)


def _map(cells: xr.Dataset, moment: Any) -> xr.Dataset:
    """Return cells of longitude and latitude as a map from north to south."""
    import rioxarray  # noqa: F401  (registers .rio)

    data = cells.rename(latitude="y", longitude="x").isel(y=slice(None, None, -1))
    data = data.rename({n: str(n).replace("-", "_") for n in data.data_vars})
    return data.rio.write_crs("EPSG:4326").assign_coords(time=moment)


def _tracks(
    items: list[pystac.Item],
    node: str | None,
    variables: Sequence[str],
    box: list[float] | None,
    *,
    edit: bool = False,
    corrections: list[str] | None = None,
    smooth: float = 0.0,
) -> xr.Dataset:
    """Return tracks with variables that they have or that are computed of them."""
    from geodes_lab.cube.tracks import open_tracks
    from geodes_lab.science.altimetry import edited, sea_level_anomaly, smoothed, wave_height

    own = [v for v in variables if v not in _DERIVED]
    # Criteria, and what is computed, need many of the variables.
    data: Any = open_tracks(items, node=node, variables=None if edit or len(own) < len(variables) else own, bbox=box)
    data = data.isel(time=~np.isnat(data.time.values))
    if edit:
        data = edited(data)
    if "sea_level_anomaly" in variables and "sea_level_anomaly" not in data:
        chosen: dict[str, Any] = {} if corrections is None else {"corrections": corrections}
        data = data.assign(sea_level_anomaly=sea_level_anomaly(data, **chosen))
    elif corrections is not None:
        raise GeodesError("corrections= is for the variable sea_level_anomaly: leave it out.")
    if "wave_height" in variables and "wave_height" not in data:
        data = data.assign(wave_height=wave_height(data))
    if smooth:
        data = data.assign({v: smoothed(data, v, 1000 * smooth) for v in variables})
    return data
