"""Arguments of the usual types mean what they say; others are one sentence."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo import resyx_
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords as odc_coords
from rasterio.enums import Resampling

import geodes_lab as gl
from geodes_lab import arguments
from geodes_lab.errors import GeodesError


def spelled(value: object) -> str:
    """The same name of a case in every process that runs some of them: no address, no order of a set."""
    return str(sorted(value)) if isinstance(value, set) else re.sub(r" at 0x\w+", "", repr(value))


SIDE = 96
GRID = Affine(10, 0, 5e5, 0, -10, 4.8e6)


@pytest.fixture(scope="module")
def item(tmp_path_factory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("arguments") / "a.tif"
    pixels = np.arange(SIDE * SIDE, dtype="float32").reshape(1, SIDE, SIDE)
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "float32", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=GRID, tiled=True, blockxsize=32, blockysize=32, **profile) as file:
        file.write(pixels)
    asset = {
        "href": str(path),
        "type": "image/tiff",
        "roles": ["data"],
        "data_type": "float32",
        "bands": [{"name": "red"}],
    }
    asset |= {"proj:code": "EPSG:32631", "proj:shape": [SIDE, SIDE], "proj:transform": list(GRID)[:6]}
    ring = [[3.0, 43.0], [3.1, 43.0], [3.1, 43.1], [3.0, 43.1], [3.0, 43.0]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "A", "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [3.0, 43.0, 3.1, 43.1],
        "properties": {"datetime": "2021-06-05T10:50:31Z", "eo:cloud_cover": 10.0, "sat:relative_orbit": 51}, "links": [],
        "assets": {"red": asset, "nir": asset},
    }  # fmt: skip


@pytest.fixture(scope="module")
def catalog(item, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "i.json").write_text(json.dumps(item))
    extent = {"spatial": {"bbox": [[3, 43, 3.1, 43.1]]}, "temporal": {"interval": [["2021-06-05T00:00:00Z", None]]}}
    links = [{"rel": "item", "href": "./i.json"}]
    common = {"stac_version": "1.0.0", "description": "-"}
    collection = {"type": "Collection", "id": "C", "license": "x", "links": links, "extent": extent}
    (folder / "collection.json").write_text(json.dumps(common | collection))
    root = {"type": "Catalog", "id": "R", "links": [{"rel": "child", "href": "./collection.json"}]}
    (folder / "catalog.json").write_text(json.dumps(common | root))
    return folder / "catalog.json"


def cube(item: Any, **how: Any) -> Any:
    return gl.open_cube([item], **({"bands": ["red"]} | how))


@pytest.mark.parametrize(
    "bands",
    ["red", ("red",), np.array(["red"]), np.array(["red"], object), pd.Index(["red"]), pd.Series(["red"]), {"red": 1}, np.str_("red")],
    ids=lambda b: type(b).__name__,
)  # fmt: skip
def test_names(item, bands):
    assert list(cube(item, bands=bands).data_vars) == ["red"]


def test_names_that_come_once(item):
    assert list(cube(item, bands=(b for b in ("red", "nir"))).data_vars) == ["red", "nir"]


@pytest.mark.parametrize(
    "bands",
    [None, 5, ["red", 4], b"red", {"red", "nir"}, [["red"]], np.array([4])],
    ids=spelled,
)
def test_what_names_no_band(item, bands):
    with pytest.raises(GeodesError, match="bands is a name, or a list of names"):
        cube(item, bands=bands)


@pytest.mark.parametrize(
    "chunks", [32, np.int64(32), np.uint8(32), 32.0, np.array(32), {"x": 32, "y": np.int32(32)}], ids=spelled
)
def test_chunks_of_numbers(item, chunks):
    assert cube(item, chunks=chunks).red.chunks == ((1,), (32,) * 3, (32,) * 3)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (-1, ((1,), (96,), (96,))), ("auto", None), ({}, None), ({"x": "auto", "y": None}, None), ({"time": "auto"}, None),
        ({"x": -1, "y": 48}, ((1,), (48, 48), (96,))), ({"x": (90, 6), "y": -1}, ((1,), (96,), (90, 6))),
    ],
)  # fmt: skip
def test_chunks_as_xarray_has_them(item, chunks, expected):
    ours = cube(item).red
    found = cube(item, chunks=chunks).red
    assert found.chunks == (ours.chunks if expected is None else expected)
    np.testing.assert_array_equal(found.values, ours.values)


def test_chunks_of_several_times(item):
    several = [item | {"id": f"A{n}", "properties": {"datetime": f"2021-06-{n + 1:02d}T10:00:00Z"}} for n in range(5)]
    found = gl.open_cube(several, bands="red", chunks={"time": 2, "x": 64})
    assert found.red.chunks[0] == (2, 2, 1)
    assert found.red.chunks[2] == (64, 32)
    np.testing.assert_array_equal(found.red.values, gl.open_cube(several, bands="red").red.values)
    whole = gl.open_cube(several, bands="red", chunks={"time": -1})
    assert whole.red.chunks[0] == (5,)
    assert gl.plan(found).products == gl.plan(gl.open_cube(several, bands="red")).products


@pytest.mark.parametrize(
    ("chunks", "says"),
    [
        (0, "at least 1"), (-2, "at least 1"), (True, "at least 1"), ("many", "'auto'"), (1.5, "at least 1"), ({"band": 1}, "time, y and x"),
        ({"x": 0}, r"chunks\['x'\]"), ({"x": (90, 7)}, "97 pixels in x; the cube has 96"), ({"y": ("a",)}, r"chunks\['y'\]"), (np.array([32, 32]), "at least 1"),
    ],
)  # fmt: skip
def test_chunks_that_are_none(item, chunks, says):
    with pytest.raises(GeodesError, match=says):
        cube(item, chunks=chunks)


@pytest.mark.parametrize(
    "resolution",
    [
        20,
        np.int64(20),
        np.float32(20),
        np.array(20.0),
        np.uint16(20),
        (20, 20),
        [np.int8(20), 20.0],
        np.array([20, 20]),
        resyx_(-20, 20),
    ],
    ids=spelled,
)
def test_resolution(item, resolution):
    assert cube(item, resolution=resolution).red.shape == (1, 48, 48)


@pytest.mark.parametrize(
    "resolution", [0, -1, np.nan, np.inf, "20", True, [20], np.array([20, 20, 20]), (20, -20), "x"], ids=spelled
)
def test_resolution_that_is_none(item, resolution):
    with pytest.raises(GeodesError, match="resolution is a pixel's size"):
        cube(item, resolution=resolution)


def test_crs_resampling_dtype_and_grid(item):
    plain = cube(item, crs="EPSG:32631", resolution=20, resampling="bilinear")
    for crs in (32631, np.int64(32631), rasterio.CRS.from_epsg(32631)):
        xr_equal(plain, cube(item, crs=crs, resolution=20, resampling=Resampling.bilinear))
    xr_equal(plain, cube(item, resolution=20, resampling={"red": Resampling.bilinear}))
    box = GeoBox((8, 8), GRID, "EPSG:32631")
    xr_equal(cube(item, geobox=box), cube(item, like=box))
    for dtype in (np.float64, np.dtype("float64"), "f8", float):
        assert cube(item, dtype=dtype).red.dtype == "float64"
    for dtype in ("int16", int, "number", object()):
        with pytest.raises(GeodesError, match="dtype is 'float32' or 'float64'"):
            cube(item, dtype=dtype)
    for way in ("bilnear", 1, None, {"red": "x"}):
        with pytest.raises(GeodesError, match="There is no resampling"):
            cube(item, resampling=way)


def xr_equal(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.red.values, other.red.values)
    assert one.red.odc.geobox == other.red.odc.geobox


def test_products(item):
    one = pystac.Item.from_dict(item)
    for several in (
        item,
        one,
        [item],
        (one,),
        pystac.ItemCollection([one]),
        (i for i in [one]),
        pystac.ItemCollection([one]).to_dict(),
        {"a": one}.values(),
    ):
        assert gl.open_cube(several, bands="red").red.shape == (1, SIDE, SIDE)
    for wrong in (None, 5, b"x", pystac.Catalog("c", "-")):
        with pytest.raises(GeodesError, match=r"Products must be Items of gl\.search"):
            gl.open_cube(wrong, bands="red")
    for wrong in ([5], [None]):
        with pytest.raises(GeodesError, match="A product is an Item"):
            gl.open_cube(wrong, bands="red")


@pytest.mark.parametrize(
    "how",
    [
        {"limit": np.int64(3)}, {"cloud_cover": np.int64(30)}, {"cloud_cover": np.float32(30)}, {"orbit": 51}, {"orbit": np.int64(51)}, {"orbit": 51.0},
        {"orbit": np.array([51, 52])}, {"orbit": pd.Index([51])}, {"orbit": range(50, 52)}, {"orbit": (n for n in (51,))}, {"bbox": np.array([3, 43, 3.1, 43.1])},
        {"ids": np.array(["A"])}, {"ids": pd.Series(["A"])}, {"collections": np.array(["C"])}, {"collections": ("C",)}, {"sortby": np.array(["-datetime"])},
        {"datetime": datetime.date(2021, 6, 5)}, {"datetime": datetime.datetime(2021, 6, 5, 10, 50, 31)}, {"datetime": np.datetime64("2021-06")},
        {"datetime": np.datetime64("2021-06-05T10:50:31")}, {"datetime": pd.Timestamp("2021-06-05T10:50:31Z")},
        {"datetime": (np.datetime64("2021-06-05"), np.datetime64("2021-06-06"))}, {"datetime": [datetime.date(2021, 6, 5), datetime.date(2021, 6, 6)]},
        {"datetime": ["2021-06-01", None]}, {"eo_cloud_cover": (np.float64(0), np.float64(20))}, {"sat_relative_orbit": np.array([51, 7])}, {"sat_relative_orbit": np.int16(51)},
    ],
    ids=spelled,
)  # fmt: skip
def test_searches(catalog, how):
    for url in (catalog, str(catalog)):
        again = {k: (n for n in (51,)) if hasattr(v, "send") else v for k, v in how.items()}
        assert [i.id for i in gl.search(**({"collections": "C", "url": url} | again))] == ["A"]


@pytest.mark.parametrize(
    "how",
    [
        {"orbit": 52},
        {"datetime": np.datetime64("2021-07")},
        {"datetime": datetime.date(2021, 6, 4)},
        {"eo_cloud_cover": (np.float64(11), None)},
    ],
    ids=spelled,
)
def test_searches_that_find_nothing(catalog, how):
    assert len(gl.search("C", url=catalog, **how)) == 0


@pytest.mark.parametrize("how", [{"limit": 0}, {"limit": 1.5}, {"limit": True}, {"cloud_cover": 101}, {"cloud_cover": np.nan}, {"cloud_cover": "30"}, {"orbit": "51"}, {"orbit": 51.5}, {"orbit": [None]}, {"ids": 5}, {"tile": 5}, {"collections": 5}], ids=spelled)  # fmt: skip
def test_searches_that_mean_nothing(catalog, how):
    with pytest.raises(GeodesError):
        gl.search(**({"collections": "C", "url": catalog} | how))


@pytest.mark.thorough
@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(),
        st.lists(st.integers()),
        st.complex_numbers(),
    )
)
def test_whatever_comes_is_a_number_or_one_sentence(value):
    for take in (
        lambda v: arguments.whole("a", v, "b"),
        lambda v: arguments.number("a", v, "b"),
        lambda v: arguments.names("a", v),
    ):
        said = ""
        try:
            taken = take(value)
        except GeodesError as error:
            said = str(error)
        assert said.startswith("a is ") if said else isinstance(taken, (int, float, list))


ODD = [
    pd.NA, 3, True, "x", "", {}, [None], {"a": 1}, np.nan, object(), (1,), b"x", {1, 2}, pd.NaT, xr.DataTree(), -1, 1e300, ["a", 3], np.array(3),
    np.array(["a"]), int, Path("x"), pd.DataFrame(), xr.Dataset(), xr.DataArray(3.0), range(3), 10**30, float("inf"),
]  # fmt: skip
ARGUMENTS = [
    "bands", "mask", "geobox", "like", "overviews", "dem", "orbits", "groupby", "errors", "resampling", "classes", "chunks", "dtype", "bbox", "crs",
    "resolution", "dem_heights",
]  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("odd", ODD, ids=[f"{type(o).__name__}-{n}" for n, o in enumerate(ODD)])
def test_what_is_no_argument_is_a_sentence(item, name, odd):
    """It may open all the same, such as a resolution of 3: never is it another error than ours."""
    kw: dict[str, Any] = {"bands": ["red"]} | {name: odd}
    with contextlib.suppress(GeodesError):
        gl.open_cube([item], **kw)


@pytest.mark.parametrize("odd", ODD, ids=[f"{type(o).__name__}-{n}" for n, o in enumerate(ODD)])
@pytest.mark.thorough
def test_what_is_no_product_is_a_sentence(item, odd):
    for ask in (
        lambda: gl.open_cube(odd, bands=["red"]),
        lambda: gl.open_cube([odd], bands=["red"]),
        lambda: gl.open_product(odd),
    ):
        with pytest.raises(GeodesError):
            ask()
    for mask in ({"red": odd}, {odd if odd.__hash__ else "x": 1}):
        with contextlib.suppress(GeodesError):
            gl.open_cube([item], bands=["red"], mask=mask)


@pytest.mark.parametrize("name", ["groupby", "errors", "overviews", "like", "geobox", "dem", "orbits"])
@pytest.mark.parametrize("odd", [pd.NA, 3, "no"])
def test_what_is_wanted_is_said(item, name, odd):
    with pytest.raises(GeodesError, match=name if isinstance(odd, int) or name not in ("dem", "orbits") else "."):
        gl.open_cube([item], bands=["red"], **{name: odd})


@pytest.mark.parametrize("odd", [300, -1, 1.5, np.nan, np.inf])
def test_a_number_that_the_pixels_cannot_have_is_no_nodata(tmp_path, odd):
    grid = GeoBox((4, 4), GRID, "EPSG:32631")
    classes = xr.Dataset(
        {"c": (grid.dimensions, np.full((4, 4), 3, np.uint8), {"_FillValue": odd})}, coords=odc_coords(grid)
    )
    gl.save(classes, tmp_path / "c.tif")
    with rasterio.open(tmp_path / "c.tif") as file:
        assert (file.nodata, file.read(1).tolist()) == (None, [[3] * 4] * 4)


def test_nodata_that_is_no_number(tmp_path):
    grid = GeoBox((4, 4), GRID, "EPSG:32631")
    classes = xr.Dataset(
        {"c": (grid.dimensions, np.full((4, 4), 3, np.uint8), {"_FillValue": "none"})}, coords=odc_coords(grid)
    )
    with pytest.raises(GeodesError, match="c has a no-data value that is not a number"):
        gl.save(classes, tmp_path / "c.tif")
