"""A cube as NetCDF: read again by xarray and by GDAL, and by the rules of CF."""

from __future__ import annotations

import json
import shutil
import subprocess

import cf_xarray  # noqa: F401  (registers .cf)
import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import geodes_lab as gl
from tests.results.test_save import cube


@pytest.fixture
def data() -> xr.Dataset:
    made = cube(3, 600, 530)
    made["classes"] = (
        (made.ndvi > 0.5)
        .astype("uint8")
        .assign_attrs(flag_values=np.array([0, 1], "uint8"), flag_meanings="bare green", _FillValue=np.uint8(255))
    )
    made["ndvi"].attrs["standard_name"] = "normalized_difference_vegetation_index"
    return made.assign_attrs(history="opened in place", superseded=[], orbits=["a", "b"], plan={"bytes": 3}, whole=True)


def test_same_values_axes_and_crs(data, tmp_path):
    saved = gl.save(data, tmp_path / "a" / "ndvi.nc")
    np.testing.assert_array_equal(saved.ndvi.values, data.ndvi.values)
    np.testing.assert_array_equal(saved.classes.values, data.classes.values)
    np.testing.assert_array_equal(saved.time.values, data.time.values)
    assert saved.rio.crs.to_epsg() == 32631
    assert saved.attrs["history"].splitlines()[0] == "opened in place"
    assert list(saved.attrs["orbits"]) == ["a", "b"]
    assert json.loads(saved.attrs["plan"]) == {"bytes": 3}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["ndvi.nc"]


def test_by_the_conventions(data, tmp_path):
    gl.save(data, tmp_path / "ndvi.nc").close()
    with xr.open_dataset(tmp_path / "ndvi.nc") as read:
        assert read.attrs["Conventions"] == "CF-1.11"
        assert set(read.cf.axes) == {"X", "Y", "T"}
        assert read.cf["projection_x_coordinate"].attrs["units"] == "m"
        assert read.ndvi.attrs["grid_mapping"] == "spatial_ref"
        assert read.spatial_ref.attrs["grid_mapping_name"] == "transverse_mercator"
        assert read.ndvi.encoding["chunksizes"] == (1, 512, 512)
    with xr.open_dataset(tmp_path / "ndvi.nc", decode_times=False, mask_and_scale=False) as read:
        assert read.time.dtype == np.int64
        assert read.classes.dtype == np.uint8
        assert read.classes.attrs["_FillValue"] == 255


def test_gdal_reads_it_at_its_place(data, tmp_path):
    """Oracle: GDAL's own driver, which gives the rows from north to south."""
    gl.save(data, tmp_path / "ndvi.nc").close()
    with rasterio.open(f"netcdf:{tmp_path / 'ndvi.nc'}:ndvi") as image:
        assert image.crs.to_epsg() == 32631
        assert image.transform == data.odc.geobox.affine
        np.testing.assert_array_equal(image.read(2), data.ndvi.values[1])


def test_degrees_are_longitude_and_latitude(tmp_path):
    made = cube(1, 20, 30).rio.reproject("EPSG:4326")
    with gl.save(made, tmp_path / "a.nc") as saved:
        assert saved.x.attrs["standard_name"] == "longitude"
        assert saved.y.attrs["units"] == "degrees_north"


@pytest.mark.skipif(not shutil.which("ncdump"), reason="ncdump is not installed")
def test_ncdump_reads_it(data, tmp_path):
    gl.save(data, tmp_path / "a.nc").close()
    assert (
        "ndvi:grid_mapping"
        in subprocess.run(["ncdump", "-h", tmp_path / "a.nc"], capture_output=True, text=True, check=True).stdout
    )


def test_whole_or_not_there(data, tmp_path):
    gl.save(data, tmp_path / "a.nc").close()
    with pytest.raises(gl.GeodesError, match="exists already"):
        gl.save(data, tmp_path / "a.nc")

    def fail(block):
        raise RuntimeError("disk on fire")

    data["ndvi"] = data.ndvi.copy(data=da.map_blocks(fail, data.ndvi.data, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    with pytest.raises(RuntimeError, match="disk on fire"):
        gl.save(data, tmp_path / "a.nc", overwrite=True)
    with xr.open_dataset(tmp_path / "a.nc") as read:
        assert read.sizes["time"] == 3
    (tmp_path / "b.nc").mkdir()
    with pytest.raises(gl.GeodesError, match="is a folder"):
        gl.save(data, tmp_path / "b.nc", overwrite=True)
    with pytest.raises(gl.GeodesError, match=r"complex.*\.real"):
        gl.save(cube(1, 4, 4) * 1j, tmp_path / "c.nc")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "b.nc"]


def test_cube_of_products(on_disk, tmp_path):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06", bbox=(1.7, 43.5, 1.9, 43.6), profile="local")
    data = gl.open_cube(items, bands=["red", "MSK_OPAQUE"], bbox=(1.75, 43.52, 1.80, 43.56))
    with gl.save(data, tmp_path / "a.nc") as saved:
        np.testing.assert_array_equal(saved.red.values, data.red.values)
        assert list(saved["product"].values) == list(data["product"].values)
        assert list(saved.time.values) == list(data.time.values)
