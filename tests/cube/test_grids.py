"""Cubes on grids and of files that are not the usual ones: each was wrong once, or could have been."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dask.array as da
import numpy as np
import pystac
import pytest
import rasterio
import rasterio.enums
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.vrt import WarpedVRT

import geodes_lab as gl
from geodes_lab.cluster import Workers
from geodes_lab.cube import chunks
from geodes_lab.cube.acquisitions import newest
from tests.support.examples import examples

Maker = Callable[..., pystac.Item]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Write a GeoTIFF and give an Item of it."""

    def item(
        name: str,
        numbers: np.ndarray,
        *,
        x: float = 300_000,
        y: float = 4_900_000,
        size: float = 10,
        epsg: int = 32631,
        when: str = "2021-06-01T10:30:00",
        asset: dict[str, object] | None = None,
        properties: dict[str, object] | None = None,
        **profile: object,
    ) -> pystac.Item:
        bands = numbers if numbers.ndim == 3 else numbers[np.newaxis]
        path = tmp_path / f"{name}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
            crs=f"EPSG:{epsg}", transform=Affine(size, 0, x, 0, -size, y), **profile,
        ) as file:  # fmt: skip
            file.write(bands)
        made = pystac.Item(name, None, None, datetime.fromisoformat(when).replace(tzinfo=UTC), dict(properties or {}))
        fields = {"nodata": 0} if asset is None else asset
        made.add_asset(
            "b", pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF, roles=["data"], extra_fields=fields)
        )
        return made

    return item


def ramp(rows: int = 40, cols: int = 50) -> np.ndarray:
    return (1000 + np.add.outer(7 * np.arange(rows), 3 * np.arange(cols))).astype("uint16")


@pytest.mark.parametrize("way", ["nearest", "bilinear", "average"])
def test_warp_is_that_of_an_independent_one(make, way):
    item = make("w", ramp(), asset={"nodata": 0, "raster:scale": 1.0, "raster:offset": 0.5})
    grid = GeoBox((30, 30), Affine(0.00015, 0, 0.4972, 0, -0.00011, 44.2250), "EPSG:4326")
    cube = gl.open_cube([item], bands=["b"], geobox=grid, resampling=way)
    with WarpedVRT(
        rasterio.open(item.assets["b"].href), crs="EPSG:4326", transform=grid.affine, height=30, width=30, src_nodata=0, nodata=0,
        dtype="float64", resampling=rasterio.enums.Resampling[way], tolerance=1e-9, XSCALE=0.83, YSCALE=0.82,
    ) as virtual:  # fmt: skip
        want = virtual.read(1)
    assert (want > 0).mean() > 0.5
    atol = 0 if way == "nearest" else 0.1  # of the width of the kernel
    np.testing.assert_allclose(cube.b.values[0], np.where(want == 0, np.nan, want + 0.5), atol=atol, rtol=1e-6)


def test_resampling_is_what_was_asked(make):
    item = make("r", ramp(), asset={"nodata": 0, "raster:scale": 0.5})
    mean = gl.open_cube([item], bands=["b"], resolution=20, resampling="average").b.values[0]
    np.testing.assert_allclose(mean, ramp().reshape(20, 2, 25, 2).mean((1, 3)) * 0.5, atol=0.5)
    assert not np.array_equal(mean, gl.open_cube([item], bands=["b"], resolution=20).b.values[0])


def test_classes_are_never_averaged_but_may_have_their_mode(make):
    numbers = np.array([[1, 2, 7, 7], [2, 2, 7, 9]], "uint8")
    classes = [{"value": n, "name": f"c{n}"} for n in (1, 2, 7, 9)]
    item = make("c", numbers, asset={"classification:classes": classes})
    mode = gl.open_cube([item], bands=["b"], resolution=20, resampling="mode").b
    assert mode.values[0].tolist() == [[2, 7]]
    assert set(gl.open_cube([item], bands=["b"], resolution=20, resampling="bilinear").b.values.ravel()) <= {1, 2, 7, 9}


