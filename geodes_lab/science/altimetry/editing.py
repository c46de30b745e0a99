"""Editing: which records of an altimeter are good measurements of the sea, by flags and by limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import quantities


@dataclass(frozen=True)
class Flag:
    """A flag of the product: which of its classes are good."""

    good: tuple[str, ...]
    """How the names of good classes begin, in the flag's own meanings."""
    bad: tuple[str, ...] = ()
    """How the names of bad ones begin; if there are any, all others are good."""
    bad_values: tuple[int, ...] = ()
    """Bad numbers of a flag without meanings; none: all but 0."""


_SEA = Flag(("open_ocean", "ocean"))
FLAGS: dict[str, Flag] = {
    "surface": _SEA,
    "radiometer_surface": _SEA,
    "ice": Flag(("open_ocean", "ocean", "no_ice", "open_water", "no_sea_ice")),
    "rain": Flag((), ("rain", "high_rain", "ambiguous"), (1, 2, 4)),
    "range_quality": Flag(("good", "valid")),
    "wave_height_quality": Flag(("good", "valid")),
    "backscatter_quality": Flag(("good", "valid")),
}
"""Flags of Sentinel-3 and Jason, by quantity."""
LIMITS: dict[str, tuple[float, float]] = {
    "range_count": (10, np.inf),
    "range_rms": (0.0, 0.2),
    "height": (-130.0, 100.0),
    "dry_troposphere": (-2.5, -1.9),
    "wet_troposphere": (-0.5, -0.001),
    "ionosphere": (-0.4, 0.04),
    "sea_state_bias": (-0.5, 0.0),
    "ocean_tide": (-5.0, 5.0),
    "solid_earth_tide": (-1.0, 1.0),
    "pole_tide": (-0.15, 0.15),
    "wave_height": (0.0, 11.0),
    "backscatter": (7.0, 30.0),
    "backscatter_rms": (0.0, 1.0),
    "backscatter_count": (10, np.inf),
    "wind_speed": (0.0, 30.0),
    "off_nadir": (-0.2, 0.64),
}
"""Lowest and highest valid values: metres, dB, m/s, degrees², counts. ``height`` is the altitude less the range."""
_LENGTHS = {
    "range_rms", "dry_troposphere", "wet_troposphere", "ionosphere", "sea_state_bias", "ocean_tide", "solid_earth_tide",
    "pole_tide", "wave_height",
}  # fmt: skip
EDITING_FLAG = "editing_flag"


