"""Sentinel-1 SLC: bursts with the axes of xarray-sentinel and the numbers of the generator."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import xarray_sentinel.sentinel1 as xarray_sentinel

import geodes_lab as gl
from geodes_lab.products.sentinel1 import slc
from geodes_lab.sample.sentinel1 import slc as generator
from geodes_lab.storage.resolve import Fetched
from geodes_lab.storage.traffic import traffic

REAL = "S1B_IW_SLC__1SDV_20210401T052622_20210401T052650_026269_032297_EFA4.SAFE"


@pytest.fixture
def radar(sample) -> Path:
    return next((sample / "datalake" / "sentinel1-slc" / "2021" / "06").rglob("*.zip"))


def test_every_burst_is_what_was_written(on_s3, radar):
    item = next(i for i in gl.search("PEPS_S1_L1") if "_SLC_" in i.id)
    tree = gl.open_product(item)
    assert set(tree["iw1"].children) == {"vh", "vv"}
    there = generator.valid()
    tree = pickle.loads(pickle.dumps(tree))
    with pytest.warns(Fetched, match="compressed"):
        tree = tree.compute(scheduler="sync")
    for polarisation in generator.POLARISATIONS:
        want = generator.numbers(polarisation)
        for number in range(generator.BURSTS):
            found = tree[f"iw1/{polarisation.lower()}/burst_{number + 1}"].measurement.values
            rows = slice(number * generator.HEIGHT, (number + 1) * generator.HEIGHT)
            np.testing.assert_array_equal(np.isnan(found), ~there[rows])
            np.testing.assert_array_equal(found[there[rows]], want[rows][there[rows]])


def test_opening_and_listing_reads_no_measurement(on_s3, radar):
    item = next(i for i in gl.search("PEPS_S1_L1") if "_SLC_" in i.id)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Fetched)
        before = traffic.bytes
        gl.open_product(item)
        table = slc.bursts(item)
    assert traffic.bytes - before < 2**20
    assert len(table) == 2 * generator.BURSTS


def test_bursts_are_found_by_place(radar):
    product = generator.products()[0]
    lon, lat = product.degrees(np.array([generator.HEIGHT + 30]), np.array([200]))
    near = (float(lon[0]) - 1e-5, float(lat[0]) - 1e-5, float(lon[0]) + 1e-5, float(lat[0]) + 1e-5)
    found = slc.bursts(radar, near)
    assert set(found.burst) == {2}
    assert set(found.burst_id) == {40_001}
    assert all(shapely.Point(lon[0], lat[0]).within(f) for f in found.footprint)
    assert slc.bursts(radar, (0, 0, 1, 1)).empty
    assert gl.open_product(radar)[found.path.iloc[0]].attrs["burst"] == 2


@pytest.mark.thorough
def test_axes_are_those_of_xarray_sentinel(shared):
    folder = shared / "sentinel1-safe" / REAL
    tree = gl.open_product(folder)
    path = str(folder / "manifest.safe")
    for swath, polarisation in (("IW1", "VH"), ("IW1", "VV"), ("IW2", "VH")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = xarray_sentinel.open_sentinel1_dataset(path, group=f"{swath}/{polarisation}")
        for number in (1, 5, 9):
            burst = xarray_sentinel.crop_burst_dataset(theirs, burst_index=number - 1)
            mine = tree[f"{swath}/{polarisation}/burst_{number}".lower()]
            assert mine.measurement.shape == burst.measurement.shape
            np.testing.assert_array_equal(mine.line, burst.line)
            step = np.abs(mine.azimuth_time.values - burst.azimuth_time.values).max()
            assert step < np.timedelta64(1, "us")
            np.testing.assert_allclose(mine.slant_range_time, burst.slant_range_time, rtol=1e-12)
    orbit = xarray_sentinel.open_sentinel1_dataset(path, group="IW1/VH/orbit")
    np.testing.assert_allclose(tree["iw1/vh/orbit"].position, orbit.position.transpose("azimuth_time", "axis"))
    np.testing.assert_allclose(tree["iw1/vh/orbit"].velocity, orbit.velocity.transpose("azimuth_time", "axis"))


def test_real_pixels_are_gdals(shared):
    folder = shared / "sentinel1-safe" / REAL
    node = gl.open_product(folder)["iw1/vv/burst_2"]
    rows, cols = slice(700, 720), slice(5000, 5100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(next((folder / "measurement").glob("*iw1*vv*"))) as file:
            want = file.read(1, window=((1501 + 700, 1501 + 720), (5000, 5100)))
    np.testing.assert_array_equal(node.measurement[rows, cols].compute(scheduler="sync"), want)


def test_zip_opens_as_its_folder(shared):
    folder = shared / "sentinel1-safe" / REAL
    zipped = gl.open_product(str(folder).removesuffix(".SAFE") + ".zip")
    assert [n.path for n in zipped.subtree] == [n.path for n in gl.open_product(folder).subtree]


def test_wave_mode_has_an_image_each(shared):
    with pytest.raises(gl.GeodesError, match="has no annotation file"):
        gl.open_product(next((shared / "sentinel1-safe").glob("S1B_WV_SLC*")))  # its images were removed


def test_cube_is_refused_and_says_what_to_do(radar):
    with pytest.raises(gl.GeodesError, match=r"cannot be part of a cube; use gl\.open_product"):
        gl.open_cube([radar], bands=["vv"])


def test_bursts_that_do_not_fill_the_image(altered, radar):
    def change(name: str, data: bytes) -> bytes:
        return data.replace(b"<linesPerBurst>60<", b"<linesPerBurst>61<") if "annotation/s1a" in name else data

    with pytest.raises(gl.GeodesError, match="has 3 bursts of 61 lines for an image of 180"):
        gl.open_product(altered(change, radar))