def test_no_data_is_left_out_of_averages(make):
    numbers = np.full((4, 4), 1000, "uint16")
    numbers[0, 0] = 0
    item = make("n", numbers, asset={"nodata": 0, "raster:scale": 0.001})
    mean = gl.open_cube([item], bands=["b"], resolution=20, resampling="average").b.values
    np.testing.assert_allclose(mean, 1.0)


@pytest.mark.thorough
def test_geographic_grid_has_x_and_y(make):
    cube = gl.open_cube([make("g", ramp())], bands=["b"], crs="EPSG:4326", resolution=0.0001)
    assert set(cube.b.dims) == {"time", "y", "x"} == set(cube.b.coords) & {"time", "y", "x"}
    assert cube.x.values[0] == pytest.approx(cube.odc.geobox.boundingbox.left + 0.00005)
    assert gl.plot.image(cube.b)[cube.time.values[0]].bounds.lbrt()[0] == pytest.approx(
        cube.odc.geobox.boundingbox.left
    )


def test_solar_day_is_that_of_the_place(make):
    """Near the date line an evening in UTC is the next morning there, and two passes of one UTC day are two days."""
    items = [
        make("a", ramp(4, 4), x=500_000, epsg=32660, when="2021-06-01T22:30:00"),  # 177° E: 10:18 on the 2nd
        make("b", ramp(4, 4), x=500_040, epsg=32660, when="2021-06-02T00:30:00"),  # the same morning
        make("c", ramp(4, 4), x=500_000, epsg=32660, when="2021-06-01T01:00:00"),  # the morning before
    ]
    cube = gl.open_cube(items, bands=["b"])
    assert [p.split() for p in cube["product"].values] == [["c"], ["a", "b"]]


def test_bbox_across_the_date_line(make):
    items = [make("e", ramp(), x=700_000, y=10_000_000 - 1_800_000, epsg=32760, size=1000)]
    whole = gl.open_cube(items, bands=["b"])
    with pytest.warns(
        UserWarning, match=r"cover 13 % of the bbox: the cube is cut to \(178\.950, -16\.634, 179\.344, -16\.268\)"
    ):
        part = gl.open_cube(items, bands=["b"], bbox=(178.95, -17.0, -179.9, -16.0))
    assert 0 < part.sizes["x"] < whole.sizes["x"]
    assert gl.open_cube(items, bands=["b"], bbox=(-180, -90, 180, 90)).sizes["y"] == whole.sizes["y"]


@pytest.mark.parametrize(
    ("bbox", "sentence"),
    [
        (
            (1.9, 43.5, 1.7, 43.6),
            "in .* west is greater than east, which would go the long way round the earth: swap them",
        ),
        ((1.7, 43.6, 1.9, 43.5), "is not"),
        ((1.7, 43.5, 1.9), "is not"),
        (("west", 43.5, 1.9, 43.6), "is not"),
    ],
)
def test_box_in_another_order_is_refused(make, bbox, sentence):
    with pytest.raises(gl.GeodesError, match=rf"bbox is \(west, south, east, north\) in degrees; .*{sentence}"):
        gl.open_cube([make("a", ramp())], bands=["b"], bbox=bbox)


def test_classes_without_a_number_for_no_data_become_nan_where_nothing_is(make):
    left, right = np.full((2, 2), 7, "int16"), np.full((2, 2), 8, "int16")
    cube = gl.open_cube([make("l", left, asset={}), make("r", right, x=300_040, asset={})], bands=["b"])
    assert cube.b.dtype == np.float32
    np.testing.assert_array_equal(cube.b.values[0, 0], [7, 7, np.nan, np.nan, 8, 8])
    odd = gl.open_cube([make("o", np.full((2, 2), 7, "uint16"), asset={"nodata": -9999})], bands=["b"])
    assert odd.b.values.ravel().tolist() == [7, 7, 7, 7]