def edited(
    tracks: xr.Dataset,
    limits: Mapping[str, tuple[float, float] | None] | None = None,
    *,
    flags: bool = True,
    invalid: Literal["mask", "flag"] = "mask",
) -> xr.Dataset:
    """Edit tracks of level 2: find records that are no good measurement of the open sea.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`: Sentinel-3 (``node="hz1"``), Jason, SARAL or Sentinel-6.
    limits
        Changes of the limits: ``{"wave_height": (0, 15)}``; None leaves a criterion out: ``{"off_nadir": None}``. Their
        names and values are in ``geodes_lab.science.altimetry.editing.LIMITS``.
    flags
        Whether flags of the product are used: the surface (also the radiometer's), ice, rain, and the quality of range,
        wave height and backscatter. A flag is read by the meanings that the file gives.
    invalid
        ``"mask"``: measures of bad records become NaN. ``"flag"``: they stay, and only ``editing_flag`` says so.

    Returns
    -------
    xarray.Dataset
        The tracks with ``editing_flag`` (time): a bit for each criterion, named in ``flag_meanings``; 0 is good. A
        missing value fails its criterion. ``attrs["not_checked"]`` names criteria whose variables the tracks do not
        have: what was not opened was not checked. Lazy as the tracks are.

    Raises
    ------
    GeodesError
        If no criterion can be checked, a criterion does not exist, or units are not those of a length.

    References
    ----------
    The limits are the editing criteria of CNES, EUMETSAT, NOAA and JPL: Jason-3 Products Handbook
    (SALP-MU-M-OP-16118-CN), "data editing criteria". Sentinel-3's flags: ESA, Sentinel-3 altimetry technical guide,
    "Level-2 quality information".
    """
    quantities.check(tracks)
    arguments.choice("invalid", invalid, ("mask", "flag"))
    chosen: dict[str, tuple[float, float] | None] = {**LIMITS, **_checked(limits)}
    failed: dict[str, xr.DataArray] = {}
    absent: list[str] = []
    if arguments.flag("flags", flags):
        for name, flag in FLAGS.items():
            values = quantities.find(tracks, name)
            if values is None:
                absent.append(name)
            else:
                failed[f"{name}_flag"] = xr.apply_ufunc(
                    np.isin, values, kwargs={"test_elements": _bad(values, flag)}, dask="allowed"
                )
    for name, limit in chosen.items():
        if limit is None:
            continue
        measure = _measure(tracks, name)
        if measure is None:
            absent.append(name)
        else:
            failed[name] = ~((measure >= limit[0]) & (measure <= limit[1]))
    if not failed:
        raise GeodesError(
            "None of the criteria can be checked, because the tracks have none of their variables: open level 2 with "
            "its flags (of Sentinel-3, with node='hz1'). Level 3 was edited by who made it."
        )
    bits = sum(
        (v.astype(np.uint32) << n for n, v in enumerate(failed.values())), start=xr.zeros_like(tracks.time, "u4")
    )
    bits = bits.drop_attrs().assign_attrs(
        long_name="criteria that a record fails",
        standard_name="status_flag",
        flag_masks=np.array([1 << n for n in range(len(failed))], np.uint32),
        flag_meanings=" ".join(failed),
    )
    result = tracks
    if invalid == "mask":
        measures = {k: v for k, v in tracks.data_vars.items() if v.dtype.kind == "f" and "time" in v.dims}
        result = tracks.assign({k: v.where(bits == 0).assign_attrs(v.attrs) for k, v in measures.items()})
    return result.assign({EDITING_FLAG: bits}).assign_attrs(
        editing="; ".join(failed), not_checked=absent, editing_invalid=invalid
    )


def _checked(limits: Mapping[str, Any] | None) -> dict[str, tuple[float, float] | None]:
    checked: dict[str, tuple[float, float] | None] = {}
    for name, limit in (limits or {}).items():
        arguments.choice("limits", name, tuple(LIMITS))
        if limit is None:
            checked[name] = None
            continue
        if not isinstance(limit, (tuple, list)) or len(limit) != 2 or not limit[0] <= limit[1]:
            raise GeodesError(f"The limits of {name} are a lowest and a highest value, not {limit!r}.")
        checked[name] = (float(limit[0]), float(limit[1]))
    return checked


def _measure(tracks: xr.Dataset, name: str) -> xr.DataArray | None:
    if name == "height":
        altitude, distance = quantities.find(tracks, "altitude"), quantities.find(tracks, "range")
        if altitude is None or distance is None:
            return None
        return quantities.metres(altitude) - quantities.metres(distance)
    values = quantities.find(tracks, name)
    if values is None:
        return None
    if values.dtype.kind in "iu" and "_FillValue" in values.attrs:
        values = values.where(values != values.attrs["_FillValue"])
    return quantities.metres(values) if name in _LENGTHS else values


def _bad(values: xr.DataArray, flag: Flag) -> list[int]:
    """Return the bad numbers of a flag: by its meanings, else all but 0; its fill value is bad."""
    meanings = str(values.attrs.get("flag_meanings", "")).lower().split()
    numbers = [int(n) for n in np.atleast_1d(values.attrs.get("flag_values", range(len(meanings))))]
    fill = [int(values.attrs["_FillValue"])] if "_FillValue" in values.attrs else []
    every = [n for n in range(-128, 256) if n not in fill]
    if len(numbers) != len(meanings) or not meanings:
        good = [n for n in every if n not in flag.bad_values] if flag.bad_values else [0]
    elif flag.bad:
        good = [n for n, m in zip(numbers, meanings, strict=True) if not m.startswith(flag.bad)]
    else:
        good = [n for n, m in zip(numbers, meanings, strict=True) if m.startswith(flag.good)]
    if not good:
        raise GeodesError(
            f"{values.name} has no class of open sea or good quality among {' '.join(meanings)[:200]}: give "
            "flags=False."
        )
    return [n for n in [*every, *fill] if n not in good]
