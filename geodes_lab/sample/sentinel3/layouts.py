"""The variables of Sentinel-3's altimeter products by type and file, with ESA's names and storage."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel3 import level2, products
from geodes_lab.sample.sentinel3.products import GATES, Floats, Product
from geodes_lab.sample.sentinel3.variable import EPOCH, SINCE, STACK, Variable, echoes, samples, utc

_GATE = 299_792_458.0 / 2 / 320e6  # metres per gate, for a bandwidth of 320 MHz
_GPS = datetime(1980, 1, 6, tzinfo=UTC)
_LEAP = 18.0  # GPS time minus UTC since 2017, in seconds
_PULSES = 64  # echoes of a burst in Ku band


def files(product: Product) -> dict[str, list[Variable]]:
    """Return the files of a product with their variables."""
    if product.kind == "SR_1_SRA_A":
        return {"measurement_l1a.nc": _bursts(product)}
    if product.kind == "SR_1_SRA_BS":
        return {"measurement_l1bs.nc": [*_level1(product, "l1bs"), *_stack(product)]}
    if product.kind == "SR_2_LAN":
        every = level2.variables(product)
        few = [v for v in every if v.dims == ("time_01",)]
        return {
            "enhanced_measurement.nc": every,
            "standard_measurement.nc": [v for v in every if len(v.dims) == 1 and "_plrm_" not in v.name],
            "reduced_measurement.nc": few,
        }
    return {"measurement.nc": _level1(product, "l1b")}


def signals(product: Product, looks: int) -> tuple[Floats, Floats]:
    """Return in-phase and quadrature of single echoes (records, looks, gates), in counts: noise as strong as the echo."""
    rng = np.random.default_rng([truth.SEED, product.crossing.toordinal(), looks])
    strength = 40 * np.sqrt(products.echo(product.seconds) / 60_000)[:, None, :]
    shape = (len(product.seconds), looks, GATES)
    real, imaginary = (np.rint(np.clip(strength * rng.normal(size=shape), -126, 126)) for _ in range(2))
    return real, imaginary


# Name without the mode, type, scale, offset, units, long name.
_LEVEL1: tuple[tuple[str, str, float, float, str, str], ...] = (
    ("time", "f8", 1, 0, SINCE, "utc"),
    ("UTC_day", "i2", 1, 0, "days since 2000-01-01 00:00:00.0", "day UTC"),
    ("UTC_sec", "f8", 1, 0, "s", "seconds in the day UTC"),
    ("GPS_time", "f8", 1, 0, "seconds since 1980-01-06 00:00:00.0", "gps time"),
    ("lat", "i4", 1e-6, 0, "degrees_north", "latitude"),
    ("lon", "i4", 1e-6, 0, "degrees_east", "longitude"),
    ("alt", "i4", 1e-4, 700_000, "m", "altitude of satellite"),
    ("orb_alt_rate", "i2", 0.01, 0, "m/s", "orbital altitude rate"),
    ("range_ku", "i4", 1e-4, 700_000, "m", "corrected range for ku band"),
    ("uso_cor", "i4", 1e-4, 0, "m", "uso frequency drift correction"),
    ("int_path_cor_ku", "i4", 1e-4, 0, "m", "internal path correction for ku band"),
    ("h0_applied", "u4", 1, 0, "3.125/64*10^-9 s", "applied altitude command H0"),
    ("agc_ku", "i4", 0.01, 0, "dB", "corrected AGC for ku band"),
    ("scale_factor_ku", "i4", 0.01, 0, "dB", "scaling factor for sigma0 evaluation for ku band"),
    ("nb_stack", "u2", 1, 0, "count", "number of waveforms summed in stack"),
    ("i2q2_meas_ku", "u4", 0.001, 0, "count", "multilooked I2+Q2 measurement for ku band"),
    ("surf_type", "i1", 1, 0, "", "altimeter surface type"),
    ("SAR_mode", "i1", 1, 0, "", "sar mode identifier"),
    ("oper_instr", "i1", 1, 0, "", "operating instrument"),
    ("acq_stat", "i1", 1, 0, "", "tracking configuration - acquisition status"),
    ("loss_track", "i1", 1, 0, "", "loss of track criterion"),
    ("flag_time_status", "i1", 1, 0, "", "time status flag"),
)
_MEANINGS = {
    "surf_type": "open_ocean_or_semi-enclosed_seas enclosed_seas_or_lakes continental_ice land",
    "SAR_mode": "closed_loop open_loop open_loop_fixed_gain",
    "oper_instr": "A B",
    "acq_stat": "no_acquisition acquisition",
    "loss_track": "normal loss_of_track",
    "flag_time_status": "synchronization no_synchronization",
}
_STANDARD = {"time": "time", "lat": "latitude", "lon": "longitude"}


def _level1(product: Product, level: str) -> list[Variable]:
    """Return the mode of SAR echoes in Ku band, the only mode over land."""
    mode, seconds = f"{level}_echo_sar_ku", product.seconds
    time, height = utc(product, seconds), products.altitude(seconds)
    (lon, lat), distance = products.track(seconds), height - products.surface_height(seconds)
    values: dict[str, Floats | float] = {
        "time": time,
        "UTC_day": time // 86400,
        "UTC_sec": time % 86400,
        "GPS_time": time + (EPOCH - _GPS).total_seconds() + _LEAP,
        "lat": lat,
        "lon": lon,
        "alt": height,
        "orb_alt_rate": np.gradient(height, seconds),
        "range_ku": distance,
        "h0_applied": distance / _GATE * 64,
        "agc_ku": 31.25,
        "scale_factor_ku": 71.5,
        "nb_stack": STACK,
        "i2q2_meas_ku": echoes(product),
        "surf_type": products.surface_type(seconds).astype(float),
        "SAR_mode": 1,
        "acq_stat": 1,
    }
    variables = [samples()]
    for name, kind, scale, offset, units, title in _LEVEL1:
        value = values.get(name, 0.0)
        data = np.broadcast_to(np.asarray(value, float), (len(seconds), *np.shape(value)[1:]))
        dims = (f"time_{mode}", "echo_sample_ind")[: data.ndim]
        about = f"{title} : {mode} mode"
        flags, standard = _MEANINGS.get(name, ""), _STANDARD.get(name, "")
        variables.append(
            Variable(f"{name}_{mode}", dims, kind, data, scale, offset, units, about, standard, flags, name != "time")
        )
    return variables


def _bursts(product: Product) -> list[Variable]:
    """Return level 1A: each burst of 64 pulses, and the common calibration of the receiver."""
    absent = {f"{n}_l1a_echo_sar_ku" for n in ("GPS_time", "nb_stack", "i2q2_meas_ku")}
    variables = [v for v in _level1(product, "l1a") if v.name not in absent]
    time, pulse, sample = "time_l1a_echo_sar_ku", "sar_ku_pulse_burst_ind", "echo_sample_ind"
    variables.append(Variable(pulse, (pulse,), "i1", np.arange(float(_PULSES)), units="count", fills=False))
    for letter, numbers in zip("iq", signals(product, _PULSES), strict=True):
        name, dims = f"{letter}_meas_ku_l1a_echo_sar_ku", (time, pulse, sample)
        variables.append(
            Variable(name, dims, "i1", numbers, units="count", title="ku band echoes : l1a_echo_sar_ku mode")
        )
    gain = 1 + 0.1 * np.cos(np.arange(GATES) / 20)
    title = "ku band calibration GPRW : l1a_echo_sar_ku mode"
    variables.append(Variable("gprw_meas_ku_l1a_echo_sar_ku", (sample,), "u4", gain, 1e-4, 0, "FFT power unit", title))
    records, clock = utc(product, product.seconds[::4]), "time_l1a_echo_plrm"
    title = "utc : l1a_echo_plrm mode"
    variables.append(Variable(clock, (clock,), "f8", records, 1, 0, SINCE, title, fills=False))
    name, title = "i2q2_meas_ku_l1a_echo_plrm", "i2+q2 measurement for ku band : l1a_echo_plrm mode"
    variables.append(Variable(name, (clock, sample), "u4", echoes(product)[::4], 1e-3, 0, "count", title))
    return variables


def _stack(product: Product) -> list[Variable]:
    """Return level 1B-S: the looks whose sum is a record."""
    time, look, sample = "time_l1bs_echo_sar_ku", "max_multi_stack_ind", "echo_sample_ind"
    variables = [Variable(look, (look,), "i2", np.arange(float(STACK)), units="count", fills=False)]
    for letter, numbers in zip("iq", signals(product, STACK), strict=True):
        name, title = f"{letter}_echoes_ku_l1bs_echo_sar_ku", "ku band echoes aligned within the stack"
        variables.append(Variable(name, (time, look, sample), "i1", numbers, units="count", title=title))
    angles = np.broadcast_to(np.linspace(-0.012, 0.012, STACK), (len(product.seconds), STACK))
    name, title = "beam_ang_stack_l1bs_echo_sar_ku", "look angles in stack"
    return [*variables, Variable(name, (time, look), "i2", angles, 1e-6, 0, "rad", title)]
