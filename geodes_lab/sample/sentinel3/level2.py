"""The variables of SR_2_LAN, Sentinel-3's heights over land, with ESA's names and storage."""

from __future__ import annotations

import numpy as np

from geodes_lab.sample.sentinel3 import products
from geodes_lab.sample.sentinel3.products import GATES, REFERENCE, Floats, Product
from geodes_lab.sample.sentinel3.variable import SINCE, Variable, echoes, samples, utc

MISSED = 3  # first records, which no retracker could use
_TYPES = "ocean_or_semi_enclosed_sea enclosed_sea_or_lake continental_ice land"


def variables(product: Product) -> list[Variable]:
    """Return heights: 20 Hz in Ku band, in C band (which starts later and has fewer records), and 1 Hz."""
    ku = product.seconds
    c, one = ku[1:-1] + 0.012, ku[10::20]
    result = [samples(), *_places(product, ku, "20_ku"), *_places(product, c, "20_c"), *_places(product, one, "01")]
    for end, seconds, clock in (("20_ku", ku, "20_ku"), ("20_c", c, "20_c"), ("20_plrm_ku", c, "20_c")):
        dims, cut, places = (f"time_{clock}",), (20,), f"lon_{clock} lat_{clock}"
        lake = products.surface_type(seconds) == 1
        height = products.surface_height(seconds)
        retracked = np.where(np.arange(len(seconds)) < MISSED, np.nan, products.altitude(seconds) - height)
        ranges = "range_ice" if "plrm" in end else "range_ocog"
        rows: list[tuple[str, str, Floats, float, float, str]] = [
            (f"{ranges}_{end}", "i4", retracked, 1e-4, 700_000, "m"),
            (f"agc_{end}", "i2", np.full(len(seconds), 31.25), 0.01, 0, "dB"),
        ]
        if "plrm" not in end:
            rows.append((f"sig0_ocog_{end}", "i2", np.where(lake, 25.0, 12.0), 0.01, 0, "dB"))
            flag = products.surface_type(seconds).astype(float)
            name, about = f"surf_type_{end}", "surface type"
            result.append(Variable(name, dims, "i1", flag, title=about, meanings=_TYPES, places=places, chunks=cut))
        for name, kind, values, scale, offset, units in rows:
            title, standard = f"{name} of the sample", ""
            if name.startswith("sig0"):
                standard = "surface_backwards_scattering_coefficient_of_radar_wave"
            result.append(
                Variable(name, dims, kind, values, scale, offset, units, title, standard, "", True, places, cut)
            )
        wave = f"waveform_{end}"
        power = np.where(np.arange(GATES) < REFERENCE, 20.0, 1000.0) * np.ones((len(seconds), 1))
        power = echoes(product) if end == "20_ku" else power
        result.append(Variable(wave, (*dims, "echo_sample_ind"), "u4", power, 1e-3, 0, "count", "waveform samples"))
    counts = np.full(len(one), 20.0)
    height = np.where(np.arange(len(ku)) < MISSED, np.nan, products.surface_height(ku))
    title = "corrected altimeter elevation from OCOG/ICE-1 retracker"
    return [
        *result,
        Variable("elevation_ocog_20_ku", ("time_20_ku",), "i4", height, 1e-4, 0, "m", title, chunks=(20,)),
        Variable("num_20hz_meas_01_ku", ("time_01",), "i2", counts, units="count", title="number of 20Hz measurements"),
        Variable("sig0_water_01_ku", ("time_01",), "i2", counts - 8, 0.01, 0, "dB", "corrected backscatter, Ku"),
        Variable("sig0_water_01_c", ("time_01",), "i2", counts - 5, 0.01, 0, "dB", "corrected backscatter, C"),
        Variable("solid_earth_tide_01", ("time_01",), "i2", counts / 1000, 1e-4, 0, "m", "solid earth tide height"),
    ]


def _places(product: Product, seconds: Floats, end: str) -> list[Variable]:
    (lon, lat), dims = products.track(seconds), (f"time_{end}",)
    rows: list[tuple[str, str, Floats, float, float, str, str]] = [
        ("time", "f8", utc(product, seconds), 1, 0, SINCE, "time"),
        ("lat", "i4", lat, 1e-6, 0, "degrees_north", "latitude"),
        ("lon", "i4", lon % 360, 1e-6, 0, "degrees_east", "longitude"),
    ]
    if end != "01":
        standard = "height_above_reference_ellipsoid"
        rows.append(("alt", "i4", products.altitude(seconds), 1e-4, 700_000, "m", standard))
    cut = None if end == "01" else (20,)
    return [
        Variable(f"{n}_{end}", dims, kind, values, scale, offset, units, f"{n} of the sample", standard,
                 "", n == "alt", "" if n != "alt" else f"lon_{end} lat_{end}", cut)
        for n, kind, values, scale, offset, units, standard in rows
    ]  # fmt: skip
