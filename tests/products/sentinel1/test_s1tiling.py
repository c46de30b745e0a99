"""Sentinel-1 on the grid of Sentinel-2: calibration, border and time as the files say them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.sample import theia_others
from geodes_lab.sample.theia_files import tiff

RADAR = [p for p in theia_others.products() if isinstance(p, theia_others.Radar)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("s1tiling")
    for radar in RADAR:
        radar.write(path / f"{radar.name}.zip")
    return path


def want(radar, polarisation: str) -> np.ndarray:
    raw = radar.numbers(polarisation)
    return np.where(raw == 0, np.nan, raw)


def test_backscatter_is_the_truth_with_its_quantity_and_time(folder):
    tree = gl.open_product(folder / f"{RADAR[0].name}.zip")
    assert set(tree["r10m"].data_vars) == {"vv", "vh", "vv_border", "vh_border"}
    for polarisation in ("vv", "vh"):
        np.testing.assert_array_equal(tree["r10m"][polarisation].values, want(RADAR[0], polarisation))
    assert tree["r10m"].vv.attrs["standard_name"] == "surface_backwards_scattering_coefficient_of_radar_wave"
    assert tree["r10m"].vv.attrs["units"] == "1"
    assert tree.attrs["time"] == "2021-07-16T06:00:49+00:00"
    assert tree.attrs["noise_removed"] == "True"
    np.testing.assert_array_equal(tree["r10m"].vv_border.values, RADAR[0].seen())
    assert tree["r10m"].vv_border.attrs["flag_meanings"] == "border valid"


def test_grid_is_that_of_rasterio(folder):
    name = RADAR[0].name
    item = products.unpack(folder / f"{name}.zip")
    with rasterio.open(f"/vsizip/{folder}/{name}.zip/{name}.tif") as file:
        assert item.assets["vv"].extra_fields["proj:transform"] == list(file.transform)[:6]
        assert item.assets["vv"].extra_fields["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
    assert item.properties["end_datetime"] == "2021-07-16T06:01:14Z"
    assert item.properties["grid:code"] == "MGRS-31TCJ"
    assert (item.properties["sat:relative_orbit"], item.properties["sat:orbit_state"]) == (110, "descending")
    assert products.unpack(item) is item


def test_cube_of_two_dates_hides_the_border(folder):
    cube = gl.open_cube([folder / f"{r.name}.zip" for r in RADAR], bands=["vv", "vh"], mask="border")
    assert [str(t)[:10] for t in cube.time.values] == ["2021-07-16", "2021-07-28"]
    for number, radar in enumerate(RADAR):
        np.testing.assert_array_equal(cube.vh.values[number], want(radar, "vh"))


def test_loose_files_and_a_folder_open_as_the_zip_does(folder, tmp_path):
    with zipfile.ZipFile(folder / f"{RADAR[0].name}.zip") as archive:
        archive.extractall(tmp_path / "31TCJ")
    alone = gl.open_product(tmp_path / "31TCJ" / f"{RADAR[0].name}.tif")
    assert set(alone["r10m"].data_vars) == {"vv"}
    np.testing.assert_array_equal(alone["r10m"].vv.values, want(RADAR[0], "vv"))
    item = products.as_item(str(tmp_path / "31TCJ"))
    item.properties["dataset"] = "THEIA_S1TILING_SENTINEL1_L1"
    np.testing.assert_array_equal(gl.open_product(item)["r10m"].vh.values, want(RADAR[0], "vh"))


def pack(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.tif", data)
    return path


IMAGE = np.linspace(0.1, 0.9, 256 * 256, dtype="float32").reshape(256, 256)


@pytest.mark.parametrize(
    ("name", "tags", "quantity"),
    [
        ("S1A_L1ORT_31TCJ_VV_GAM_ASC_030_20200101T060000", {}, "gamma0"),
        ("s1a_31TCJ_vv_DES_110_20200108txxxxxx_NormLim", {}, "sigma0, terrain-flattened"),
        ("s1b_31TCJ_vv_DES_110_20200108txxxxxx_GammaNaughtRTC", {"CALIBRATION": "gamma_naught_rtc"}, "gamma0, radiom"),
        ("s1c_31TCJ_vv_DES_110_20200108txxxxxx", {"CALIBRATION": "beta"}, "beta0"),
    ],
)
def test_names_of_all_kinds_say_what_the_numbers_are(tmp_path, name, tags, quantity):
    path = pack(tmp_path / f"{name}.zip", **{name: tiff(IMAGE, 10, (300_000, 4_900_020), tags=tags)})
    tree = gl.open_product(path)
    assert quantity in tree["r10m"].vv.attrs["long_name"]
    assert ("standard_name" in tree["r10m"].vv.attrs) == quantity.startswith("sigma0")
    assert tree.attrs["time"].startswith("2020-01-01T06:00" if "L1ORT" in name else "2020-01-08T00:00")


def test_filtered_image_is_another_band(tmp_path):
    name = "s1a_31TCJ_vv_DES_110_20200108txxxxxx"
    plain = tiff(IMAGE, 10, (300_000, 4_900_020), tags={"CALIBRATION": "sigma"})
    path = pack(
        tmp_path / f"{name}.zip", **{f"{name}_filtered": tiff(IMAGE * 0 + 1, 10, (300_000, 4_900_020)), name: plain}
    )
    with pytest.raises(gl.GeodesError, match="neither in its tags nor in its name"):
        gl.open_product(path)
    second = tiff(IMAGE * 0 + 1, 10, (300_000, 4_900_020), tags={"CALIBRATION": "sigma"})
    tree = gl.open_product(pack(path, **{f"{name}_filtered": second, name: plain}))
    np.testing.assert_array_equal(tree["r10m"].vv.values, IMAGE)
    np.testing.assert_array_equal(tree["r10m"].vv_filtered.values, 1)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"readme": b"x"}, "has no image with a name of S1Tiling"),
        ({"s1a_31TCJ_vv_DES_110_20200108txxxxxx": b""}, "does not open .*fetch the product again"),
        (
            {f"s1a_31TCJ_vv_DES_110_202001{d}txxxxxx": tiff(IMAGE, 10, (300_000, 4_900_020)) for d in ("08", "20")},
            "contains images of several acquisitions",
        ),
    ],
)
def test_damage_is_one_sentence(tmp_path, files, sentence):
    path = pack(tmp_path / "s1a_31TCJ_vv_DES_110_20200108txxxxxx.zip", **files)
    with pytest.raises(gl.GeodesError, match=re.compile(sentence, re.DOTALL)):
        gl.open_product(path)


def test_sample_opens_from_s3(on_s3):
    items = gl.search("THEIA_S1TILING_SENTINEL1_L1")
    cube = gl.open_cube(items, bands=["vv"]).compute(scheduler="threads")
    np.testing.assert_array_equal(cube.vv.values[1], want(RADAR[1], "vv"))