def test_classes_say_what_fills_them(make):
    assert (
        gl.open_cube([make("f", np.full((2, 2), 7, "uint8"), asset={"nodata": 255})], bands=["b"]).b.attrs["nodata"]
        == 255
    )


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (GeoBox((4, 4), Affine(10, 0, 300_000, 0, 10, 4_899_000), "EPSG:32631"), "not north-up"),
        (GeoBox((4, 4), Affine.rotation(20) * Affine(10, 0, 300_000, 0, -10, 4_900_000), "EPSG:32631"), "rotated"),
        (GeoBox((4, 4), Affine(10, 0, 900_000, 0, -10, 4_900_000), "EPSG:32631"), "does not overlap any product"),
    ],
)
def test_grids_that_cannot_be_filled_are_refused(make, grid, said):
    with pytest.raises(gl.GeodesError, match=said):
        gl.open_cube([make("x", ramp())], bands=["b"], geobox=grid)


def test_grid_said_twice_or_without_a_crs_is_refused(make):
    item = make("x", ramp())
    cube = gl.open_cube([item], bands=["b"])
    with pytest.raises(gl.GeodesError, match="both set the whole grid"):
        gl.open_cube([item], bands=["b"], like=cube, geobox=cube.odc.geobox)
    bare = cube.b.isel(time=0).drop_vars("spatial_ref").drop_attrs()
    with pytest.raises(gl.GeodesError, match="has no CRS"):
        gl.open_cube([item], bands=["b"], like=bare)


def test_coarse_band_between_the_fine_ones_pixels_is_refused(make):
    fine, coarse = make("fine", ramp()), make("coarse", ramp(), size=20, x=300_005)
    fine.assets["c"] = coarse.assets["b"]
    with pytest.raises(gl.GeodesError, match=r"c of fine is shifted by 0\.50 pixel in x"):
        gl.open_cube([fine], bands=["b", "c"])


def test_items_of_one_id_are_not_mixed_up(make):
    one, two = (
        make("one", np.full((2, 2), 7, "uint8")),
        make("two", np.full((2, 2), 8, "uint8"), when="2021-06-05T10:00:00"),
    )
    two.id = one.id
    assert gl.open_cube([one, two], bands=["b"]).b.values[:, 0, 0].tolist() == [7, 8]


def strip(name: str, start: str, baseline: str, kind: str = "S2MSI1C") -> pystac.Item:
    p = {"grid:code": "MGRS-31TCJ", "platform": "sentinel-2a", "processing:version": baseline, "product:type": kind}
    return pystac.Item(
        name, None, None, datetime(2021, 6, 5, tzinfo=UTC), {**p, "s2:datastrip_id": f"S2A_DS_X_S{start}_N"}
    )


def test_only_another_processing_of_the_same_acquisition_is_superseded():
    first, second = strip("north", "20210605T105455", "03.00"), strip("south", "20210605T105501", "03.00")
    assert newest([first, second])[1] == [], "a tile cut by the end of a datastrip: both halves are needed"
    assert newest([first, strip("l2a", "20210605T105455", "05.00", "S2MSI2A")])[1] == []
    assert newest([first, strip("again", "20210605T105455", "05.00")])[1] == ["north"]


def test_file_of_several_bands_opens_as_several(make):
    bands = np.stack([np.full((3, 3), v, "uint16") for v in (1, 2, 3)])
    item = make("m", bands, asset={"nodata": 0, "bands": [{"name": n} for n in ("red", "green", "nir")]})
    cube = gl.open_cube([item], bands=["nir", "red"])
    assert (cube.nir.values == 3).all()
    assert (cube.red.values == 1).all()
    assert set(gl.open_product(item)["r10m"].data_vars) == {"red", "green", "nir"}


def test_grids_that_differ_are_nodes_of_their_own(make):
    item = make("near", ramp())
    item.assets["far"] = make("far", ramp(), x=400_000).assets["b"]
    scene = gl.open_product(item)
    assert {node.x.values[0] for node in scene.children.values()} == {300_005, 400_005}


def test_radiometry_and_mask_of_the_file_itself_count_where_the_item_is_silent(make, tmp_path):
    item = make("s", np.full((2, 2), 5000, "uint16"), asset={})
    path = item.assets["b"].href
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,), (-0.1,)
        file.write_mask(np.array([[True, False], [True, True]]))
    cube = gl.open_cube([item], bands=["b"])
    np.testing.assert_allclose(cube.b.values[0], [[0.4, np.nan], [0.4, 0.4]], atol=1e-6)


