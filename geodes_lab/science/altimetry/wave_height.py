"""The significant wave height from level 2 or 3, with what was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import quantities


def wave_height(
    tracks: xr.Dataset,
    corrections: Sequence[Literal["instrument"]] = ("instrument",),
    *,
    calibration: tuple[float, float] = (1.0, 0.0),
) -> xr.DataArray:
    """Return the significant wave height along tracks.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks` with a significant wave height: of level 2 (Ku band), or of level 3.
    corrections
        ``"instrument"``: the instrument's modelled correction stays in, as the product has applied it. ``[]``: it is
        taken out again, which needs the product's variable of it.
    calibration
        A slope and an offset in metres, such as those of a comparison with buoys: height × slope + offset.

    Returns
    -------
    xarray.DataArray
        ``wave_height`` (time) in metres, float64, lazy as the tracks are. ``attrs["corrections"]`` says what was
        applied. Small negative heights, which a retracker gives over a calm sea, stay: `edited` removes them.

    Raises
    ------
    GeodesError
        If the tracks have no wave height, or none of the instrument's correction when it is taken out.

    References
    ----------
    Queffeulou, P. (2004): Long-term validation of wave height measurements from altimeters. Marine Geodesy 27,
    https://doi.org/10.1080/01490410490883478 (linear calibrations against buoys).
    """
    quantities.check(tracks)
    wanted = arguments.names("corrections", corrections)
    for name in wanted:
        arguments.choice("corrections", name, ("instrument", "none"))
    slope, offset = (arguments.number("calibration", c, "a slope and an offset") for c in _two(calibration))
    source = quantities.needed(tracks, "wave_height", "open it with variables= (of Sentinel-3, with node='hz1')")
    height, applied = quantities.metres(source), ["instrument: as in the product"]
    if "instrument" not in wanted:
        part = quantities.needed(tracks, "wave_height_instrument", "without it corrections=['instrument'] must stay")
        height, applied = height - quantities.metres(part), [f"instrument: taken out ({part.name})"]
    if (slope, offset) != (1.0, 0.0):
        height = height * slope + offset
        applied.append(f"calibration: {slope:g} × height + {offset:g} m")
    return (
        height.rename("wave_height")
        .drop_attrs()
        .assign_attrs(
            long_name="significant wave height",
            standard_name="sea_surface_wave_significant_height",
            units="m",
            source=str(source.name),
            corrections=applied,
            software=f"geodes_lab {version('geodes-lab')}",
        )
    )


def _two(calibration: Sequence[float]) -> Sequence[float]:
    if not isinstance(calibration, (tuple, list)) or len(calibration) != 2:
        raise GeodesError(f"calibration is a slope and an offset, such as (1.02, -0.1), not {calibration!r}.")
    return calibration
