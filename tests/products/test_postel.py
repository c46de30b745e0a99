"""POSTEL: HDF5 of a byte a pixel, bare or compressed; scaled and placed by what the file or the public description says."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyproj import Transformer
from rasterio.warp import transform

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.sample import theia_others
from geodes_lab.storage.resolve import Fetched

LEAVES = [p for p in theia_others.products() if isinstance(p, theia_others.LeafArea)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("postel")
    for leaf in LEAVES:
        leaf.write(path / f"{leaf.name}{leaf.suffix}")
    return path


def want(leaf) -> np.ndarray:
    raw = leaf.numbers().astype("float64")
    return np.where(raw == 255, np.nan, raw / 30)


@pytest.mark.thorough
def test_leaf_area_lies_on_latitudes_and_longitudes(folder):
    tree = gl.open_product(folder / f"{LEAVES[0].name}.h5")
    lai = tree["r0.05deg"].LAI
    assert lai.dims == ("latitude", "longitude")
    np.testing.assert_allclose(lai.latitude.values[[0, -1]], [89.975, -89.975])
    np.testing.assert_allclose(lai.longitude.values[[0, -1]], [-179.975, 179.975])
    np.testing.assert_allclose(lai.values, want(LEAVES[0]), atol=1e-6)
    assert lai.attrs["standard_name"] == "leaf_area_index"
    assert tree.attrs["time"] == "2021-07-05T00:00:00+00:00"
    assert "standard_name" not in tree["r0.05deg"]["LAI-RMSE"].attrs


def test_numbers_are_those_of_h5py(folder):
    with h5py.File(folder / f"{LEAVES[0].name}.h5") as file:
        raw, divisor = file["LAI"][1000:1010, 3500:3600], file["LAI"].attrs["SCALING_FACTOR"]
    got = gl.open_product(folder / f"{LEAVES[0].name}.h5")["r0.05deg"].LAI[1000:1010, 3500:3600].values
    np.testing.assert_allclose(got, np.where(raw == 255, np.nan, raw / divisor), atol=1e-6)


def test_gzip_is_extracted_once_and_said(folder):
    path = folder / f"{LEAVES[1].name}.h5.gz"
    with pytest.warns(Fetched, match=r"is compressed, so the whole file was extracted .* to .*\.h5"):
        tree = gl.open_product(path)
    np.testing.assert_allclose(gl.open_product(path)["r0.05deg"].LAI.values, want(LEAVES[1]), atol=1e-6)
    assert pickle.loads(pickle.dumps(tree["r0.05deg"].LAI)).sizes == {"latitude": 3600, "longitude": 7200}


@pytest.mark.filterwarnings("ignore::geodes_lab.storage.resolve.Fetched")
def test_cube_of_both_is_the_truth_on_the_grid_and_averaged(folder):
    paths = [folder / f"{leaf.name}{leaf.suffix}" for leaf in LEAVES]
    cube = gl.open_cube(paths, bands=["lai"], bbox=(0, 40, 6, 46))
    for number, leaf in enumerate(LEAVES):
        np.testing.assert_allclose(cube.lai.values[number], want(leaf)[880:1000, 3600:3720], atol=1e-6)
    coarse = gl.open_cube(paths[:1], bands=["lai"], bbox=(0, 40, 6, 46), resolution=0.2, resampling="average")
    block = want(LEAVES[0])[880:1000, 3600:3720].reshape(30, 4, 30, 4)
    np.testing.assert_allclose(coarse.lai.values[0], np.nanmean(block, (1, 3)), atol=1e-5)


def write(path: Path, name: str, numbers: np.ndarray, root: dict | None = None, **attrs: object) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update(root or {})
        file.create_dataset(name, data=numbers).attrs.update(attrs)
    return path


def test_geolands_attributes_place_and_scale(tmp_path):
    """They are of the centre of the first pixel, arrays of one number, and the factor divides."""
    numbers = np.array([[0, 100, 250, 255]] * 3, np.uint8)
    root = {"FIRST_LAT": np.array([45.0]), "FIRST_LON": np.array([2.0]), "PIXEL_SIZE": np.bytes_("0.5")}
    path = write(
        tmp_path / "a_20050101.h5", "NDVI", numbers, root, SCALING_FACTOR=250.0, OFFSET=-0.08, MISSING_VALUE=255
    )
    ndvi = gl.open_product(path)["r0.5deg"].NDVI
    np.testing.assert_allclose(ndvi.values[0], [-0.08, 0.32, 0.92, np.nan], atol=1e-6)
    assert (float(ndvi.latitude[0]), float(ndvi.longitude[-1])) == (45.0, 3.5)


@pytest.mark.parametrize(
    ("quantity", "want"),
    [("LAI", [0, 7, np.nan, np.nan]), ("FAPAR", [0, 0.84, np.nan, np.nan]), ("FCOVER", [0, 0.84, 1.0, np.nan]),
     ("NDVI", [-0.08, 0.76, 0.92, np.nan])],
)  # fmt: skip
def test_geov2_is_scaled_as_described_where_the_file_says_nothing(tmp_path, quantity, want):
    path = tmp_path / f"THEIA_GEOV2_R01_AVHRR_{quantity}_20100105.h5"
    write(path, quantity, np.array([[0, 210, 250, 255]] * 2, np.uint8))
    tree = gl.open_product(path)
    np.testing.assert_allclose(tree["r90deg"][quantity].values[1], want, atol=1e-6)


def test_unknown_hdf5_is_given_as_it_is(tmp_path):
    path = tmp_path / "POSTEL_ALBEDO_1997.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/b/ALBEDO", data=np.arange(12, dtype="int16").reshape(3, 4)).attrs["note"] = "x"
        file["table"] = np.arange(5.0)
    tree = gl.open_product(path)
    np.testing.assert_array_equal(tree["a/b"].ALBEDO.values, np.arange(12).reshape(3, 4))
    assert tree["a/b"].ALBEDO.attrs["note"] == "x"
    np.testing.assert_array_equal(tree["table"].values, np.arange(5))
    with pytest.raises(gl.GeodesError, match="no array with a position on a map: it cannot be part of a cube"):
        gl.open_cube([path], bands=["ALBEDO"])


def test_file_in_a_zip_is_read_there(folder, tmp_path):
    path = tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / f"{LEAVES[0].name}.h5", f"x/{LEAVES[0].name}.h5")
    got = gl.open_product(path)["r0.05deg"].LAI[:100, :100].values
    np.testing.assert_allclose(got, want(LEAVES[0])[:100, :100], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.h5", b"", "is empty"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "cannot be opened as HDF5"),
        ("a.h5.gz", b"", "is not a gzip file"),
        ("a.h5.gz", gzip.compress(b"x" * 1000, mtime=0)[:-9] + bytes(8), "is damaged"),
        ("a.h5.gz", gzip.compress(bytes(range(256)) * 40)[:200], "is damaged"),
    ],
)
def test_damage_is_one_sentence(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_product(tmp_path / name)


def test_factor_of_nothing_is_refused(tmp_path):
    path = write(
        tmp_path / "THEIA_GEOV2_R01_AVHRR_LAI_20100105.h5", "LAI", np.zeros((2, 4), np.uint8), SCALING_FACTOR=0.0
    )
    with pytest.raises(gl.GeodesError, match=r"SCALING_FACTOR of LAI .* is 0"):
        gl.open_product(path)


def test_array_that_shrank_is_found_out(tmp_path):
    path = write(tmp_path / "THEIA_GEOV2_R01_AVHRR_LAI_20100105.h5", "LAI", np.zeros((2, 4), np.uint8))
    item = products.unpack(path)
    write(path, "LAI", np.zeros((3, 6), np.uint8))
    with pytest.raises(gl.GeodesError):
        gl.open_cube([item], bands=["LAI"]).compute(scheduler="sync")


@pytest.mark.filterwarnings("ignore::geodes_lab.storage.resolve.Fetched")
def test_sample_opens_from_s3(on_s3):
    items = gl.search("THEIA_POSTEL_VEGETATION_LAI")
    assert [i.assets["product"].href.rsplit(".", 1)[-1] for i in items] == ["h5", "gz"]
    cube = gl.open_cube(items, bands=["LAI"], bbox=(0, 40, 2, 42)).compute(scheduler="threads")
    np.testing.assert_allclose(cube.LAI.values[1], want(LEAVES[1])[960:1000, 3600:3640], atol=1e-6)


@pytest.mark.parametrize(("crs", "resolution"), [(32631, 1000), (2154, 1000), (3857, 2000), (3035, 1000)])
def test_a_map_of_the_world_is_read_on_a_map_of_a_country(folder, crs, resolution):
    """Most of the world has no place in such a CRS; what has is where PROJ puts it."""
    cube = gl.open_cube(
        [folder / f"{LEAVES[0].name}.h5"], bands=["lai"], bbox=(0, 42, 4, 46), crs=crs, resolution=resolution
    )
    assert 0 < cube.odc.geobox.geographic_extent.boundingbox.left + 1 < 2
    x, y = np.meshgrid(cube.x, cube.y)
    east, north = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    every = want(LEAVES[0])
    wanted = every[np.floor((90 - north) / 0.05).astype(int), np.floor((east + 180) / 0.05).astype(int)]
    same = np.isclose(cube.lai.values[0], wanted, equal_nan=True)
    assert same.mean() > 0.9999, "but for pixels on an edge"
    assert np.isfinite(wanted).any()


def test_a_map_of_the_world_beside_sentinel2(folder, sample):
    scene = sorted((sample / "datalake/sentinel2-l1c/31/T/CJ/2021/08/04").glob("*.zip"))[0]
    like = gl.open_cube([scene], bands=["red"], resolution=60)
    lai = gl.open_cube([folder / f"{LEAVES[0].name}.h5"], bands=["lai"], like=like).lai[0]
    assert lai.shape == like.red.shape[1:]
    x, y = float(like.x[7]), float(like.y[9])
    longitude, latitude = transform("EPSG:32631", "EPSG:4326", [x], [y])
    there = want(LEAVES[0])[int((90 - latitude[0]) / 0.05), int((longitude[0] + 180) / 0.05)]
    np.testing.assert_allclose(float(lai[9, 7]), there, atol=1e-6)
