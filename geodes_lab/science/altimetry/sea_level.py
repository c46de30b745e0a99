"""The anomaly of the sea level from level 2: the altitude less the range and corrections, each of them named."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal, get_args

import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import quantities

Correction = Literal[
    "dry_troposphere", "wet_troposphere", "wet_troposphere_model", "ionosphere", "ionosphere_gim", "sea_state_bias",
    "solid_earth_tide", "ocean_tide", "ocean_tide_fes", "ocean_tide_long_period", "internal_tide", "pole_tide",
    "inverse_barometer", "high_frequency", "dynamic_atmosphere",
]  # fmt: skip
CORRECTIONS: tuple[str, ...] = get_args(Correction)
STANDARD: tuple[Correction, ...] = (
    "dry_troposphere", "wet_troposphere", "ionosphere", "sea_state_bias", "solid_earth_tide", "ocean_tide", "pole_tide",
    "inverse_barometer", "high_frequency",
)  # fmt: skip
"""Those that the handbooks' formula has."""
# Different estimates of one effect: only one of each may be applied.
_SAME = (
    {"wet_troposphere", "wet_troposphere_model"},
    {"ionosphere", "ionosphere_gim"},
    {"ocean_tide", "ocean_tide_fes"},
    {"dynamic_atmosphere", "inverse_barometer"},
    {"dynamic_atmosphere", "high_frequency"},
)
_INSTEAD = (
    "open it with variables= (of Sentinel-3, with node='hz1'), or leave it out of corrections=, which changes the "
    "result"
)


def sea_level_anomaly(
    tracks: xr.Dataset,
    corrections: Sequence[Correction] = STANDARD,
    *,
    reference: Literal["mean_sea_surface", "ellipsoid"] = "mean_sea_surface",
) -> xr.DataArray:
    """Compute the anomaly of the sea level along tracks of level 2.

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`: Sentinel-3 (``node="hz1"``), Jason, SARAL or Sentinel-6, with altitude,
        range, the corrections, and a mean sea surface. Edit it before: `geodes_lab.altimetry.edited`.
    corrections
        What is subtracted. The range's: ``"dry_troposphere"``, ``"wet_troposphere"`` (of the radiometer) or
        ``"wet_troposphere_model"``, ``"ionosphere"`` (of both bands, filtered if the product has it) or
        ``"ionosphere_gim"``, ``"sea_state_bias"``. The sea's: ``"solid_earth_tide"``, ``"ocean_tide"`` (first solution,
        with load tide) or ``"ocean_tide_fes"`` (second), ``"ocean_tide_long_period"``, ``"internal_tide"``,
        ``"pole_tide"``, ``"inverse_barometer"`` and ``"high_frequency"``, or, where a product has their sum,
        ``"dynamic_atmosphere"``. The order is of no importance.
    reference
        ``"mean_sea_surface"``: the anomaly. ``"ellipsoid"``: the height above the product's ellipsoid.

    Returns
    -------
    xarray.DataArray
        ``sea_level_anomaly`` or ``sea_surface_height`` (time) in metres, float64, lazy as the tracks are; NaN where any
        part is missing. ``attrs["corrections"]`` has each correction with the variable that it is from,
        ``attrs["not_applied"]`` those of the standard set that were left out.

    Raises
    ------
    GeodesError
        If the tracks do not have a part, corrections are of one effect, or numbers are not lengths.

    Notes
    -----
    Height = altitude − range − corrections (of range) − corrections (of the sea) − mean sea surface; a correction of
    the range is added to it, and is negative where the air delays the echo.

    References
    ----------
    CNES, EUMETSAT, NOAA and JPL: Jason-3 Products Handbook (SALP-MU-M-OP-16118-CN), "Sea level anomalies".
    EUMETSAT: Sentinel-3 SRAL Marine User Handbook (EUM/OPS-SEN3/MAN/17/920901), section 4.2.1.
    Chelton, D. B., et al. (2001): Satellite altimetry. In: Satellite Altimetry and Earth Sciences, Academic Press.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> tracks = gl.open_tracks(items, node="hz1")                                               # doctest: +SKIP
    >>> sla = gl.sea_level_anomaly(gl.altimetry.edited(tracks))                                  # doctest: +SKIP
    """
    quantities.check(tracks)
    wanted = tuple(dict.fromkeys(arguments.names("corrections", corrections)))
    for name in wanted:
        arguments.choice("corrections", name, CORRECTIONS)
    arguments.choice("reference", reference, ("mean_sea_surface", "ellipsoid"))
    for same in _SAME:
        if same <= set(wanted):
            first, second = sorted(same)
            raise GeodesError(f"{first} and {second} are of one effect: leave out one of them in corrections=.")
    base = "open it with variables= (of Sentinel-3, with node='hz1'); only level 2 has it"
    height = quantities.metres(quantities.needed(tracks, "altitude", base))
    height = height - quantities.metres(quantities.needed(tracks, "range", base))
    applied = {name: quantities.needed(tracks, name, _INSTEAD) for name in wanted}
    for values in applied.values():
        height = height - quantities.metres(values)
    name, about = "sea_surface_height", "sea surface height above the ellipsoid"
    sources = {n: str(v.name) for n, v in applied.items()}
    if reference == "mean_sea_surface":
        surface = quantities.needed(
            tracks, "mean_sea_surface", "open it with variables=, or give reference='ellipsoid'"
        )
        height = height - quantities.metres(surface)
        name, about = "sea_level_anomaly", "sea level anomaly above the mean sea surface"
        sources["reference"] = str(surface.name)
    standard = {"sea_level_anomaly": "sea_surface_height_above_sea_level"}.get(
        name, "sea_surface_height_above_reference_ellipsoid"
    )
    attrs = {
        "long_name": about,
        "standard_name": standard,
        "units": "m",
        "corrections": [f"{n}: {v}" for n, v in sources.items() if n != "reference"],
        "not_applied": [n for n in STANDARD if n not in _covered(wanted)],
        "reference": sources.get("reference", "ellipsoid"),
        "software": f"geodes_lab {version('geodes-lab')}",
    }
    return height.rename(name).drop_attrs().assign_attrs(attrs)


def _covered(wanted: Sequence[str]) -> set[str]:
    """Return the corrections whose effect is applied, by them or by others."""
    covered = set(wanted)
    for same in _SAME:
        if same & set(wanted):
            covered |= same if "dynamic_atmosphere" not in same or "dynamic_atmosphere" in wanted else set()
    return covered
