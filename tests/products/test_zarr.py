"""Zarr stores as products: what xarray and zarr-python have written, against numpy."""

from __future__ import annotations

import functools
import http.server
import json
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pystac
import pytest
import rioxarray  # noqa: F401
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import CRS

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.formats import tile_cache
from geodes_lab.formats.zarr import image as zarr_image
from geodes_lab.products.zarr import cf
from geodes_lab.products.zarr import product as zarr_product
from geodes_lab.reading import window
from geodes_lab.storage.location import locate, place_of
from geodes_lab.storage.traffic import traffic
from tests.support.examples import examples

ROWS, COLS = 70, 90  # no multiples of a chunk
WEST, NORTH = 300_000, 4_900_000


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Each test begins without chunks and arrays in memory."""
    tile_cache.forget()
    zarr_image.open.cache_clear()


def numbers(dtype: str = "uint16", rows: int = ROWS, cols: int = COLS, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.integers(1, 9000 if np.dtype(dtype).itemsize > 1 else 100, (rows, cols))
    found[:9, :7] = 0
    return found.astype(dtype)


def grid(rows: int = ROWS, cols: int = COLS, resolution: int = 10, row: int = 0, col: int = 0) -> GeoBox:
    west, north = WEST + resolution * col, NORTH - resolution * row
    bounds = (west, north - resolution * rows, west + resolution * cols, north)
    return GeoBox.from_bbox(bounds, "EPSG:32631", resolution=resolution)


def dataset(geobox: GeoBox | None = None, **arrays: Any) -> xr.Dataset:
    """Arrays on a grid, with CF's grid mapping; numbers and their encoding as they shall be in the file."""
    geobox = geobox or grid()
    return xr.Dataset(arrays, coords=xr_coords(geobox, dims=("y", "x")))


def packed(values: Any, scale: float | None = None, offset: float | None = None, fill: Any = None) -> xr.DataArray:
    attrs = {"grid_mapping": "spatial_ref", "scale_factor": scale, "add_offset": offset, "_FillValue": fill}
    return xr.DataArray(values, dims=("y", "x"), attrs={k: v for k, v in attrs.items() if v is not None})


def write(path: Path, data: xr.Dataset, group: str | None = None, mode: str = "w", **options: Any) -> Path:
    """As xarray writes it, in chunks of 32 by 40; numbers stay as they are."""
    shards = options.pop("shards", None)
    options = {"zarr_format": 3, "consolidated": False, **options}
    encoding = {}
    for name, variable in data.data_vars.items():
        if variable.ndim >= 2:
            front = (1,) * (variable.ndim - 2)
            encoding[name] = {"chunks": (*front, 32, 40), **({"shards": (*front, *shards)} if shards else {})}
    data.to_zarr(path, group=group, mode=mode, encoding=encoding, **options)
    return path


def item(hrefs: str | Path | dict[str, Any], day: int = 1, name: str = "p", **properties: Any) -> pystac.Item:
    made = pystac.Item(name, None, None, datetime(2021, 6, day, 10, 30, tzinfo=UTC), properties)
    for key, href in (hrefs if isinstance(hrefs, dict) else {"data": hrefs}).items():
        media = "application/vnd+zarr; version=3; profile=multiscales"
        made.add_asset(key, href if isinstance(href, pystac.Asset) else pystac.Asset(str(href), media_type=media))
    return made


def computed(*items: Any, bands: list[str], **options: Any) -> xr.Dataset:
    return gl.open_cube(list(items), bands=bands, **options).compute(scheduler="sync")


def measure(values: np.ndarray, scale: float = 1e-4, offset: float = -0.1, fill: float | None = 0) -> np.ndarray:
    found = values.astype("float32") * np.float32(scale) + np.float32(offset)
    return found if fill is None else np.where(values == fill, np.float32(np.nan), found)


