"""Speckle filters, looks and series: held against plain loops, and gamma-distributed speckle of a known truth."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from shapely.geometry import box

import geodes_lab as gl
from geodes_lab.processing.registry import processes
from geodes_lab.sample.sentinel1 import grd as generator
from geodes_lab.science.radar.despeckle import lee

LOOKS = 4.4


def speckled(rng, truth, looks=LOOKS):
    return (truth * rng.gamma(looks, 1 / looks, truth.shape)).astype(np.float32)


def cube(values, **chunks) -> xr.Dataset:
    dims = ("time", "y", "x")
    data = xr.DataArray(values, dims=dims, attrs={"units": "1", "long_name": "gamma nought"})
    made = xr.Dataset(
        {"gamma0_vv": data, "layover_shadow_mask": data.isnull().astype(np.uint8)}, attrs={"history": "made"}
    )
    return made.chunk(chunks) if chunks else made


@pytest.fixture
def series(rng) -> np.ndarray:
    truth = np.full((6, 60, 70), 0.1)
    truth[:, 20:40, 20:50] = 0.4
    truth[3:, 40:, :20] = 0.3  # a change
    values = speckled(rng, truth)
    values[2, 5:9, 3:12] = np.nan
    values[:, 50:, 60:] = np.nan
    return values


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def around(image, row, col, side):
    reach = side // 2
    window = image[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1].astype(float)
    return window[~np.isnan(window)]


def test_quegan_and_yus_filter_is_their_formula(series):
    found = gl.despeckle(cube(series, time=2, y=17, x=23), window=5).gamma0_vv
    assert dask.is_dask_collection(found)
    assert "Quegan and Yu 2001" in found.attrs["speckle"]
    values = found.compute(scheduler="sync").values
    for row, col in ((0, 0), (7, 7), (30, 30), (41, 19), (59, 59), (33, 20)):
        means = [around(image, row, col, 5).mean() for image in series]
        common = np.nanmean([image[row, col] / mean for image, mean in zip(series, means, strict=True)])
        want = np.where(np.isnan(series[:, row, col]), np.nan, np.array(means) * common)
        np.testing.assert_allclose(values[:, row, col], want, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(series))


def test_lees_filter_is_his_formula(series):
    found = gl.despeckle(cube(series, time=1, y=17, x=23), "lee", window=7, looks=LOOKS).gamma0_vv
    values = found.compute(scheduler="sync").values
    for row, col in ((0, 0), (7, 7), (30, 30), (41, 19), (33, 20)):
        window, pixel = around(series[0], row, col, 7), float(series[0, row, col])
        mean, variance, noise = window.mean(), window.var(), 1 / LOOKS
        signal = max((variance + mean**2) / (1 + noise) - mean**2, 0)
        want = mean + signal / (mean**2 * noise + signal) * (pixel - mean)
        np.testing.assert_allclose(values[0, row, col], want, rtol=1e-5)
    flat = np.full((40, 40), 0.2, np.float32)
    np.testing.assert_allclose(lee(flat, 7, LOOKS), flat, rtol=1e-6)


@pytest.mark.parametrize(("method", "more"), [("multitemporal", {}), ("lee", {"looks": LOOKS})])
def test_filters_do_not_depend_on_chunks_and_keep_means(series, method, more):
    whole = gl.despeckle(cube(series), method, **more)
    assert list(whole) == ["gamma0_vv", "layover_shadow_mask"]
    np.testing.assert_array_equal(whole.layover_shadow_mask, cube(series).layover_shadow_mask)
    for chunks in ({"time": 1, "y": 11, "x": 70}, {"time": 6, "y": 3, "x": 8}):
        parts = gl.despeckle(cube(series, **chunks), method, **more)
        assert parts.gamma0_vv.dtype == np.float32
        np.testing.assert_allclose(parts.gamma0_vv.compute(scheduler="sync"), whole.gamma0_vv, rtol=1e-6)
    inside = np.s_[:, 23:37, 23:47]
    before, after = series[inside], whole.gamma0_vv.values[inside]
    assert abs(after.mean() / before.mean() - 1) < 0.02
    assert after.std() < 0.6 * before.std()
    changed = whole.gamma0_vv.values[:, 45:, 4:15].mean((1, 2))
    assert changed[3:].mean() > 2 * changed[:3].mean(), "a change stays a change"


def test_looks_are_those_of_the_speckle(rng):
    truth = np.full((1, 400, 600), 0.1)
    truth[:, :130] = 0.4
    one = cube(speckled(rng, truth), time=1, y=100, x=100)
    assert gl.equivalent_looks(one.gamma0_vv) == pytest.approx(LOOKS, rel=0.06)
    four = gl.multilook(one, 2)
    assert dict(four.sizes) == {"time": 1, "y": 200, "x": 300}
    assert "means of 2 × 2 pixels" in four.gamma0_vv.attrs["multilook"]
    assert gl.equivalent_looks(four, window=7).gamma0_vv == pytest.approx(4 * LOOKS, rel=0.1)
    np.testing.assert_allclose(four.gamma0_vv[0, 3, 4], one.gamma0_vv[0, 6:8, 8:10].mean(), rtol=1e-6)


def test_multilooked_pixels_are_where_their_blocks_are(sample):
    radar = min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))
    area = (1.80, 43.55, 1.82, 43.57)
    fine = gl.open_cube([radar], bands=["gamma0_vv"], bbox=area, crs="EPSG:32631", resolution=10, chunks=64)
    coarse = gl.multilook(fine, 3)
    np.testing.assert_allclose(coarse.x[:5], fine.x[1:16:3])
    np.testing.assert_allclose(coarse.y[:5], fine.y[1:16:3])
    assert coarse.rio.crs.to_epsg() == 32631
    assert coarse.rio.transform().a == 30


def test_a_field_in_time_in_one_call(sample):
    """The maize of notebook 04 grows: the truth of the sample says by how much."""
    paths = sorted((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))
    x, y = 407_305, 4_824_615
    corners = Transformer.from_crs(32631, 4326, always_xy=True).transform([x - 250, x + 250], [y - 250, y + 250])
    shape = box(corners[0][0], corners[1][0], corners[0][1], corners[1][1])
    products = paths[:2]
    found = gl.backscatter(products, shape, bands=["sigma0_vv", "sigma0_vh"], crs="EPSG:32631")
    assert found.sizes == {"time": len(products)}
    assert (found.pixels > 2000).all()
    day = found.time.values[0].astype("datetime64[D]").item()
    want = generator.decibels(2, "VV", day)
    assert float(found.sigma0_vv[0]) == pytest.approx(want, abs=0.4)
    linear = gl.backscatter(products[:1], shape, bands=["sigma0_vv"], crs="EPSG:32631", decibels=False)
    assert 10 * np.log10(float(linear.sigma0_vv[0])) == pytest.approx(float(found.sigma0_vv[0]), abs=1e-6)
    with pytest.raises(gl.GeodesError, match="incidence is no band of backscatter"):
        gl.backscatter(products, shape, bands=["incidence"])


def test_what_is_no_speckle_is_refused(series):
    one = cube(series)
    with pytest.raises(gl.GeodesError, match="Lee's filter needs looks="):
        gl.despeckle(one, "lee")
    with pytest.raises(gl.GeodesError, match="window is an odd number"):
        gl.despeckle(one, window=4)
    with pytest.raises(gl.GeodesError, match="has no dim time"):
        gl.despeckle(one.isel(time=0))
    with pytest.raises(gl.GeodesError, match="is in decibels"):
        gl.despeckle(one.gamma0_vv.assign_attrs(units="dB"))
    with pytest.raises(gl.GeodesError, match="needs backscatter"):
        gl.multilook(one[["layover_shadow_mask"]])
    with pytest.raises(gl.GeodesError, match="too few to see"):
        gl.equivalent_looks(one)
    assert processes()["despeckle"].inputs.names
