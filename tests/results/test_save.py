"""Saved cubes: whole or not there, with CRS and history, as any reader of Zarr sees them."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import geodes_lab as gl
from tests.support.examples import examples


def cube(times: int, rows: int, cols: int, chunks: int = 700) -> xr.Dataset:
    grid = GeoBox.from_bbox((0, 0, 10 * cols, 10 * rows), "EPSG:32631", resolution=10)
    values = np.random.default_rng(1).random((times, rows, cols)).astype("float32")
    values[:, 0, 0] = np.nan
    data = xr.DataArray(da.from_array(values, chunks=(1, chunks, chunks)), dims=("time", "y", "x"), name="ndvi")
    coords = {"time": np.datetime64("2021-06-01", "ns") + np.arange(times) * np.timedelta64(1, "D"), **xr_coords(grid)}
    return data.assign_coords(coords).assign_attrs(grid_mapping="spatial_ref").to_dataset()


def test_reads_back_the_same_with_crs_and_history(tmp_path):
    made = cube(2, 2500, 1300)
    made.attrs["history"] = "opened in place"
    saved = gl.save(made, tmp_path / "a" / "ndvi.zarr")
    np.testing.assert_array_equal(saved.ndvi.values, made.ndvi.values)
    assert saved.rio.crs.to_epsg() == 32631
    assert saved.attrs["history"].splitlines()[0] == "opened in place"
    assert "saved by geodes_lab" in saved.attrs["history"]
    array = zarr.open(tmp_path / "a" / "ndvi.zarr")["ndvi"]
    assert array.chunks == (1, 512, 512)
    assert array.shards == (1, 2048, 1536)
    assert json.loads((tmp_path / "a" / "ndvi.zarr" / "zarr.json").read_text())["zarr_format"] == 3


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.integers(1, 3), rows=st.integers(1, 40), cols=st.integers(1, 40), chunks=st.integers(1, 45))
def test_any_shape_and_chunking(tmp_path, times, rows, cols, chunks):
    made = cube(times, rows, cols, chunks)
    saved = gl.save(made, tmp_path / "any.zarr", overwrite=True)
    np.testing.assert_array_equal(saved.ndvi.values, made.ndvi.values)


def test_what_exists_is_not_replaced_unless_told(tmp_path):
    gl.save(cube(1, 8, 8), tmp_path / "x.zarr")
    with pytest.raises(gl.GeodesError, match=r"x\.zarr exists already: give overwrite=True"):
        gl.save(cube(1, 8, 8), tmp_path / "x.zarr")
    (tmp_path / "letters.zarr").mkdir()
    with pytest.raises(gl.GeodesError, match=r"is not a Zarr store, and gl\.save does not replace it"):
        gl.save(cube(1, 8, 8), tmp_path / "letters.zarr", overwrite=True)
    assert gl.save(cube(3, 8, 8), tmp_path / "x.zarr", overwrite=True).sizes["time"] == 3


def test_save_that_fails_leaves_what_was_there(tmp_path):
    gl.save(cube(1, 8, 8), tmp_path / "x.zarr")

    def fail(block):
        raise RuntimeError("disk on fire")

    made = cube(2, 8, 8)
    made["ndvi"] = made.ndvi.copy(
        data=da.map_blocks(fail, made.ndvi.data, dtype="float32", meta=np.empty((0, 0, 0), "f4"))
    )
    with pytest.raises(RuntimeError, match="disk on fire"):
        gl.save(made, tmp_path / "x.zarr", overwrite=True)
    assert xr.open_zarr(tmp_path / "x.zarr", consolidated=False).sizes["time"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


def test_array_is_saved_under_its_name_and_nothing_is_refused(tmp_path):
    assert list(gl.save(cube(1, 4, 4).ndvi, tmp_path / "x.zarr").data_vars) == ["ndvi"]
    with pytest.raises(gl.GeodesError, match="no variable to save"):
        gl.save(xr.Dataset(), tmp_path / "y.zarr")
    for name in ("s3://bucket/x.tif", "x.nck"):
        with pytest.raises(gl.GeodesError, match=r"ends in \.zarr"):
            gl.save(cube(1, 4, 4), name)
    with pytest.raises(gl.GeodesError, match="save a node of the tree"):
        gl.save(xr.DataTree(), tmp_path / "y.zarr")


def test_whole_cube_of_products_is_saved_with_where_it_came_from(on_disk, tmp_path):
    made = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-07-15"), bands=["red"], bbox=(1.80, 43.58, 1.81, 43.59))
    saved = gl.save(made, tmp_path / "cube.zarr")
    assert saved["product"].values.tolist() == made["product"].values.tolist()
    assert saved.baseline.values.tolist() == ["05.00 03.01"]
    np.testing.assert_array_equal(saved.red, made.red)