@pytest.fixture
def bucket(on_s3, sample) -> Iterator[Path]:
    folder = sample / "datalake" / "zarrs"
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def web(tmp_path) -> Iterator[str]:
    """A plain web server over the folder ``web``: no listing, no ranges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def list_directory(self, path: Any) -> None:
            self.send_error(404)

    (tmp_path / "web").mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "web")
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


LAYOUTS = [
    {"zarr_format": 3},
    {"zarr_format": 3, "shards": (64, 80)},
    {"zarr_format": 2},
    {"zarr_format": 2, "consolidated": True},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_any_layout_anywhere_is_what_was_written(tmp_path, request, layout, where):
    folder = request.getfixturevalue("bucket") if where == "s3" else tmp_path
    data = dataset(
        red=packed(numbers(), 1e-4, -0.1, 0),
        index=packed(np.where(numbers() == 0, np.nan, numbers("float32") / 7)),
        scl=packed(numbers("uint8"), fill=0),
    )
    path = write(folder / "a.zarr", data, **layout)
    href = path if where == "disk" else "s3://zarrs/a.zarr"
    cube = computed(item(href), bands=["red", "index", "scl"])
    np.testing.assert_array_equal(cube.red.values[0], measure(numbers()))
    np.testing.assert_array_equal(cube.index.values[0], data.index.values.astype("float32"))
    np.testing.assert_array_equal(cube.scl.values[0], numbers("uint8"))
    assert cube.scl.dtype == np.uint8
    assert cube.odc.geobox == grid()
    tree = gl.open_product(item(href))
    np.testing.assert_allclose(tree.red.compute(scheduler="sync").values, measure(numbers()), atol=1e-6)
    assert tree.attrs["title"] == "p"
    assert tree.attrs["source"] == str(href)
    assert tree.red.chunks is not None
    assert tree.to_dataset().rio.crs.to_epsg() == 32631


@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.thorough
def test_store_on_the_web_is_read_where_it_says_what_it_holds(tmp_path, web, version):
    data = dataset(red=packed(numbers(), 1e-4, -0.1))
    write(tmp_path / "web" / "a.zarr", data, consolidated=True, zarr_format=version)
    write(tmp_path / "web" / "b.zarr", data, zarr_format=version)
    np.testing.assert_array_equal(
        computed(item(f"{web}/a.zarr"), bands=["red"]).red.values[0], measure(numbers(), fill=None)
    )
    np.testing.assert_allclose(
        gl.open_product(f"{web}/a.zarr").red.compute(scheduler="sync").values, measure(numbers(), fill=None), atol=1e-6
    )
    cube = computed(item({"r": f"{web}/b.zarr/red"}), bands=["r"])
    np.testing.assert_array_equal(cube.r.values[0], measure(numbers(), fill=None))
    for call in (gl.open_product, products.unpack):
        with pytest.raises(
            gl.GeodesError, match="cannot list folders: consolidate its metadata, or give the addresses of"
        ):
            call(f"{web}/b.zarr")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32", "int32", "float32", "float64", ">u2", "bool"])
def test_numbers_of_any_type(tmp_path, dtype):
    values = numbers("uint8").astype(dtype)
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2 if dtype == ">u2" else 3)
    root.attrs["proj:code"] = "EPSG:32631"
    named = {"attributes": {"_ARRAY_DIMENSIONS": ["y", "x"]}} if dtype == ">u2" else {"dimension_names": ["y", "x"]}
    named.setdefault("attributes", {})["spatial:transform"] = [10, 0, WEST, 0, -10, NORTH]
    root.create_array("a", data=values, chunks=(32, 40), **named, **({"fill_value": None} if dtype == ">u2" else {}))
    made = products.unpack(item(tmp_path / "a.zarr"))
    fields = made.assets["a"].extra_fields
    assert fields["proj:code"] == "EPSG:32631"
    assert fields["proj:transform"] == [10, 0, WEST, 0, -10, NORTH]
    assert fields["geodes:tile"] == [32, 40]
    assert fields.get("nodata") is None
    np.testing.assert_array_equal(computed(made, bands=["a"]).a.values[0], values)
    np.testing.assert_array_equal(computed(item(tmp_path / "a.zarr"), bands=["a"]).a.values[0], values)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zarr")
    data = dataset(a=packed(numbers()))
    planes = np.stack([numbers(seed=n) for n in range(5)])
    zarr.create_array(folder / "planes.zarr", name="a", data=planes, chunks=(2, 32, 40))
    return {
        "plain": write(folder / "plain.zarr", data),
        "sharded": write(folder / "sharded.zarr", data, shards=(64, 80)),
        "planes": folder / "planes.zarr",
    }


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), which=st.sampled_from(["plain", "sharded", "planes"]), plane=st.integers(1, 5))
def test_any_window_is_part_of_the_whole(stores, data, which, plane):
    plane = plane if which == "planes" else 1
    image = zarr_image.ZarrImage(locate(stores[which] / "a"), plane)
    top, left = data.draw(st.integers(0, ROWS - 1)), data.draw(st.integers(0, COLS - 1))
    rows, cols = (top, data.draw(st.integers(top + 1, ROWS))), (left, data.draw(st.integers(left + 1, COLS)))
    if data.draw(st.booleans()):
        tile_cache.forget()
    found = image.read(0, rows, cols)
    want = numbers(seed=plane - 1)[slice(*rows), slice(*cols)]
    assert found.shape == (plane, *want.shape)
    np.testing.assert_array_equal(found[plane - 1], want)


def upload(folder: Path, href: str) -> None:
    """As S3 does it: with a tag for each object."""
    place = locate(href)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            obstore.put(place.store, f"{place.path}/{path.relative_to(folder)}", path.read_bytes())


@pytest.mark.parametrize(("which", "indexes"), [("plain", 0), ("sharded", 4)])
def test_each_chunk_is_read_once_and_none_at_opening(bucket, stores, which, indexes):
    upload(stores[which], "s3://zarrs/a.zarr")
    before = traffic.bytes
    cube = gl.open_cube([item("s3://zarrs/a.zarr")], bands=["a"], chunks=25)  # cuts through chunks
    whole = sum(p.stat().st_size for p in (stores[which] / "a" / "c").rglob("*") if p.is_file())
    coordinates = sum(p.stat().st_size for c in "xy" for p in (stores[which] / c).rglob("*") if p.is_file())
    metadata = sum(p.stat().st_size for p in stores[which].rglob("zarr.json"))
    assert traffic.bytes - before <= 3 * metadata + coordinates
    opened, before = zarr_image.open(place_of("/vsis3/zarrs/a.zarr/a"), 1, 0), traffic.bytes
    requests = traffic.requests
    found = cube.compute(scheduler="sync")
    np.testing.assert_array_equal(found.a.values[0], numbers())
    assert tile_cache.shared().decoded == 9
    assert traffic.bytes - before == whole
    # What the server of these tests does not know costs a probe for each index, at first, and asking for its size.
    assert 9 + indexes <= traffic.requests - requests <= 9 + 3 * indexes
    assert opened.shapes == ((ROWS, COLS),)


def test_requests_that_fail_are_made_again_and_counted(bucket, stores, monkeypatch):
    upload(stores["plain"], "s3://zarrs/a.zarr")
    cube = gl.open_cube([item("s3://zarrs/a.zarr")], bands=["a"])
    asked, failed = obstore.get_async, []

    async def flaky(store: Any, path: str, **options: Any) -> Any:
        if path.endswith("c/0/0") and len(failed) < 2:
            failed.append(path)
            raise OSError("503 Service Unavailable")
        return await asked(store, path, **options)

    monkeypatch.setattr(obstore, "get_async", flaky)
    np.testing.assert_array_equal(cube.compute(scheduler="sync").a.values[0], numbers())
    assert len(failed) == 2
    assert gl.report(cube).table.retried.tolist() == [2]


def test_tree_travels_to_workers_without_keys(bucket, stores):
    upload(stores["plain"], "s3://zarrs/a.zarr")
    sent = pickle.dumps(gl.open_product("s3://zarrs/a.zarr").a)
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in sent
    np.testing.assert_array_equal(pickle.loads(sent).compute(scheduler="sync").values, numbers())


def test_shard_that_was_replaced_is_noticed(bucket, tmp_path, stores):
    upload(stores["sharded"], "s3://zarrs/a.zarr")
    image = zarr_image.ZarrImage(locate("s3://zarrs/a.zarr/a"))
    image.read(0, (0, 10), (0, 10))
    upload(write(tmp_path / "b.zarr", dataset(a=packed(numbers(seed=9))), shards=(64, 80)), "s3://zarrs/a.zarr")
    with pytest.raises(gl.GeodesError, match="was replaced"):
        image.read(0, (0, 10), (40, 50))
    np.testing.assert_array_equal(image.read(0, (0, 10), (40, 50))[0], numbers(seed=9)[:10, 40:50])


def test_chunk_that_was_written_anew_on_disk_is_read_anew(tmp_path):
    path = write(tmp_path / "a.zarr", dataset(a=packed(numbers())))
    one = item(path)
    computed(one, bands=["a"])
    array = zarr.open_array(path / "a", mode="r+")
    array[:32, :40] = 7
    want = numbers()
    want[:32, :40] = 7
    np.testing.assert_array_equal(computed(one, bands=["a"]).a.values[0], want)


def eopf(path: Path, **options: Any) -> Path:
    """Laid out as EOPF lays out Sentinel-2: a group per resolution, masks in groups of the same names."""
    fine, coarse = grid(), grid(ROWS // 2, COLS // 2, 20)
    bands = {"r10m": ("b02", "b04"), "r20m": ("b04", "b8a")}
    for resolution, geobox in (("r10m", fine), ("r20m", coarse)):
        shape = geobox.shape
        arrays = {b: packed(numbers("uint16", *shape, seed=int(b[1:], 16)), 1e-4, -0.1, 0) for b in bands[resolution]}
        data = dataset(geobox, **arrays).drop_vars("spatial_ref")
        for variable in data.values():
            variable.attrs.pop("grid_mapping")
            variable.attrs["long_name"] = "TOA reflectance"
        write(path, data, f"measurements/reflectance/{resolution}", "a", **options)
        masks = data.map(lambda v: (v & 7).astype("uint8"), keep_attrs=False)
        for variable in masks.values():
            variable.attrs = {"flag_masks": [1, 2, 4], "flag_meanings": ["opaque", "cirrus", "snow"]}
        write(path, masks, f"quality/mask/{resolution}", "a", **options)
    scl = dataset(coarse, scl=packed(numbers("uint8", *coarse.shape) % 12)).drop_vars("spatial_ref")
    scl.scl.attrs = {"flag_values": [3, 8], "flag_meanings": "shadow cloud"}
    write(path, scl, "conditions/mask/l2a_classification/r20m", "a", **options)
    discovery = {"properties": {"proj:epsg": 32631.0, "platform": "sentinel-2a", "datetime": "2021-06-05T10:50:31Z"}}
    zarr.open_group(path, mode="a").attrs["stac_discovery"] = discovery
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_eopf_product_has_its_bands_by_name_and_common_name(tmp_path, version):
    path = eopf(tmp_path / "S2A.zarr", zarr_format=version)
    made = products.unpack(path)
    assert set(made.assets) == {
        *("b02", "r10m_b04", "r20m_b04", "b8a", "scl"),
        *("mask_r10m_b02", "mask_r10m_b04", "mask_r20m_b04", "mask_r20m_b8a"),
    }
    cube = computed(path, bands=["red", "b04", "r20m_b04", "nir08"])
    assert str(cube.time.values[0]).startswith("2021-06-05T10:50:31")
    for band in ("red", "b04"):
        np.testing.assert_array_equal(cube[band].values[0], measure(numbers(seed=4)))
    for band, seed in (("r20m_b04", 4), ("nir08", 0x8A)):
        half = measure(numbers("uint16", ROWS // 2, COLS // 2, seed=seed))
        found = computed(path, bands=[band], resolution=20)
        np.testing.assert_array_equal(found[band].values[0], half)
    assert made.assets["r10m_b04"].title == "TOA reflectance"
    assert made.assets["r10m_b04"].extra_fields["bands"][0] == {
        "name": "b04",
        "eo:common_name": "red",
        "eo:center_wavelength": 0.665,
    }
    assert "eo:common_name" not in made.assets["r20m_b04"].extra_fields["bands"][0]
    masked = gl.open_cube([made], bands=["b8a"], mask=["cloud", "shadow"], resolution=20).compute(scheduler="sync")
    scl = numbers("uint8", ROWS // 2, COLS // 2) % 12
    want = measure(numbers("uint16", ROWS // 2, COLS // 2, seed=0x8A))
    np.testing.assert_array_equal(masked.b8a.values[0], np.where(np.isin(scl, [3, 8]), np.float32(np.nan), want))
    tree = gl.open_product(path)
    assert tree["measurements/reflectance/r20m"].b8a.shape == (ROWS // 2, COLS // 2)
    assert set(gl.open_product(path / "measurements" / "reflectance" / "r10m").data_vars) == {"b02", "b04"}


def test_assets_that_are_groups_and_arrays(tmp_path):
    path = eopf(tmp_path / "a.zarr")
    fields = {"bands": [{"name": "B04", "eo:common_name": "red"}]}
    array = pystac.Asset(f"{path}/measurements/reflectance/r20m/b04", extra_fields=fields)
    one = item({"product": path, "SR_10m": path / "measurements" / "reflectance" / "r10m", "B04_20m": array})
    one.add_asset("metadata", pystac.Asset(f"{path}/zarr.json", media_type="application/json"))
    one = pystac.Item.from_dict(one.to_dict())
    made = products.unpack(one)
    assert {"B04_20m", "b02", "r10m_b04", "b8a", "metadata"} <= set(made.assets)
    assert "r20m_b04" not in made.assets
    found = computed(made, bands=["red"], resolution=20)
    np.testing.assert_array_equal(found.red.values[0], measure(numbers("uint16", ROWS // 2, COLS // 2, seed=4)))
    only = products.unpack(one, ["b02"])
    assert [k for k, a in only.assets.items() if "proj:transform" in a.extra_fields] == ["b02"]
    assert "proj:transform" in products.unpack(only, ["b8a"]).assets["b8a"].extra_fields
    with pytest.raises(gl.GeodesError, match=r"p has no band 'b12'.* It has: "):
        gl.open_cube([one], bands=["b12"])


def test_bands_of_one_array_are_named_by_their_coordinate(tmp_path):
    values = np.stack([numbers(seed=n) for n in range(3)])
    data = dataset(a=packed(numbers())).drop_vars("a")
    data["sr"] = (("band", "y", "x"), values, {"grid_mapping": "spatial_ref"})
    path = write(tmp_path / "a.zarr", data.assign_coords(band=[10, 20, 30]))
    cube = computed(item(path), bands=["sr_20", "sr_30"])
    np.testing.assert_array_equal(cube.sr_20.values[0], values[1])
    np.testing.assert_array_equal(cube.sr_30.values[0], values[2])


def test_two_dates_of_two_stores_are_pasted_and_warped(tmp_path):
    places = {1: (0, 0), 2: (5, 8)}
    items = []
    for day, (row, col) in places.items():
        data = dataset(grid(row=row, col=col), a=packed(numbers(seed=day), 1e-4, -0.1, 0))
        items.append(item(write(tmp_path / f"{day}.zarr", data), day, f"p{day}"))
    window.ways.clear()
    cube = computed(*items, bands=["a"])
    assert set(window.ways) == {"tiles"}
    want = np.full((2, ROWS + 5, COLS + 8), np.nan, "float32")
    for n, (day, (row, col)) in enumerate(places.items()):
        want[n, row : row + ROWS, col : col + COLS] = measure(numbers(seed=day))
    np.testing.assert_array_equal(cube.a.values, want)
    coarse = computed(*items, bands=["a"], resolution=20, resampling="average").a.values[0]
    blocks = measure(numbers(seed=1)).reshape(ROWS // 2, 2, COLS // 2, 2)
    full = ~np.isnan(blocks).any(axis=(1, 3))
    np.testing.assert_allclose(coarse[: ROWS // 2, : COLS // 2][full], blocks.mean(axis=(1, 3))[full], atol=1e-4)


def test_what_was_saved_opens_again(tmp_path):
    one = item(write(tmp_path / "a.zarr", dataset(a=packed(numbers(), 1e-4, -0.1, 0))))
    cube = gl.open_cube([one], bands=["a"])
    gl.save(cube, tmp_path / "saved.zarr")
    tree = gl.open_product(tmp_path / "saved.zarr")
    np.testing.assert_array_equal(tree.a.compute(scheduler="sync").values[0], measure(numbers()))
    again = computed(tmp_path / "saved.zarr", bands=["a"])
    np.testing.assert_array_equal(again.a.values[0], measure(numbers()))
    assert str(again.time.values[0]).startswith("2021-06-01T10:30")
    xr.testing.assert_equal(gl.open_cube([one], bands=["a"]).a.odc.geobox and again.x, cube.x)
    other = item(write(tmp_path / "b.zarr", dataset(a=packed(numbers(seed=1), 1e-4, -0.1, 0))), day=9)
    gl.save(gl.open_cube([one, other], bands=["a"]), tmp_path / "two.zarr")
    assert gl.open_product(tmp_path / "two.zarr").a.shape == (2, ROWS, COLS)
    with pytest.raises(gl.GeodesError, match=r"has 2 times: it is already a cube, open it with xarray\.open_zarr"):
        gl.open_cube([tmp_path / "two.zarr"], bands=["a"])


def test_coordinates_count_more_than_what_a_cut_has_left_behind(tmp_path):
    data = dataset(a=packed(numbers())).isel(y=slice(10, 40), x=slice(5, 50))
    assert data.spatial_ref.attrs["GeoTransform"].split()[0] == "300000"
    made = products.unpack(item(write(tmp_path / "a.zarr", data)))
    assert made.assets["a"].extra_fields["proj:transform"] == [10, 0, WEST + 50, 0, -10, NORTH - 100]


@pytest.mark.parametrize(
    ("attrs", "code"),
    [
        ({"proj:code": "EPSG:32631"}, 32631),
        ({"proj:epsg": 32631.0}, 32631),
        ({"crs_wkt": CRS(2154).to_wkt()}, 2154),
        ({"spatial_ref": CRS(32631).to_wkt()}, 32631),
        ({"other_metadata": {"horizontal_CRS_code": "EPSG:32631"}}, 32631),
        ({"stac_discovery": {"properties": {"proj:epsg": 32631}}}, 32631),
        ({"stac_discovery": {"properties": None}, "proj:epsg": "32631"}, 32631),
    ],
)
def test_crs_in_the_words_of_each(attrs, code):
    assert cf.epsg([{}, attrs]) == code


@pytest.mark.parametrize(
    ("attrs", "fill", "want"),
    [
        ({"_FillValue": -9999}, None, -9999),
        ({"_FillValue": "AAAAAAAA+H8="}, None, None),  # NaN, as xarray writes it
        ({"_FillValue": "AAAAAACIw8A="}, None, -10000),
        ({"missing_value": [255]}, 0, 255),
        ({}, np.uint16(0), 0),
        ({}, None, None),
    ],
)
def test_nodata_in_the_words_of_each(attrs, fill, want):
    assert cf.nodata(attrs, fill) == want


def test_coordinates_in_kilometres_are_metres():
    y = np.arange(5) * -1.0 + 100, {"units": "km"}
    x = np.arange(4) * 1.0, {"units": "km"}
    assert cf.transform(y, x, [], (5, 4)) == (1000, 0, -500, 0, -1000, 100_500)


def red(path: Any) -> None:
    gl.open_cube([item(path)], bands=["red"]).compute(scheduler="sync")


def says(match: str, path: Any) -> None:
    with pytest.raises(gl.GeodesError, match=match) as caught:
        red(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_no_grid_is_said(tmp_path):
    plain = dataset(red=packed(numbers()))
    says("Band red of p has no CRS: write one with", write(tmp_path / "a.zarr", plain.drop_vars("spatial_ref")))
    del plain.spatial_ref.attrs["GeoTransform"]
    says("has neither coordinates x and y nor a GeoTransform", write(tmp_path / "b.zarr", plain.drop_vars(["x", "y"])))
    x = plain.x.values.copy()
    x[50:] += 10
    says("Band red of p has coordinates that are not evenly", write(tmp_path / "c.zarr", plain.assign_coords(x=x)))
    says("rows that do not run south", write(tmp_path / "d.zarr", plain.isel(y=slice(None, None, -1))))
    plain.spatial_ref.attrs["crs_wkt"] = plain.spatial_ref.attrs["spatial_ref"] = 'LOCAL_CS["field"]'
    says("is in a CRS without an EPSG code", write(tmp_path / "e.zarr", plain))


def test_what_is_no_store_of_images_is_said(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    says(r"a\.zarr is not a Zarr store: it has no Zarr metadata; check the address", tmp_path / "a.zarr")
    zarr.open_group(tmp_path / "b.zarr", mode="w")
    says(r"b\.zarr of p has no array of dims \(y, x\); it has: nothing", tmp_path / "b.zarr")
    xr.Dataset({"t": ("time", np.arange(3))}).to_zarr(tmp_path / "c.zarr", consolidated=False)
    says(r"c\.zarr of p has no array of dims \(y, x\); it has: t", tmp_path / "c.zarr")
    write(tmp_path / "d.zarr", dataset(red=packed(numbers())))
    (tmp_path / "d.zarr" / "zarr.json").write_text('{"zarr_format": 3')
    says(r"The metadata of .*d\.zarr are damaged", tmp_path / "d.zarr")
    write(tmp_path / "e.zarr", dataset(red=packed(numbers())))
    (tmp_path / "e.zarr" / "deep").mkdir()
    says(r"has no group or array 'deep'", tmp_path / "e.zarr" / "deep")
    says(r"is a signed address", "http://127.0.0.1:9/a.zarr?signature=1")
    says(r"is not in a folder whose name ends in \.zarr", tmp_path)
    for call in (gl.open_product, products.unpack):
        with pytest.raises(gl.GeodesError, match="is not a Zarr store"):
            call(tmp_path / "a.zarr")


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=str)
def test_damaged_chunk_names_band_and_product_and_one_left_out_is_fill(tmp_path, layout):
    path = write(tmp_path / "a.zarr", dataset(red=packed(numbers(), 1e-4, -0.1)), **layout)
    chunk = path / "red" / ("c/0/0" if layout["zarr_format"] == 3 else "0.0")
    data = chunk.read_bytes()
    for bad in (data[: len(data) // 2], b"\xff" * len(data), b""):
        chunk.write_bytes(bad)
        says(r"Band red of p could not be read at .*chunk \d, \d of the Zarr array does not decode", path)
    chunk.unlink()
    found = computed(item(path), bands=["red"]).red.values[0]
    side = (64, 80) if "shards" in layout else (32, 40)
    np.testing.assert_array_equal(found[: side[0], : side[1]], np.float32(-0.1))
    np.testing.assert_array_equal(found[side[0] :], measure(numbers(), fill=None)[side[0] :])
    shutil.rmtree(path / "red")
    says(r"has no array of dims \(y, x\); it has: spatial_ref, x, y", path)


@pytest.mark.parametrize("shards", [None, (32, 40), (64, 80)], ids=str)
def test_cut_frame_of_blosc_is_an_error(tmp_path, shards):
    """numcodecs decodes what lies in memory behind it."""
    values = numbers()
    codec = zarr.codecs.BloscCodec(cname="lz4", typesize=2)
    zarr.create_array(tmp_path / "a.zarr", data=values, chunks=(32, 40), shards=shards, compressors=codec)
    image = zarr_image.ZarrImage(locate(tmp_path / "a.zarr"))
    np.testing.assert_array_equal(image.read(0, (0, ROWS), (0, COLS))[0], values)
    chunk = tmp_path / "a.zarr" / "c" / "0" / "0"
    data = chunk.read_bytes()
    for length in (10, len(data) // 2, len(data) - 20, len(data) - 1):
        chunk.write_bytes(data[:length])
        with pytest.raises(OSError, match="chunk 0, 0 of the Zarr array does not decode"):
            image.read(0, (0, 10), (0, 10))


def test_array_that_is_gone_and_server_that_is_not_there(tmp_path, bucket):
    write(bucket / "a.zarr", dataset(red=packed(numbers())))
    cube = gl.open_cube([item("s3://zarrs/a.zarr")], bands=["red"])
    shutil.rmtree(bucket / "a.zarr")
    with pytest.raises(gl.GeodesError, match=r"Band red of p could not be read .*not a Zarr array that can be read"):
        cube.compute(scheduler="sync")


def test_contradicted_shape_is_said(tmp_path):
    path = write(tmp_path / "a.zarr", dataset(red=packed(numbers())))
    cube = gl.open_cube([item(path)], bands=["red"])
    write(path, dataset(grid(20, 20), red=packed(numbers(rows=20, cols=20))))
    with pytest.raises(gl.GeodesError, match=f"the file has 20 × 20 pixels, not {ROWS} × {COLS}"):
        cube.compute(scheduler="sync")


def test_family_is_told_without_looking(tmp_path):
    for href, media in (
        ("s3://b/a.zarr", None),
        ("s3://b/a.zarr/", None),
        ("https://h/a.zarr/r10m/b04", None),
        ("s3://b/a", "application/vnd+zarr; version=3"),
        ("s3://b/a.zarr", "application/vnd.zarr"),
    ):
        one = item({"a": pystac.Asset(href, media_type=media)}, name="S2A_MSIL1C_20210605T105031_N0301_R051_T31TCJ_x")
        assert products.family_of(one) is products.families()["zarr"]
    both = item({"a": "s3://b/a.zarr", "b": pystac.Asset("s3://b/b.tif", media_type="image/tiff")})
    assert products.family_of(both) is products.families()["raster"]
    bare = item({"a": pystac.Asset("s3://b/a.zarr.zip")})
    with pytest.raises(gl.GeodesError, match="No product family can open"):
        products.family_of(bare)


def test_band_item_is_json_and_gdals_words(tmp_path):
    made = products.unpack(item(write(tmp_path / "a.zarr", dataset(red=packed(numbers(), 1e-4, -0.1, 0)))))
    again = pystac.Item.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert again.assets["red"].href == f"{tmp_path}/a.zarr/red"
    assert again.assets["red"].extra_fields["raster:scale"] == 1e-4
    np.testing.assert_array_equal(computed(again, bands=["red"]).red.values[0], measure(numbers()))


def test_groups_are_those_of_esas_tables(shared):
    """The tables say where EOPF puts the bands of Sentinel-2: all of them have a name that is known here."""
    table = shared / "eopf-structure" / "mapping" / "S02MSIL2A_PSD15.json"
    if not table.exists():
        pytest.skip("ESA's tables are not there")
    targets = {str(entry.get("target_path")) for entry in json.loads(table.read_text())["data_mapping"]}
    bands = {t.rsplit("/", 1)[-1] for t in targets if t.startswith("/measurements/reflectance/") and "/b" in t}
    assert {"b01", "b04", "b8a", "b12"} <= bands <= set(zarr_product._SENTINEL2)
