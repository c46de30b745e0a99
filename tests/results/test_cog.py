"""Maps as COG: valid, the same numbers, whole or not there; and as Items that others find."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import geodes_lab as gl
from geodes_lab.results.publish import item_of
from tests.results.test_save import cube


@pytest.mark.thorough
def test_times_of_a_variable_are_bands(tmp_path):
    made = cube(3, 2300, 1100).ndvi.assign_attrs(long_name="NDVI", units="1")
    saved = gl.save(made, tmp_path / "ndvi.tif")
    np.testing.assert_array_equal(saved.ndvi.values, made.values)
    assert list(saved.time.values) == list(made.time.values)
    with rasterio.open(tmp_path / "ndvi.tif") as file:
        assert file.descriptions == ("2021-06-01", "2021-06-02", "2021-06-03")
        assert file.crs.to_epsg() == 32631
        assert tuple(file.transform)[:6] == (10, 0, 0, 0, -10, 23_000)
        assert np.isnan(file.nodata)
        assert file.overviews(1) == [2, 4, 8]
        assert "saved by geodes_lab" in file.tags()["history"]
        assert file.tags(1)["long_name"] == "NDVI"
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG", "GDAL's own word for it"
    assert [p.name for p in tmp_path.iterdir()] == ["ndvi.tif"]


def test_variables_of_one_time_are_bands(tmp_path):
    made = cube(1, 40, 30).isel(time=0)
    made = made.assign(green=made.ndvi * 2)
    saved = gl.save(made, tmp_path / "two.tif")
    np.testing.assert_array_equal(saved.green.values, made.green.values)
    item = item_of(tmp_path / "two.tif")
    assert [b["name"] for b in item.assets["tif"].extra_fields["bands"]] == ["ndvi", "green"]
    assert item.datetime.isoformat() == "2021-06-01T00:00:00+00:00", "the moment that it shows"
    again = gl.open_cube([item], bands=["green"]).green
    np.testing.assert_array_equal(again[0].values, made.green.values)


@pytest.mark.parametrize(
    ("times", "names"),
    [
        (
            ["2021-06-05T10:50:31.024", "2021-06-05T10:50:31.900"],
            ("2021-06-05T10:50:31.024", "2021-06-05T10:50:31.900"),
        ),
        (
            ["2021-06-05T10:50:31", "2021-06-05T10:50:31.000001"],
            ("2021-06-05T10:50:31.000000", "2021-06-05T10:50:31.000001"),
        ),
        (["2021-06-05", "2021-06-05", "2021-06-06"], ("2021-06-05 (1)", "2021-06-05 (2)", "2021-06-06")),
    ],
)
def test_times_that_a_second_does_not_tell_apart(tmp_path, times, names):
    made = cube(len(times), 40, 30).ndvi.assign_coords(time=np.array(times, "datetime64[ns]"))
    saved = gl.save(made, tmp_path / "ndvi.tif")
    np.testing.assert_array_equal(saved.ndvi.values, made.values)
    np.testing.assert_array_equal(saved.time.values, made.time.values)
    with rasterio.open(tmp_path / "ndvi.tif") as file:
        assert [d.replace("T00:00:00.000000000", "") for d in file.descriptions] == list(names)
        np.testing.assert_array_equal(file.read(), made.values)


def test_no_data_of_classes_is_said_and_of_measures_beside_them_is_nan(tmp_path):
    classes = xr.zeros_like(cube(1, 20, 20).ndvi[0], dtype="uint8").assign_attrs(nodata=255, _FillValue=255)
    classes[3:5, 2] = 255
    gl.save(classes.rename("scl"), tmp_path / "scl.tif")
    with rasterio.open(tmp_path / "scl.tif") as file:
        assert (file.nodata, (file.read(1, masked=True).mask.sum())) == (255, 2)
    classes.attrs.pop("_FillValue")
    measure = cube(1, 20, 20).ndvi[0].drop_vars("time")
    both = xr.Dataset({"scl": classes.drop_vars("time"), "ndvi": measure})
    gl.save(both, tmp_path / "both.tif")
    with rasterio.open(tmp_path / "both.tif") as file:
        np.testing.assert_array_equal(np.isnan(file.read(1)), classes.values == 255)
        np.testing.assert_array_equal(file.read(2), measure.values)
    other = xr.zeros_like(classes).assign_attrs(nodata=0)
    with pytest.raises(gl.GeodesError, match="one value for no data, but scl has 255, cld has 0"):
        gl.save(xr.Dataset({"scl": classes, "cld": other}), tmp_path / "two.tif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both.tif", "scl.tif"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float64"])
def test_types_stay(tmp_path, dtype):
    made = (cube(1, 20, 20).ndvi[0].fillna(0) > 0.5).astype(dtype)
    gl.save(made.rename("mask"), tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.dtypes == ("uint8" if dtype == "bool" else dtype,)
        np.testing.assert_array_equal(file.read(1), made.values.astype(file.dtypes[0]))


def test_what_fails_leaves_nothing_and_what_was_there_stays(tmp_path):
    made = cube(1, 30, 30).ndvi[0]
    path = tmp_path / "ndvi.tif"
    gl.save(made, path)
    before = path.read_bytes()

    def fail(block):
        raise ValueError("no such pixel")

    broken = made.copy(data=da.map_blocks(fail, made.data, dtype="float32", meta=np.empty((0, 0), "f4")))
    with pytest.raises(ValueError, match="no such pixel"):
        gl.save(broken, path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(gl.GeodesError, match="overwrite=True"):
        gl.save(made, path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c, "save one variable with its times"),
        (lambda c: c.ndvi[0].drop_vars("spatial_ref"), "needs a CRS"),
        (lambda c: c.ndvi[0].fillna(0).astype("int64"), "convert the data with .astype"),
        (lambda c: xr.concat([c.ndvi] * 300, "time"), "too large for other tools"),
    ],
)
def test_what_a_geotiff_cannot_hold_is_said(tmp_path, change, said):
    with pytest.raises(gl.GeodesError, match=said):
        gl.save(change(cube(2, 10, 10)), tmp_path / "no.tif")
    assert list(tmp_path.iterdir()) == []


def test_saved_cube_is_an_item_with_place_time_and_grid(tmp_path):
    made = cube(3, 100, 50)
    made["x"], made["y"] = made.x + 396_600, made.y + 4_818_780
    gl.save(made, tmp_path / "ndvi.zarr")
    item = item_of(tmp_path / "ndvi.zarr", name="mine")
    assert item.id == "mine"
    assert item.properties["start_datetime"] == "2021-06-01T00:00:00Z"
    assert item.properties["end_datetime"] == "2021-06-03T00:00:00Z"
    west, south, east, north = item.bbox
    assert 1.71 < west < east < 1.74
    assert 43.5 < south < north < 43.53
    asset = item.assets["zarr"]
    assert asset.extra_fields["proj:shape"] == [100, 50]
    assert "saved by geodes_lab" in item.properties["processing:lineage"]
    assert gl.open_product(item).ndvi.shape == (3, 100, 50)


def test_publishing_is_refused_where_there_is_no_hub_or_no_result(tmp_path, monkeypatch):
    with pytest.raises(gl.GeodesError, match="no catalogue profile 'lab'"):
        gl.publish(tmp_path / "a.tif", "ndvi")
    with pytest.raises(gl.GeodesError, match="start the lab with `make lab`"):
        gl.publish(tmp_path / "a.tif", "ndvi", profile="geodes")
    with pytest.raises(gl.GeodesError, match=r"is not a .zarr or .tif"):
        item_of(tmp_path / "a.tif")
    gl.save(cube(1, 5, 5).ndvi[0], tmp_path / "a.tif")
    with pytest.raises(gl.GeodesError, match="is not a time"):
        item_of(tmp_path / "a.tif", datetime="some day")


TIMES = ["2021-06-05T10:50:31.024", "2021-06-05T22:10:00", "2021-08-29T10:50:31"]


@pytest.fixture
def months(tmp_path):
    """Three times, two of them of one day, as a COG."""
    made = cube(3, 40, 30).ndvi.assign_coords(time=np.array(TIMES, "datetime64[ns]")).assign_attrs(long_name="NDVI")
    gl.save(made, tmp_path / "ndvi.tif")
    return made, tmp_path / "ndvi.tif"


@pytest.mark.parametrize("described", [False, True], ids=["the file", "its Item"])
def test_times_of_a_variable_come_back_as_times(months, described):
    made, path = months
    product = item_of(path) if described else path
    again = gl.open_cube([product], bands=["ndvi"])
    assert dict(again.sizes) == {"time": 3, "y": 40, "x": 30}
    np.testing.assert_array_equal(again.time.values, made.time.values)
    np.testing.assert_array_equal(again.ndvi.values, made.values)
    named = gl.open_cube([item_of(path)], bands=["2021-08-29T10:50:31"])
    np.testing.assert_array_equal(named["2021-08-29T10:50:31"].values[0], made.values[2])


def test_product_that_is_a_series_opens_with_its_times(months):
    made, path = months
    node = gl.open_product(path)["r10m"]
    assert list(node.data_vars) == ["ndvi"]
    np.testing.assert_array_equal(node.time.values, made.time.values)
    np.testing.assert_array_equal(node.ndvi.transpose("time", "y", "x").values, made.values)


def test_map_of_one_time_keeps_its_time(tmp_path):
    gl.save(cube(3, 40, 30).isel(time=1), tmp_path / "day.tif")
    again = gl.open_cube([tmp_path / "day.tif"], bands=["ndvi"])
    assert [str(t)[:10] for t in again.time.values] == ["2021-06-02"]


def test_times_that_say_nothing_stay_names(tmp_path):
    with rasterio.open(
        tmp_path / "wrong.tif", "w", driver="GTiff", width=4, height=4, count=2, dtype="uint8", crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as file:  # fmt: skip
        file.write(np.ones((2, 4, 4), "uint8"))
        for number, time in enumerate(("last summer", "\x1b[2J"), 1):
            file.set_band_description(number, f"b{number}")
            file.update_tags(number, geodes_variable="<img src=x>", geodes_time=time)
    assert list(gl.open_product(tmp_path / "wrong.tif")["r10m"].data_vars) == ["b1", "b2"]
