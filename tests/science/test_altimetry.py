"""Altimetry against independent computations: crossovers on the sphere, a dense solution, theory, real wave heights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import editing, engine, filters, positions
from tests.support.examples import examples

START = np.datetime64("2022-02-01T00:00:00", "ns")


def passes(count: int = 4, step: float = 1.0, seed: int = 0, records: int = 300) -> xr.Dataset:
    """Circular orbits over the equator, alternately going up and down, with a wave on them."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(count):
        up = number % 2 == 0
        seconds = np.arange(records) * step
        latitude = (-1 if up else 1) * (records * step / 2 - seconds) * 0.055
        longitude = -8 + 5 * (number // 2) + rng.uniform(0, 1) + (1 if up else -1) * 0.25 * latitude
        time = START + np.timedelta64(number * 3000, "s") + (seconds * 1e9).astype("timedelta64[ns]")
        parts.append(
            xr.Dataset(
                {"swh": ("time", rng.normal(2, 0.5, records), {"units": "m"})},
                {"time": time, "longitude": ("time", longitude), "latitude": ("time", latitude)},
            )
        )
    return xr.concat(parts, "time")


def unit(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def searched(one: xr.Dataset, other: xr.Dataset, gap: float, names: tuple[str, ...]) -> list[tuple[float, ...]]:
    """All pairs of pieces, by great circles on a sphere: (longitude, latitude, first, second, difference …)."""

    def pieces(tracks: xr.Dataset) -> np.ndarray:
        return np.flatnonzero(np.diff(positions.seconds(tracks.time.values)) <= gap)

    a, b = pieces(one), pieces(other)
    p = [unit(one.longitude.values[a + n], one.latitude.values[a + n]) for n in (0, 1)]
    q = [unit(other.longitude.values[b + n], other.latitude.values[b + n]) for n in (0, 1)]
    normal, across = np.cross(*p), np.cross(*q)
    found = []
    for i in range(len(a)):
        # Both ends of a piece are on different sides of the other's circle, and on the same half of the Earth.
        side = (q[0] @ normal[i]) * (q[1] @ normal[i]) < 0
        side &= (across @ p[0][i]) * (across @ p[1][i]) < 0
        side &= (q[0] @ p[0][i]) > 0.9
        for j in np.flatnonzero(side):
            place = np.cross(normal[i], across[j])
            place *= np.sign(place @ p[0][i]) / np.linalg.norm(place)
            t = np.arccos(np.clip(place @ p[0][i], -1, 1)) / np.arccos(p[0][i] @ p[1][i])
            u = np.arccos(np.clip(place @ q[0][j], -1, 1)) / np.arccos(q[0][j] @ q[1][j])
            ends = [
                [d[v].values.astype("datetime64[ns]").astype(float) / 1e9 if v == "time" else d[v].values for v in
                 ("time", *names)] for d in (one, other)
            ]  # fmt: skip
            first = [v[a[i]] + t * (v[a[i] + 1] - v[a[i]]) for v in ends[0]]
            second = [v[b[j]] + u * (v[b[j] + 1] - v[b[j]]) for v in ends[1]]
            found.append((np.degrees(np.arctan2(place[1], place[0])), np.degrees(np.arcsin(place[2])), *first, *second))
    return found


def compared(result: xr.Dataset, found: list[tuple[float, ...]], name: str) -> None:
    found = sorted(found, key=lambda row: (row[2], row[4]))
    table = result.to_dataframe().sort_values(["time_1", "time_2"])
    assert len(table) == len(found) > 0
    lon, lat, _, value, _, other = np.array(found).T
    far = Geod(ellps="sphere").inv(table.longitude.to_numpy(), table.latitude.to_numpy(), lon, lat)[2]
    assert far.max() < 30
    np.testing.assert_allclose(table[f"{name}_1"], value, atol=0.01)
    np.testing.assert_allclose(table[f"{name}_difference"], other - value, atol=0.02)


def test_crossovers_are_those_of_a_search_by_great_circles():
    tracks = passes(6, records=160)
    one, other = tracks.isel(time=slice(0, 480)), tracks.isel(time=slice(480, None))
    result = gl.altimetry.crossovers(one, other, "swh")
    compared(result, searched(one, other, 2.0, ("swh",)), "swh")
    # Tracks with themselves: those of both halves with each other, and within each.
    every = gl.altimetry.crossovers(tracks, variables="swh")
    parts = [gl.altimetry.crossovers(half, variables="swh") for half in (one, other)]
    assert every.sizes["crossover"] == result.sizes["crossover"] + sum(p.sizes["crossover"] for p in parts)
    assert (every.time_difference > 0).all()
    near = gl.altimetry.crossovers(tracks, variables="swh", within="50min")
    assert 0 < near.sizes["crossover"] < every.sizes["crossover"]
    assert (np.abs(near.time_difference) <= 3000).all()


@given(st.floats(-180, 180), st.floats(-1, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(25), deadline=None)
def test_crossovers_do_not_depend_on_where_longitudes_begin(shift, jitter, seed):
    tracks = passes(4, seed=seed, records=40, step=4)
    turned = tracks.assign_coords(longitude=(tracks.longitude + shift + 180) % 360 - 180)
    want = gl.altimetry.crossovers(tracks, variables="swh", most_gap=5)
    got = gl.altimetry.crossovers(turned, variables="swh", most_gap=5)
    assert got.sizes == want.sizes
    np.testing.assert_allclose(got.swh_difference, want.swh_difference, atol=1e-6)
    np.testing.assert_allclose((got.longitude - want.longitude - shift + 540) % 360 - 180, 0, atol=1e-8)


def field(longitude, latitude, seconds):
    return 2 + np.sin(np.radians(30 * longitude)) * np.cos(np.radians(20 * latitude)) + 0.2 * seconds / 86400


@pytest.fixture(scope="module")
def along() -> xr.Dataset:
    tracks = passes(8, records=200, seed=3)
    seconds = positions.seconds(tracks.time.values) - positions.seconds(START)
    return tracks.assign(swh=("time", field(tracks.longitude.values, tracks.latitude.values, seconds), {"units": "m"}))


def dense(tracks, result, length, duration, noise, sigma, covariance):
    """The whole system at once, with positions by pyproj: the map's values and errors."""
    to = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lat, lon = np.meshgrid(result.latitude, result.longitude, indexing="ij")
    known = np.stack(to.transform(tracks.longitude.values, tracks.latitude.values, np.zeros(tracks.sizes["time"])), 1)
    asked = np.stack(to.transform(lon.ravel(), lat.ravel(), np.zeros(lon.size)), 1)
    time = (tracks.time.values - START) / np.timedelta64(1, "s")
    when = np.full(len(asked), (result.time.values[0] - START) / np.timedelta64(1, "s"))

    def covariances(a, b, s, t):
        far = np.linalg.norm(a[:, None] - b[None], axis=2) / length
        r = np.hypot(far, (s[:, None] - t[None]) / duration)
        shapes = {
            "gaussian": np.exp(-(r**2)), "cauchy": 1 / (1 + r**2), "matern_12": np.exp(-r),
            "matern_32": (1 + 3**0.5 * r) * np.exp(-(3**0.5) * r),
            "matern_52": (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r),
        }  # fmt: skip
        return sigma**2 * shapes[covariance]

    among = covariances(known, known, time, time) + noise**2 * np.eye(len(known))
    across = covariances(asked, known, when, time)
    mean = tracks.swh.values.mean()
    values = mean + across @ np.linalg.solve(among, tracks.swh.values - mean)
    left = sigma**2 - np.einsum("ij,ji->i", across, np.linalg.solve(among, across.T))
    return values, np.sqrt(np.maximum(left, 0))


@pytest.mark.parametrize("covariance", engine.COVARIANCES)
def test_a_map_is_the_dense_solution(along, covariance):
    tracks = along.isel(time=slice(0, None, 12))
    options = {"length": 200e3, "duration": "6h", "noise": 0.1, "covariance": covariance, "sigma": 0.8}
    result = gl.altimetry.interpolated(
        tracks,
        "swh",
        (-2, -2, 2, 2),
        1.0,
        "2022-02-01T03:00",
        neighbours=tracks.sizes["time"],
        engine="numpy",
        **options,
    )
    want, error = dense(tracks, result, 200e3, 21600.0, 0.1, 0.8, covariance)
    np.testing.assert_allclose(result.swh.values.ravel(), want, atol=1e-7)
    np.testing.assert_allclose(result.swh_error.values.ravel(), error, atol=1e-6)


def test_a_map_recovers_a_field_and_says_where_it_knows_nothing(along):
    options = {"length": 400e3, "duration": "2D", "noise": 0.02}
    result = gl.altimetry.interpolated(along, "swh", (-8, -5, 8, 5), 1.0, ["2022-02-01T03:00"], **options)
    truth = field(result.longitude, result.latitude, 10800.0)
    good = result.swh_error < 0.1
    assert good.mean() > 0.5
    assert np.abs(result.swh - truth).where(good).max() < 0.15
    far = gl.altimetry.interpolated(along, "swh", (100, 40, 102, 42), 1.0, ["2022-02-01"], **options)
    np.testing.assert_allclose(far.swh, along.swh.mean(), atol=1e-6)
    np.testing.assert_allclose(far.swh_error, far.attrs["sigma"], atol=1e-6)


def test_pyinterp_gives_the_same_map(along):
    pytest.importorskip("pyinterp", reason="pyinterp has no package for this Python")
    options = {"length": 150e3, "duration": "12h", "noise": 0.1, "neighbours": 30}
    maps = [
        gl.altimetry.interpolated(along, "swh", (-6, -5, 6, 5), 0.5, "2022-02-01T03:00", engine=name, **options)
        for name in ("numpy", "pyinterp")
    ]
    assert [m.attrs["engine"] for m in maps] == ["numpy", "pyinterp"]
    # Where the last of the nearest is as far as the next, the two may choose another one.
    apart = np.abs(maps[0].swh - maps[1].swh)
    assert float(apart.quantile(0.99)) < 1e-6
    assert float(apart.max()) < 0.02


@given(st.integers(2, 40), st.floats(-179, 179), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(30), deadline=None)
def test_bins_are_those_of_numpy(columns, west, seed):
    rng = np.random.default_rng(seed)
    count, east = 300, west + 40 if west + 40 <= 180 else west + 40 - 360
    longitude = (west + rng.uniform(-5, 45, count) + 180) % 360 - 180
    latitude = rng.uniform(-12, 12, count)
    values = np.where(rng.random(count) < 0.1, np.nan, rng.normal(size=count))
    tracks = xr.Dataset(
        {"v": ("time", values)},
        {"time": START + np.arange(count) * np.timedelta64(1, "s"), "longitude": ("time", longitude),
         "latitude": ("time", latitude)},
    )  # fmt: skip
    box = (west, -10.0, east, 10.0)
    got = gl.altimetry.binned(tracks, "v", box, 40 / columns, statistics=["count", "mean", "std", "median"])
    edges = [np.linspace(-10, 10, got.sizes["latitude"] + 1), np.linspace(0, 40, columns + 1)]
    good = np.isfinite(values)
    places = [latitude[good], ((longitude - west) % 360)[good]]
    counts = np.histogram2d(*places, bins=edges)[0]
    sums = np.histogram2d(*places, bins=edges, weights=values[good])[0]
    np.testing.assert_array_equal(got.v_count, counts)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(got.v_mean, sums / counts, atol=1e-12)
    assert (got.v_std.fillna(0) >= 0).all()


def straight(count: int = 700, step: float = 7000.0) -> xr.Dataset:
    """One pass along the equator, at equal distances."""
    longitude = np.degrees(np.arange(count) * step / 6_378_137.0)
    time = START + np.arange(count) * np.timedelta64(1, "s")
    return xr.Dataset(coords={"time": time, "longitude": ("time", longitude), "latitude": ("time", 0 * longitude)})


@pytest.mark.parametrize("wavelength", [40e3, 100e3, 150e3, 200e3, 400e3, 1500e3])
def test_lanczos_leaves_what_theory_says(wavelength):
    track, cutoff = straight(), 200e3
    wave = np.cos(2 * np.pi * np.arange(700) * 7000.0 / wavelength)
    result = gl.altimetry.smoothed(track.assign(v=("time", wave)), "v", cutoff)
    inner = slice(100, 600)
    gain = (result.values * wave)[inner].sum() / (wave**2)[inner].sum()
    assert gain == pytest.approx(float(filters.response(wavelength, cutoff, 7000.0)), abs=2e-3)
    # The continuous filter, integrated: sinc times its window, whose spectrum is a smoothed step with 0.5 at the cutoff.
    x = np.linspace(-cutoff, cutoff, 200_001)
    kernel = np.sinc(2 * x / cutoff) * np.sinc(x / cutoff)
    theory = (kernel * np.cos(2 * np.pi * x / wavelength)).sum() / kernel.sum()
    assert gain == pytest.approx(theory, abs=0.03)
    if wavelength == cutoff:
        assert gain == pytest.approx(0.5, abs=0.04)


def test_filters_keep_what_they_should_and_bridge_no_gap():
    rng = np.random.default_rng(1)
    track = straight().isel(time=np.r_[0:300, 340:700])
    place = track.longitude.values
    v = 3 + 0.1 * place + 0.02 * place**2
    hole = v.copy()
    hole[rng.random(len(v)) < 0.2] = np.nan
    hole[300:] += 50  # another level after the gap, of which nothing may come over
    data = track.assign(v=("time", hole), line=("time", 3 + 0.1 * place))
    loess = gl.altimetry.smoothed(data, "v", 60e3, method="loess", least=0.3)
    inside = np.isfinite(loess.values)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(loess.values[inside], (v + 50 * (np.arange(len(v)) >= 300))[inside], atol=1e-6)
    line = gl.altimetry.smoothed(data, "line", 100e3)
    np.testing.assert_allclose(line.values[30:270], data.line.values[30:270], atol=1e-9)
    assert np.isnan(gl.altimetry.smoothed(data, "v", 300e3, least=0.95).values[[0, 299, 300]]).all()
    # Records in any order, of two satellites: the same.
    two = xr.concat([data.assign_coords(platform=("time", np.full(660, p))) for p in "AB"], "time")
    mixed = two.isel(time=rng.permutation(1320))
    got = gl.altimetry.smoothed(mixed, "v", 60e3, method="loess", least=0.3)
    both = got.to_dataframe().reset_index().sort_values(["platform", "time"])["v"].to_numpy()
    np.testing.assert_allclose(both, np.concatenate([loess.values, loess.values]), rtol=1e-12)


def test_comparison_with_a_grid_and_with_a_buoy(along):
    grid = xr.Dataset(
        coords={
            "time": START + np.arange(0, 30, 3) * np.timedelta64(1, "h"), "latitude": np.arange(10.13, -11, -0.5),
            "longitude": np.arange(0.07, 360, 0.5),
        }
    )  # fmt: skip
    seconds = (grid.time - START) / np.timedelta64(1, "s")
    grid["hs"] = field((grid.longitude + 180) % 360 - 180, grid.latitude, seconds).assign_attrs(units="m")
    pairs = gl.altimetry.collocated(along, "swh", grid, "hs", distance=50e3, within="90min")
    want = grid.hs.sel(
        longitude=pairs.longitude % 360, latitude=pairs.latitude, time=pairs.time, method="nearest"
    )  # fmt: skip
    assert pairs.sizes == along.sizes
    np.testing.assert_allclose(pairs.other, want)
    good = gl.altimetry.agreement(pairs, "swh")
    assert good["rmse"] < 0.12
    assert abs(good["bias"]) < 0.02
    assert good["correlation"] > 0.98

    hours = START + np.arange(0, 1440, 20) * np.timedelta64(1, "m")
    lon, lat = along.longitude.values[500] + 0.3, along.latitude.values[500]
    buoy = xr.Dataset({"hs": ("time", np.arange(72.0))}, {"time": hours, "lon": lon, "lat": lat})
    beside = gl.altimetry.collocated(along, "swh", buoy, "hs", distance=200e3, within="5min")
    far = Geod(ellps="WGS84").inv(along.longitude.values, along.latitude.values, *np.full((2, 1600), [[lon], [lat]]))[2]
    late = np.abs(along.time.values[:, None] - hours[None]).astype("timedelta64[ms]").astype(float) / 1e3
    there = (far <= 200e3) & (late.min(axis=1) <= 300)
    assert 0 < there.sum() < (far <= 200e3).sum()
    np.testing.assert_array_equal(beside.time, along.time[there])
    np.testing.assert_array_equal(beside.other, late.argmin(axis=1)[there])
    np.testing.assert_allclose(beside.distance, far[there])
    with pytest.raises(GeodesError, match="No record of the tracks"):
        gl.altimetry.collocated(along, "swh", buoy, "hs", distance=1, within="1s")


def level2() -> xr.Dataset:
    """Five records of Sentinel-3's marine level 2 at 1 Hz, with known parts."""
    track = straight(5)
    parts = {
        "alt": 814_000.0, "range_ocean_ku": 813_960.0, "mod_dry_tropo_cor_meas_altitude": -2.3,
        "rad_wet_tropo_cor_ku": -0.2, "iono_cor_alt_ku": -0.05, "sea_state_bias_ku": -0.1, "solid_earth_tide": 0.1,
        "ocean_tide_sol1": 0.4, "pole_tide": 0.01, "inv_bar_cor": -0.03, "hf_fluct_cor": 0.02,
        "mean_sea_surf_sol1": 41.0, "swh_ocean_ku": 2.5, "mod_instr_cor_swh_ku": 0.1, "sig0_ocean_ku": 11.0,
    }  # fmt: skip
    data = track.assign({k: ("time", np.full(5, v), {"units": "m"}) for k, v in parts.items()})
    data["surf_class"] = (
        "time",
        np.array([0, 1, 0, 0, 0], np.int8),
        {"flag_values": np.arange(3), "flag_meanings": "open_ocean land continental_water", "_FillValue": 127},
    )
    data["range_ocean_qual_ku"] = (
        "time",
        np.array([0, 0, 1, 0, 127], np.int8),
        {"flag_values": np.array([0, 1]), "flag_meanings": "good bad", "_FillValue": 127},
    )
    data["rain_flag_ku"] = ("time", np.array([0, 0, 0, 2, 5], np.int8))
    return data


def test_sea_level_names_each_correction():
    tracks = level2()
    sla = gl.sea_level_anomaly(tracks)
    want = 40.0 + 2.3 + 0.2 + 0.05 + 0.1 - 0.1 - 0.4 - 0.01 + 0.03 - 0.02 - 41.0
    np.testing.assert_allclose(sla, want, atol=1e-9)
    assert "ionosphere: iono_cor_alt_ku" in sla.attrs["corrections"]
    assert sla.attrs["not_applied"] == []
    few = gl.sea_level_anomaly(tracks.chunk(time=2), ["dry_troposphere", "sea_state_bias"], reference="ellipsoid")
    assert few.chunks is not None
    np.testing.assert_allclose(few, 42.4)
    assert "ocean_tide" in few.attrs["not_applied"]
    with pytest.raises(GeodesError, match=r"no ionosphere_gim .*iono_cor_gim_ku"):
        gl.sea_level_anomaly(tracks, ["ionosphere_gim"])
    with pytest.raises(GeodesError, match="one effect"):
        gl.sea_level_anomaly(tracks, ["ionosphere", "ionosphere_gim"])
    with pytest.raises(GeodesError, match="pole_tide is in degrees"):
        gl.sea_level_anomaly(tracks.assign(pole_tide=tracks.pole_tide.assign_attrs(units="degrees")))
    millimetres = tracks.assign(ocean_tide_sol1=(tracks.ocean_tide_sol1 * 1000).assign_attrs(units="mm"))
    np.testing.assert_allclose(gl.sea_level_anomaly(millimetres), want, atol=1e-9)

    height = gl.altimetry.wave_height(tracks)
    np.testing.assert_allclose(height, 2.5)
    np.testing.assert_allclose(gl.altimetry.wave_height(tracks, [], calibration=(2, -1)), 3.8)


def test_editing_flags_each_criterion_and_says_what_it_did_not_check():
    tracks = level2()
    tracks["swh_ocean_ku"] = tracks.swh_ocean_ku.where([True, True, True, True, True]).copy()
    tracks["swh_ocean_ku"][4] = np.nan
    flagged = gl.altimetry.edited(tracks, invalid="flag")
    flag = flagged[editing.EDITING_FLAG]
    names = np.array(flag.attrs["flag_meanings"].split())
    failed = [set(names[(flag.values[n] & flag.attrs["flag_masks"]) > 0]) for n in range(5)]
    assert failed[0] == set()
    assert failed[1] == {"surface_flag"}
    assert failed[2] == {"range_quality_flag"}
    assert failed[3] == {"rain_flag"}
    assert failed[4] == {"range_quality_flag", "wave_height"}  # no value is not good, and 5 says that rain is not known
    assert {"wind_speed", "ice", "range_rms"} <= set(flagged.attrs["not_checked"])
    assert int(flagged.swh_ocean_ku.isnull().sum()) == 1
    masked = gl.altimetry.edited(tracks.chunk(time=2), {"wave_height": (0, 2), "sea_state_bias": None})
    assert bool(masked.alt.isnull().all())
    kept = gl.altimetry.edited(tracks, flags=False).alt
    assert int(kept.notnull().sum()) == 4
    with pytest.raises(GeodesError, match="limits is"):
        gl.altimetry.edited(tracks, {"waves": (0, 1)})
    with pytest.raises(GeodesError, match="Level 3 was edited"):
        gl.altimetry.edited(straight(5).assign(VAVH_x=("time", np.ones(5))))


@pytest.fixture(scope="module")
def day(shared: Path) -> xr.Dataset:
    files = sorted((shared / "s3-along-track").glob("s3?/*.nc"))
    if not files:
        pytest.skip("no real tracks beside the project")
    return gl.open_tracks(files, variables=["VAVH", "VAVH_UNFILTERED"]).compute()


def test_real_crossovers_of_two_satellites(day):
    box = (-40, 20, 0, 60)
    a, b = (day.isel(time=(day.platform == f"Sentinel-3{s}").values) for s in "AB")
    near = [
        t.isel(
            time=(
                (t.longitude > box[0]) & (t.longitude < box[2]) & (t.latitude > box[1]) & (t.latitude < box[3])
            ).values
        )
        for t in (a, b)
    ]
    result = gl.altimetry.crossovers(*near, "VAVH", most_gap=3.0)
    found = searched(*near, 3.0, ("VAVH",))
    compared(result, found, "VAVH")
    every = gl.altimetry.crossovers(a, b, "VAVH")
    assert every.sizes["crossover"] > 50
    assert np.abs(every.VAVH_difference).median() < 0.5  # of 4 m, in the middle of half a day apart


def test_real_map_is_the_dense_solution(day):
    box = (-40, 30, -20, 45)
    near = day.isel(
        time=((day.longitude > -45) & (day.longitude < -15) & (day.latitude > 26) & (day.latitude < 49)).values
    )
    near = near.isel(time=slice(0, None, 5)).dropna("time")
    options = {"length": 400e3, "duration": "12h", "noise": 0.2, "engine": "numpy"}
    when, count = np.datetime64("2022-02-01T12:00"), near.sizes["time"]
    full = gl.altimetry.interpolated(near, "VAVH", box, 2.5, when, neighbours=count, **options)
    assert 100 < count <= 500
    want, error = dense(near.assign(swh=near.VAVH), full, 400e3, 43200.0, 0.2, full.attrs["sigma"], "gaussian")
    np.testing.assert_allclose(full.VAVH.values.ravel(), want, atol=1e-6)
    np.testing.assert_allclose(full.VAVH_error.values.ravel(), error, atol=1e-6)
    few = gl.altimetry.interpolated(near, "VAVH", box, 2.5, when, neighbours=40, **options)
    apart = np.abs(few.VAVH - full.VAVH)
    assert float(apart.max()) < 2 * float(full.VAVH_error.max())


def test_real_filter_is_near_that_of_the_producer(day):
    one = day.isel(time=(day.platform == "Sentinel-3A").values)
    ours = gl.altimetry.smoothed(one, "VAVH_UNFILTERED", 100e3, least=0.5)
    rough = float((one.VAVH_UNFILTERED - one.VAVH).std())
    assert float((ours - one.VAVH).std()) < 0.7 * rough


def test_wrong_arguments_are_told_in_a_sentence(along):
    for call, said in (
        (lambda: gl.altimetry.binned(along, "swhh", (0, 0, 1, 1), 0.1), "did you mean 'swh'"),
        (lambda: gl.altimetry.binned(along, "swh", (0, 0, 1, 1), 1e-7), "cells"),
        (lambda: gl.altimetry.binned(along, "swh", (0, 0, 1, 1), 0.5, every="often"), "every is a period"),
        (lambda: gl.altimetry.smoothed(along, "swh", -3), "cutoff is a length"),
        (lambda: gl.altimetry.smoothed(along, "swh", 1e12), "window of the filter"),
        (lambda: gl.altimetry.crossovers(along, within="soon"), "within is a time"),
        (lambda: gl.altimetry.crossovers(along.drop_vars("latitude")), "open them with gl.open_tracks"),
        (lambda: gl.altimetry.interpolated(along, "swh", (0, 0, 1, 1), 0.5, START, length=1, duration="1h", noise=0),
         "noise is a number, more than 0"),
        (lambda: gl.altimetry.interpolated(along * np.nan, "swh", (0, 0, 1, 1), 0.5, START, length=1, duration="1h",
                                           noise=1), "has no data along these tracks"),
    ):  # fmt: skip
        with pytest.raises(GeodesError, match=said):
            call()


def test_processes_give_a_map_and_a_table(tmp_path):
    from geodes_lab.sample import waves

    passes = [w for w in waves.products() if not w.is_buoy][:12]
    for one in passes:
        one.write(tmp_path / f"{one.name}.nc")
    items = [products.as_item(str(tmp_path / f"{one.name}.nc")) for one in passes]
    box = [-20.0, 40.0, -2.0, 52.0]
    result = gl.processes()["track-map"](items, "VAVH", box=box, cell=1.0)
    assert result.odc.geobox.crs.to_epsg() == 4326
    assert result.VAVH_mean.dims == ("y", "x")
    tracks = gl.open_tracks(items, bbox=box)
    assert int(result.VAVH_count.sum()) == tracks.sizes["time"]
    row = tracks.isel(time=500).compute()
    cell = result.sel(x=row.longitude, y=row.latitude, method="nearest")
    there = tracks.isel(time=((abs(tracks.longitude - cell.x) < 0.5) & (abs(tracks.latitude - cell.y) < 0.5)).values)
    assert float(cell.VAVH_mean) == pytest.approx(float(there.VAVH.mean()))
    near = {"cell": 2.0, "length": 200.0, "duration": 6.0, "neighbours": 20}
    drawn = gl.processes()["optimal-map"](items, "VAVH", "2022-02-16T12:00", 0.2, box=box, smooth=80.0, **near)
    plain = gl.altimetry.interpolated(
        tracks.assign(VAVH=gl.altimetry.smoothed(tracks, "VAVH", 80e3)), "VAVH", box, 2.0, "2022-02-16T12:00",
        length=200e3, duration="6h", noise=0.2, neighbours=20,
    )  # fmt: skip
    np.testing.assert_allclose(drawn.VAVH.values[::-1], plain.VAVH.values[0], rtol=1e-6)
    buoy = next(w for w in waves.products() if w.is_buoy)
    buoy.write(tmp_path / "buoy.nc")
    height = next(
        str(v) for v in gl.open_tracks([tmp_path / "buoy.nc"]) if str(v).startswith("VHM0") or "VAVH" in str(v)
    )
    beside = gl.processes()["collocation"](
        items, "VAVH", str(tmp_path / "buoy.nc"), height, distance=200.0, within=60.0
    )
    pairs = gl.altimetry.collocated(
        gl.open_tracks(items), "VAVH", gl.open_tracks([tmp_path / "buoy.nc"]), height, distance=200e3, within="60min"
    )
    np.testing.assert_array_equal(beside.difference, pairs.difference)
    with pytest.raises(GeodesError, match="give box="):
        gl.processes()["track-map"](items, "VAVH")
    table = gl.processes()["crossovers"](items, ["VAVH"], box=box)
    assert {"longitude", "latitude", "VAVH_difference"} <= set(table.columns)
    seconds = (table.time_1 - pd.Timestamp(waves.BEGIN.replace(tzinfo=None))).dt.total_seconds()
    want = waves.wave_height(table.longitude, table.latitude, seconds)
    assert float(np.abs(table.VAVH_1 - want).max()) < 5 * waves.NOISE


def test_processes_of_level_2_edit_and_correct(tmp_path):
    """The heights of the map are those of the plain functions."""
    data = level2().drop_vars(["platform", "product"], errors="ignore")
    for name in ("longitude", "latitude"):
        data[name].attrs["standard_name"] = name
    data.to_netcdf(tmp_path / "level2.nc")
    items = [products.as_item(str(tmp_path / "level2.nc"))]
    tracks = gl.altimetry.edited(gl.open_tracks(items)).compute()
    dry = ["dry_troposphere"]
    sla = gl.sea_level_anomaly(tracks, dry)
    lon, lat = float(tracks.longitude[0]), float(tracks.latitude[0])
    box = [lon - 2, lat - 2, lon + 2, lat + 2]
    how = {"box": box, "cell": 1.0, "edit": True}
    result = gl.processes()["track-map"](items, "sea_level_anomaly", corrections=dry, **how)
    want = gl.altimetry.binned(tracks.assign(sea_level_anomaly=sla), "sea_level_anomaly", box, 1.0)
    np.testing.assert_allclose(result.sea_level_anomaly_mean.values[::-1], want.sea_level_anomaly_mean)
    assert 0 < int(result.sea_level_anomaly_count.sum()) == int(np.isfinite(sla).sum()) < 5
    waves = gl.processes()["track-map"](items, "wave_height", **how)
    assert float(waves.wave_height_mean.max()) == pytest.approx(float(gl.altimetry.wave_height(tracks).max()))
    with pytest.raises(GeodesError, match="corrections= is for the variable sea_level_anomaly"):
        gl.processes()["track-map"](items, "alt", corrections=dry, **how)
