"""Which variable of a track is which quantity: the names of Sentinel-3, Jason, Sentinel-6, SARAL and CMEMS."""

from __future__ import annotations

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError

NAMES: dict[str, tuple[str, ...]] = {
    "altitude": ("alt", "altitude"),
    "range": ("range_ocean_ku", "range_water_ku", "range_ku", "range_ocean", "range_water", "range"),
    "dry_troposphere": (
        "mod_dry_tropo_cor_meas_altitude", "model_dry_tropo_cor_measurement_altitude", "model_dry_tropo_corr",
        "mod_dry_tropo_cor_zero_altitude", "model_dry_tropo_cor_zero_altitude",
    ),
    "wet_troposphere": ("rad_wet_tropo_cor_ku", "rad_wet_tropo_corr", "rad_wet_tropo_cor"),
    "wet_troposphere_model": (
        "mod_wet_tropo_cor_meas_altitude", "model_wet_tropo_cor_measurement_altitude", "model_wet_tropo_corr",
        "mod_wet_tropo_cor_zero_altitude", "model_wet_tropo_cor_zero_altitude",
    ),
    "ionosphere": (
        "iono_cor_alt_filtered_ku", "iono_cor_alt_ku", "iono_corr_alt_ku", "iono_cor_alt_filtered", "iono_cor_alt",
    ),
    "ionosphere_gim": ("iono_cor_gim_ku", "iono_corr_gim_ku", "iono_cor_gim", "iono_corr_gim"),
    "sea_state_bias": ("sea_state_bias_ku", "sea_state_bias"),
    "solid_earth_tide": ("solid_earth_tide",),
    "ocean_tide": ("ocean_tide_sol1", "ocean_tide_got"),
    "ocean_tide_fes": ("ocean_tide_sol2", "ocean_tide_fes"),
    "ocean_tide_long_period": ("ocean_tide_non_eq", "ocean_tide_non_equil"),
    "internal_tide": ("internal_tide_sol1", "internal_tide_hret", "internal_tide"),
    "pole_tide": ("pole_tide",),
    "inverse_barometer": ("inv_bar_cor", "inv_bar_corr"),
    "high_frequency": ("hf_fluct_cor", "hf_fluctuations_corr"),
    "dynamic_atmosphere": ("dac",),
    "mean_sea_surface": (
        "mean_sea_surf_sol1", "mean_sea_surface_sol1", "mean_sea_surface_cnescls", "mean_sea_surface",
    ),
    "wave_height": ("swh_ocean_ku", "swh_water_ku", "swh_ku", "swh_ocean", "swh_water", "VAVH", "swh"),
    "wave_height_instrument": ("mod_instr_cor_swh_ku", "net_instr_corr_swh_ku", "swh_cor_instr_net_ku"),
    "backscatter": ("sig0_ocean_ku", "sig0_water_ku", "sig0_ku", "sig0_ocean"),
    "backscatter_rms": ("sig0_ocean_rms_ku", "sig0_water_rms_ku", "sig0_rms_ku"),
    "backscatter_count": ("sig0_ocean_numval_ku", "sig0_water_numval_ku", "sig0_numval_ku"),
    "wind_speed": ("wind_speed_alt_ku", "wind_speed_alt", "WIND_SPEED"),
    "range_rms": ("range_ocean_rms_ku", "range_water_rms_ku", "range_rms_ku"),
    "range_count": ("range_ocean_numval_ku", "range_water_numval_ku", "range_numval_ku"),
    "off_nadir": ("off_nadir_angle_wf_ocean_ku", "off_nadir_angle_wf_ku"),
    "surface": ("surf_class", "surface_classification_flag", "surf_type", "surface_type"),
    "radiometer_surface": ("rad_surf_type", "rad_surface_type_flag"),
    "ice": ("open_sea_ice_flag_ku", "ice_flag"),
    "rain": ("rain_flag_ku", "rain_flag"),
    "range_quality": ("range_ocean_qual_ku", "range_water_qual_ku", "qual_alt_1hz_range_ku"),
    "wave_height_quality": ("swh_ocean_qual_ku", "swh_water_qual_ku", "qual_alt_1hz_swh_ku"),
    "backscatter_quality": ("sig0_ocean_qual_ku", "sig0_water_qual_ku", "qual_alt_1hz_sig0_ku"),
}  # fmt: skip
"""Names without the rate (``_01``), the first that is there is used."""
_STANDARD = {"wave_height": "sea_surface_wave_significant_height"}
_METRES = {"m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001, "km": 1000.0}


def find(tracks: xr.Dataset, quantity: str) -> xr.DataArray | None:
    """Return the variable along time that has a quantity, or None."""
    known = {str(k): v for k, v in tracks.data_vars.items() if v.dims == ("time",)}
    for name in NAMES[quantity]:
        if name in known:
            return known[name]
    standard = _STANDARD.get(quantity)
    return next((v for v in known.values() if standard and v.attrs.get("standard_name") == standard), None)


def needed(tracks: xr.Dataset, quantity: str, instead: str) -> xr.DataArray:
    """Return the variable that has a quantity.

    Raises
    ------
    GeodesError
        If there is none; the sentence ends with ``instead``.
    """
    values = find(tracks, quantity)
    if values is None:
        raise GeodesError(
            f"The tracks have no {quantity} (a variable along time named {' or '.join(NAMES[quantity])}): {instead}."
        )
    return values


def metres(values: xr.DataArray) -> xr.DataArray:
    """Return lengths in metres, as float64 (SI).

    Raises
    ------
    GeodesError
        If the units are not of a length.
    """
    units = str(values.attrs.get("units", ""))
    if units not in _METRES:
        raise GeodesError(f"{values.name} is in {units or 'no units'}, and must be in metres: set its attribute units.")
    return values.astype(np.float64) * _METRES[units]


def check(tracks: xr.Dataset) -> None:
    """Check that a Dataset is one of tracks.

    Raises
    ------
    GeodesError
        If it has no dimension time with longitudes and latitudes.
    """
    if not isinstance(tracks, xr.Dataset):
        raise GeodesError(f"tracks is a Dataset of gl.open_tracks, not {type(tracks).__name__}.")
    if any(c not in tracks.coords or tracks[c].dims != ("time",) for c in ("time", "longitude", "latitude")):
        raise GeodesError(
            "The tracks must have a dimension time, and longitude and latitude along it: open them with gl.open_tracks."
        )


def one(tracks: xr.Dataset, variable: str) -> xr.DataArray:
    """Return a variable of a Dataset of tracks, computed.

    Raises
    ------
    GeodesError
        If there is no such variable along time.
    """
    from geodes_lab.errors import nearest

    check(tracks)
    if variable not in tracks.data_vars or tracks[variable].dims != ("time",):
        known = [str(k) for k, v in tracks.data_vars.items() if v.dims == ("time",)]
        raise GeodesError(
            f"The tracks have no variable {variable!r} along time alone"
            f"{nearest(str(variable), known) or '; they have: ' + ', '.join(known) + '.'}"
        )
    values = tracks[variable].compute()
    if values.dtype.kind not in "iuf":
        raise GeodesError(f"{variable} has the type {values.dtype}, so it is no measure: choose another variable.")
    return values
