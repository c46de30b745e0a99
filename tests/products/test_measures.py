"""Whether integers are measures or classes is told, not guessed: a mean of measures is a mean, and none is made of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import reproject

import geodes_lab as gl

RANDOM = np.random.default_rng(17)
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_800_000)


def tif(path: Path, numbers: np.ndarray, nodata: float | None = None, **options: Any) -> str:
    shape = {"height": numbers.shape[0], "width": numbers.shape[1], "count": 1, "dtype": numbers.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32631", transform=TRANSFORM, nodata=nodata, **shape, **options
    ) as file:
        file.write(numbers, 1)
    return str(path)


def item(path: str, key: str = "b", **fields: Any) -> dict[str, Any]:
    """An Item of one asset."""
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": Path(path).stem, "stac_extensions": [], "geometry": None, "links": [],
        "properties": {"datetime": "2021-06-05T10:50:31Z"},
        "assets": {key: {"href": path, "type": "image/tiff; application=geotiff", "roles": ["data"]} | fields},
    }  # fmt: skip


def gdal(numbers: np.ndarray, there: np.ndarray, way: str, factor: int) -> np.ndarray:
    """GDAL's own warp of the numbers as doubles, at full resolution."""
    out = np.full((numbers.shape[0] // factor, numbers.shape[1] // factor), np.nan)
    reproject(
        np.where(there, numbers, np.nan), out, src_crs="EPSG:32631", dst_crs="EPSG:32631", src_transform=TRANSFORM,
        dst_transform=TRANSFORM * Affine.scale(factor), src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling[way],
    )  # fmt: skip
    return out


MEANS = ["average", "bilinear", "cubic", "cubic_spline", "lanczos", "rms", "sum", "med", "q1"]


@pytest.mark.parametrize("way", MEANS)
@pytest.mark.parametrize(
    ("dtype", "nodata", "options"),
    [
        ("uint8", None, {}),
        ("uint8", 0, {"tiled": True, "blockxsize": 16, "blockysize": 16}),
        ("int16", -32768, {}),  # terrain
        ("int16", -9999, {"compress": "lzma"}),  # read by GDAL alone
        ("uint16", None, {"compress": "lzma"}),
        ("uint16", 65535, {"tiled": True, "blockxsize": 64, "blockysize": 64}),  # reflectance without a scale
        ("int32", -1, {}),
        ("uint32", 4294967295, {}),
        ("float32", -9999.0, {}),
    ],
)
def test_a_mean_of_integers_is_a_mean(tmp_path, way, dtype, nodata, options):
    numbers = RANDOM.integers(1, 200, (64, 64)).astype(dtype)
    there = np.ones(numbers.shape, bool)
    if nodata is not None:
        there = RANDOM.random(numbers.shape) > 0.2
        numbers[~there] = nodata
    path = tif(tmp_path / "a.tif", numbers, nodata, **options)
    got = gl.open_cube([item(path)], bands=["b"], resolution=40, resampling=way).b
    assert got.dtype == (np.float64 if dtype in ("int32", "uint32") else np.float32)
    want = gdal(numbers.astype("float64"), there, way, 4)
    np.testing.assert_allclose(got.values[0], want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("way", ["min", "max", "mode"])
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("uint8", 255), ("int16", -32768), ("uint16", 65535), ("int32", -1), ("uint32", 0)],
)
def test_no_data_is_none_of_those_that_are_chosen_from(tmp_path, way, dtype, nodata):
    """NumPy puts the number of a hole that a dtype cannot hold into it all the same, as another."""
    numbers = RANDOM.integers(1, 200, (64, 64)).astype(dtype)
    there = RANDOM.random(numbers.shape) > 0.2
    numbers[~there] = nodata
    for options in ({}, {"compress": "lzma"}):
        path = tif(tmp_path / "a.tif", numbers, nodata, **options)
        got = gl.open_cube([item(path)], bands=["b"], resolution=40, resampling=way).b
        want = gdal(numbers.astype("float64"), there, way, 4)
        np.testing.assert_array_equal(got.values[0], np.where(np.isnan(want), nodata, want))


def test_a_mean_that_is_the_number_of_no_data_is_data(tmp_path):
    """Of -1 and 1, where 0 is no data."""
    numbers = np.tile(np.array([[-1, 1], [1, -1]], "int16"), (16, 16))
    for options in ({}, {"compress": "lzma"}):
        path = tif(tmp_path / "a.tif", numbers, 0, **options)
        got = gl.open_cube([item(path)], bands=["b"], resolution=20, resampling="average").b
        np.testing.assert_array_equal(got.values, 0)


@pytest.mark.parametrize("way", ["nearest", "mode", "min", "max"])
def test_integers_stay_integers_where_no_mean_is_made(tmp_path, way):
    numbers = RANDOM.integers(0, 9, (32, 32)).astype("int16")
    got = gl.open_cube([item(tif(tmp_path / "a.tif", numbers, -1))], bands=["b"], resolution=40, resampling=way).b
    assert got.dtype == np.int16
    assert set(np.unique(got)) <= set(range(9))


CLASSES = [{"value": n, "name": f"c{n}"} for n in (10, 20, 90)]


@pytest.mark.parametrize("way", MEANS)
@pytest.mark.parametrize(
    "fields",
    [
        {"classification:classes": CLASSES},
        {"raster:bands": [{"classification:classes": CLASSES}]},
        {"bands": [{"name": "b", "classification:classes": CLASSES}]},
        {"classification:bitfields": [{"name": "cloud", "offset": 1, "length": 1, "classes": []}]},
        {"file:values": [{"values": [10], "summary": "water"}]},
        {"roles": ["data-mask"]},
        {"roles": ["cloud", "cloud-shadow"]},
        {"roles": ["data", "water-mask"]},
    ],
)
def test_no_mean_is_made_of_classes(tmp_path, fields, way):
    numbers = RANDOM.choice(np.array([10, 20, 90], "uint8"), (32, 32))
    path = tif(tmp_path / "a.tif", numbers, 0, tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.average)  # as somebody does who does not know
    got = gl.open_cube([item(path, **fields)], bands=["b"], resolution=40, resampling=way).b
    assert got.dtype == np.uint8
    assert set(np.unique(got)) <= {10, 20, 90}
    assert got.attrs["resampling"] == f"nearest, because classes cannot be averaged ({way} was requested)"


def test_classes_without_a_number_for_no_data_and_classes_as_floats(tmp_path):
    """They become floats, to have NaN; and are no measure for that."""
    for dtype, nodata in (("uint8", None), ("float32", None), ("float32", -1.0)):
        numbers = RANDOM.choice(np.array([10, 20, 90], dtype), (32, 32))
        path = tif(tmp_path / "a.tif", numbers, nodata)
        one = item(path, **{"classification:classes": CLASSES})
        got = gl.open_cube([one], bands=["b"], resolution=40, resampling="average").b
        assert set(np.unique(got)) <= {10, 20, 90}


def test_two_products_of_classes_with_other_numbers_for_no_data(tmp_path):
    fields = {"classification:classes": CLASSES}
    items = []
    for number, nodata in enumerate((0, 255)):
        numbers = RANDOM.choice(np.array([10, 20, 90], "uint8"), (32, 32))
        items.append(item(tif(tmp_path / f"{number}.tif", numbers, nodata), **fields))
    got = gl.open_cube(items, bands=["b"], groupby="item", resolution=40, resampling="bilinear").b
    assert set(np.unique(got)) <= {10, 20, 90}


def test_a_table_of_colours_says_classes(tmp_path):
    numbers = RANDOM.choice(np.array([1, 2, 9], "uint8"), (32, 32))
    path = tif(tmp_path / "a.tif", numbers, 0, photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {n: (n, n, n, 255) for n in range(10)})
    with rasterio.open(path) as file:
        assert file.colorinterp[0] == ColorInterp.palette
    got = gl.open_cube([path_item(path)], bands=["data"], resolution=40, resampling="average").data
    assert got.dtype == np.uint8
    assert set(np.unique(got)) <= {1, 2, 9}


def path_item(path: str) -> dict[str, Any]:
    return item(path, "data")


def test_the_user_says_classes(tmp_path):
    numbers = RANDOM.choice(np.array([10, 20, 90], "uint8"), (32, 32))
    one = item(tif(tmp_path / "a.tif", numbers, 0), "lc")
    one["assets"]["red"] = dict(one["assets"]["lc"])
    measured = gl.open_cube([one], bands=["red", "lc"], resolution=40, resampling="average")
    assert measured.lc.dtype == np.float32
    for how in ({"classes": ["lc"]}, {"classes": "lc"}):
        cube = gl.open_cube([one], bands=["red", "lc"], resolution=40, resampling="average", **how)
        assert (cube.red.dtype, cube.lc.dtype) == (np.float32, np.uint8)
        assert set(np.unique(cube.lc)) <= {10, 20, 90}
    for ways in ({"red": "average"}, {"red": "average", "lc": "nearest"}, {"red": "cubic", "lc": "mode"}):
        cube = gl.open_cube([one], bands=["red", "lc"], resolution=40, resampling=ways)
        assert (cube.red.dtype, cube.lc.dtype) == (np.float32, np.uint8)
        assert set(np.unique(cube.lc)) <= {10, 20, 90}
    with pytest.raises(gl.GeodesError, match="classes= names 'other', which is not in bands="):
        gl.open_cube([one], bands=["red"], classes=["other"])


def test_probabilities_are_measures(tmp_path):
    """Earth Search's cloud probabilities have the roles data and cloud."""
    numbers = RANDOM.integers(1, 100, (32, 32)).astype("uint8")
    path = tif(tmp_path / "a.tif", numbers)
    got = gl.open_cube([item(path, roles=["data", "cloud"])], bands=["b"], resolution=40, resampling="average").b
    np.testing.assert_allclose(got.values[0], numbers.reshape(8, 4, 8, 4).mean((1, 3)), rtol=1e-6)


def test_classes_of_families_are_told(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-08-04")
    cube = gl.open_cube(items, bands=["red", "MSK_OPAQUE"], resolution=40, resampling="average").compute(
        scheduler="threads"
    )
    assert set(np.unique(cube.MSK_OPAQUE.values[np.isfinite(cube.MSK_OPAQUE.values)])) <= {0, 1}
    assert "classes cannot be averaged" in cube.MSK_OPAQUE.attrs["resampling"]
    assert "resampling" not in cube.red.attrs