def test_nodata_as_stac_writes_it(make):
    numbers = np.array([[1.5, np.nan]], "float32")
    item = make("nan", numbers, asset={"nodata": "nan"})
    np.testing.assert_array_equal(gl.open_cube([item], bands=["b"]).b.values[0], numbers)


def test_missing_offsets_are_not_taken_for_zero(altered, sample):
    new = next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/08/04/*.zip"))

    def drop(name: str, data: bytes) -> bytes:
        return data.replace(b"RADIO_ADD_OFFSET", b"X") if name.endswith("MTD_MSIL1C.xml") else data

    with pytest.raises(gl.GeodesError, match=r"baseline 05\.00\) has 0 of 13 RADIO_ADD_OFFSET"):
        gl.open_cube([altered(drop, new)], bands=["red"])


@given(first=st.integers(1, 1024), whole=st.integers(0, 6), last=st.integers(1, 1024))
@settings(max_examples=examples(60), deadline=None)
def test_dask_leaves_the_parts_of_chunks_as_they_are(first, whole, last):
    """It puts neighbours together that fit its pieces, and a median then takes more memory than was planned."""
    sizes = (first, *(1024,) * whole, last)
    small = Workers(2, 1, 2 * 2**30)
    parts = chunks.pieces(((1024,), sizes), 60, "float32", small)
    assume(parts is not None)
    assert sum(parts[1]) == sum(sizes)
    steps = ((1,) * 60, *parts)
    median = da.nanmedian(da.zeros(tuple(map(sum, steps)), chunks=steps, dtype="float32"), axis=0)
    together = sum(sizes) <= 747  # all of it is one piece
    assert together or max(median.chunks[1]) <= max(parts[1]) < 748


@pytest.mark.thorough
@given(
    st.sampled_from(["EPSG:32631", "EPSG:4326"]), st.floats(0.2, 12), st.floats(0.2, 12), st.integers(2, 60), st.integers(2, 60),
    st.integers(1, 64),
)  # fmt: skip
@settings(max_examples=examples(30), deadline=None)
def test_pixels_that_are_not_square_keep_number_and_place(tmp_path_factory, crs, wide, high, rows, cols, chunks):
    unit = 1e-4 if crs == "EPSG:4326" else 10
    corner = (3.0, 44.0) if crs == "EPSG:4326" else (500_000.0, 4_800_000.0)
    pixels = np.arange(rows * cols, dtype="float32").reshape(rows, cols)
    path = tmp_path_factory.mktemp("oblong") / "a.tif"
    transform = Affine(wide * unit, 0, corner[0], 0, -high * unit, corner[1])
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=1, dtype="float32", crs=crs, transform=transform
    ) as file:
        file.write(pixels, 1)
    cube = gl.open_cube([loose(path)], bands=["b"], chunks=chunks)
    np.testing.assert_array_equal(cube.b.values[0], pixels)
    x, y = (cube[n].values for n in cube.b.dims[2:0:-1])
    np.testing.assert_allclose(x, corner[0] + (np.arange(cols) + 0.5) * wide * unit, rtol=1e-9)
    np.testing.assert_allclose(y, corner[1] - (np.arange(rows) + 0.5) * high * unit, rtol=1e-9)
    twice = gl.open_cube(
        [loose(path)], bands=["b"], resolution=(2 * wide * unit, 2 * high * unit), resampling="average"
    )
    n, m = rows // 2, cols // 2
    want = pixels[: 2 * n, : 2 * m].reshape(n, 2, m, 2).mean((1, 3))
    np.testing.assert_allclose(twice.b.values[0, :n, :m], want, rtol=1e-5)


def loose(path: Path) -> pystac.Item:
    item = pystac.Item("loose", None, None, datetime(2021, 6, 5, tzinfo=UTC), {})
    item.add_asset("b", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
    return item


@pytest.mark.parametrize("resolution", [0, -1, (10, 0), (10, 10, 10), "10", float("nan")])
def test_resolution_that_is_no_size_is_refused(make, resolution):
    with pytest.raises(gl.GeodesError, match="resolution is a pixel's size"):
        gl.open_cube([make("r", ramp())], bands=["b"], resolution=resolution)
