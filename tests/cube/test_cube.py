"""Cubes against the truth of the sample, against plain numpy, and on real pixels that nobody here wrote."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dask
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2 import l1c
from tests.support.examples import examples

BANDS = {b.common_name: n for n, b in enumerate(l1c.BANDS)}


def expected(scenes: list[l1c.Scene], band: str) -> np.ndarray:
    """The truth of a day on the sample's whole area: NaN where no product of that day looked."""
    number, resolution = BANDS[band], l1c.BANDS[BANDS[band]].resolution
    first = scenes[0]
    value = truth.reflectance(
        number, resolution, first.time.date(), cloudiness=first.cloudiness, swath_edge=first.swath_edge
    )
    looked = np.zeros(value.shape, bool)
    for scene in scenes:
        scene.window(looked, resolution)[:] = True
    return np.where(looked, value, np.nan)


def by_day() -> dict[object, list[l1c.Scene]]:
    days: dict[object, list[l1c.Scene]] = {}
    for scene in l1c.scenes():
        if scene.latest:
            days.setdefault(scene.time.date(), []).append(scene)
    return days


@pytest.mark.thorough
def test_ndvi_is_the_truth_pixel_for_pixel_on_every_date_and_both_baselines(on_disk):
    items = gl.search("PEPS_S2_L1C")
    cube = gl.open_cube(items, bands=["red", "nir"])
    ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).compute()
    days = by_day()
    assert len(days) == cube.sizes["time"] == 9
    assert {float(o) for offsets in cube.offset.values for o in offsets.split()} == {0.0, -0.1}
    for (day, scenes), time in zip(days.items(), ndvi.time.values, strict=True):
        assert np.datetime64(day) == time.astype("datetime64[D]")
        red, nir = expected(scenes, "red"), expected(scenes, "nir")
        got = ndvi.sel(time=time).values
        np.testing.assert_array_equal(np.isnan(got), np.isnan(red))
        # Half a digital number in each band, carried through the quotient, and float32.
        step = 0.5 / l1c.QUANTIFICATION
        allowed = 2 * step * (red + nir) / (red + nir - 2 * step) ** 2 + 1e-6
        difference = np.abs(got - (nir - red) / (nir + red))
        assert np.nanmax(difference / allowed) <= 1


def test_two_baselines_meet_in_one_slice(on_disk):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-07-15"), bands=["red"])
    assert cube.sizes["time"] == 1
    assert cube.baseline.values[0] == "05.00 03.01"
    assert cube.offset.values[0] == "-0.1 0.0"
    scenes = by_day()[datetime(2021, 7, 15, tzinfo=UTC).date()]
    np.testing.assert_allclose(cube.red.values[0], expected(scenes, "red"), atol=0.51e-4)


def test_reprocessed_product_replaces_the_old_one_and_is_named(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-07-15", latest=False)
    assert len(items) == 3
    cube = gl.open_cube(items, bands=["red"])
    assert [n.split("_")[3] for n in cube.attrs["superseded"]] == ["N0301"]
    assert cube.product.values[0].count("MSIL1C") == 2


def test_s3_gives_the_same_pixels_as_the_disk(on_s3, sample):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    bbox = (1.80, 43.58, 1.83, 43.60)
    far = gl.open_cube(items, bands=["red", "swir16"], bbox=bbox).compute(scheduler="threads")
    with dask.config.set({"geodes_lab.datalake.mirror": str(sample / "datalake")}):
        near = gl.open_cube(items, bands=["red", "swir16"], bbox=bbox).compute(scheduler="threads")
    assert np.isfinite(far.red).all()
    np.testing.assert_array_equal(far.red, near.red)
    np.testing.assert_array_equal(far.swir16, near.swir16)


def test_20_m_band_is_pasted_onto_10_m_pixels(on_disk):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-06-05"), bands=["red", "swir16"]).compute()
    coarse = expected(by_day()[datetime(2021, 6, 5, tzinfo=UTC).date()], "swir16")
    np.testing.assert_allclose(cube.swir16.values[0], coarse.repeat(2, 0).repeat(2, 1), atol=0.51e-4)


def test_bbox_gives_whole_pixels_that_cover_it(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    whole = gl.open_cube(items, bands=["nir"])
    part = gl.open_cube(items, bands=["nir"], bbox=(1.80, 43.56, 1.84, 43.60))
    assert set(part.x.values) < set(whole.x.values)
    assert set(part.y.values) < set(whole.y.values)
    np.testing.assert_array_equal(part.nir.values, whole.nir.sel(x=part.x, y=part.y).values)


def test_coordinates_are_pixel_centres_and_time_is_the_acquisition(on_disk):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-06-05"), bands=["red"])
    assert cube.x.values[0] == truth.WEST + 5
    assert cube.y.values[0] == truth.NORTH - 5
    assert cube.time.values[0] == np.datetime64("2021-06-05T10:50:31.024")
    assert cube.odc.geobox.crs.epsg == truth.EPSG
    assert cube.rio.crs.to_epsg() == truth.EPSG


def test_chunks_meet_the_files_tiles(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    cube = gl.open_cube(items, bands=["red"], bbox=(1.80, 43.56, 1.84, 43.60))
    west, north = items[0].properties["grid:code"], truth.NORTH
    assert west == "MGRS-31TCJ"
    edges = cube.x.values[0] - 5 + 10 * np.cumsum(cube.red.chunks[2])[:-1]
    assert all((edge - truth.WEST) % 10240 == 0 for edge in edges)
    edges = cube.y.values[0] + 5 - 10 * np.cumsum(cube.red.chunks[1])[:-1]
    assert all((north - edge) % 10240 == 0 for edge in edges)


def test_like_and_geobox_give_that_grid_and_warp(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    box = GeoBox.from_bbox((1.80, 43.57, 1.83, 43.59), "EPSG:4326", resolution=0.0002)
    cube = gl.open_cube(items, bands=["nir"], geobox=box, resampling="bilinear")
    again = gl.open_cube(items, bands=["nir"], like=cube, resampling="bilinear")
    assert cube.odc.geobox == box == again.odc.geobox
    native = gl.open_cube(items, bands=["nir"], bbox=(1.80, 43.57, 1.83, 43.59))
    assert abs(float(cube.nir.mean()) - float(native.nir.mean())) < 0.003


def test_paths_open_as_what_the_catalogue_gives(on_disk, sample):
    paths = sorted((sample / "datalake").glob("sentinel2-l1c/*/*/*/2021/06/05/*.zip"))
    cube = gl.open_cube(paths, bands=["B04"])
    same = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-06-05"), bands=["red"])
    np.testing.assert_array_equal(cube.B04.values, same.red.values)


def test_graph_is_small_and_opening_reads_no_pixel(on_disk, monkeypatch):
    from geodes_lab.reading import window

    def refuse(*_args, **_options):
        raise AssertionError("a pixel was read")

    monkeypatch.setattr(window, "read", refuse)
    cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red", "nir"])
    assert len(pickle.dumps(cube.red.data.dask)) < 60_000


@pytest.fixture(scope="module")
def austria(shared: Path) -> pystac.ItemCollection:
    url = shared / "sentinel2-l2a-33TWL" / "sentinel2" / "full_products" / "catalog.json"
    with pytest.warns(UserWarning, match=r"\d+ Items of sentinel-2-l2a cannot be opened"):
        return gl.search("sentinel-2-l2a", url=str(url), bbox=(15.0, 45.1, 15.3, 46.0))


@pytest.mark.thorough
def test_real_pixels_open_with_the_right_values(austria, shared):
    """Five dates of 33TWL: the Items claim 10 m and an offset, the files are 120 m and have it applied already."""
    items = [i for i in austria if i.properties["grid:code"] == "MGRS-33TWL"]
    cube = gl.open_cube(items, bands=["red", "nir", "scl"])
    assert dict(cube.sizes) == {"time": 5, "y": 915, "x": 915}
    cube = cube.compute(scheduler="threads")  # once: the bands of a date share their files' decoding
    assert cube.odc.geobox.resolution.x == 120
    for number, item in enumerate(sorted(items, key=lambda i: i.datetime)):
        folder = Path(item.get_self_href()).parent
        for band, name in {"red": "B04", "nir": "B08"}.items():
            with rasterio.open(folder / f"{name}.tif") as file:
                numbers = file.read(1)
            want = np.where(numbers == 0, np.nan, numbers * 0.0001)
            np.testing.assert_allclose(cube[band].isel(time=number).values, want, atol=1e-6)
        with rasterio.open(folder / "SCL.tif") as file:
            np.testing.assert_array_equal(cube.scl.isel(time=number).values, file.read(1))
    assert cube.scl.dtype == np.uint8


def test_real_neighbours_that_share_no_grid_are_refused_unless_told(austria):
    """At 120 m the grid of 33TWM lies half a pixel off that of 33TWL."""
    items = [i for i in austria if i.datetime.date() == datetime(2023, 8, 15, tzinfo=UTC).date()]
    assert {i.properties["grid:code"] for i in items} == {"MGRS-33TWL", "MGRS-33TWM"}
    with pytest.raises(gl.GeodesError, match=r"have different grids: .*33TW[LM].*0\.50 in y"):
        gl.open_cube(items, bands=["red"])
    assert gl.open_cube(items, bands=["red"], resolution=120).red.isel(time=0).notnull().mean().compute() > 0.3


@pytest.mark.thorough
def test_clouds_are_masked_where_they_are_in_rasters_and_in_polygons(on_disk):
    """Two baselines, two kinds of mask, one word."""
    days: dict[object, list[l1c.Scene]] = {}  # a cloudy one of each baseline, and one where both meet
    for day, scenes in by_day().items():
        kind = {s.baseline < "04.00" for s in scenes}
        cloudy = scenes[0].cloudiness > 0
        if (cloudy or len(kind) > 1) and kind not in [{s.baseline < "04.00" for s in old} for old in days.values()]:
            days[day] = scenes
    assert len(days) == 3
    items = [item for day in days for item in gl.search("PEPS_S2_L1C", datetime=str(day))]
    bare, masked = (
        gl.open_cube(items, bands=["red"], mask=mask).compute(scheduler="threads") for mask in (None, "cloud")
    )
    hidden = (bare.red.notnull() & masked.red.isnull()).values
    assert len(days) == len(hidden)
    assert {scenes[0].baseline < "04.00" for scenes in days.values()} == {True, False}
    for number, scenes in enumerate(days.values()):
        first = scenes[0]
        opaque = truth.clouds(first.time.date(), first.cloudiness) > 0.5
        opaque = opaque.repeat(6, 0).repeat(6, 1)[: hidden.shape[1], : hidden.shape[2]]
        np.testing.assert_array_equal(hidden[number], opaque & bare.red[number].notnull().values)
        assert hidden[number].any() == (first.cloudiness > 0)


def test_class_that_polygons_have_not_is_said(on_disk):
    with pytest.raises(gl.GeodesError, match=r"has no class 'snow' to mask\. Its masks have: cirrus, cloud\."):
        gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-06-05"), bands=["red"], mask=["cloud", "snow"])


# -- against plain numpy --------------------------------------------------------------------------------------------

SIZE = 24


def write_tiff(path: Path, numbers: np.ndarray, col: int, row: int) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=numbers.shape[0],
        width=numbers.shape[1],
        dtype=numbers.dtype,
        crs="EPSG:32631",
        transform=Affine(10, 0, 300_000 + 10 * col, 0, -10, 4_900_000 - 10 * row),
    ) as file:
        file.write(numbers, 1)


def tiff_item(path: Path, day: int, scale: float, offset: float, nodata: int) -> pystac.Item:
    item = pystac.Item(
        id=path.stem,
        geometry=None,
        bbox=[1.0, 43.0, 1.1, 43.1],
        datetime=datetime(2021, 6, 1, 10, 30, tzinfo=UTC) + timedelta(days=day),
        properties={},
    )
    fields = {"raster:scale": scale, "raster:offset": offset, "nodata": nodata, "bands": [{"name": "b"}]}
    item.add_asset(
        "b", pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF, roles=["data"], extra_fields=fields)
    )
    return item


products = st.lists(
    st.tuples(
        st.integers(0, SIZE - 4),  # column of the first pixel
        st.integers(0, SIZE - 4),  # row
        hnp.arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 5)),
        st.integers(0, 2),  # day
        st.sampled_from([(1e-4, 0.0), (1e-4, -0.1), (1.0, 0.0), (0.5, 3.0)]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=products, chunk=st.integers(1, 30), nodata=st.sampled_from([0, 5, 9]))
@pytest.mark.thorough
def test_any_cube_is_what_numpy_says(tmp_path, products, chunk, nodata):
    """Random footprints, overlaps, nodata, radiometry: the first product with data wins each pixel of a day."""
    items = []
    for number, (col, row, numbers, day, radiometry) in enumerate(products):
        path = tmp_path / f"p{number}.tif"
        write_tiff(path, numbers, col, row)
        items.append(tiff_item(path, day, *radiometry, nodata))
    cube = gl.open_cube(items, bands=["b"], chunks=chunk).compute(scheduler="sync")

    left, top = min(p[0] for p in products), min(p[1] for p in products)
    right = max(p[0] + p[2].shape[1] for p in products)
    bottom = max(p[1] + p[2].shape[0] for p in products)
    days = sorted({p[3] for p in products})
    measured = any(p[4] != (1.0, 0.0) for p in products)
    want = np.full((len(days), bottom - top, right - left), np.nan if measured else nodata)
    for col, row, numbers, day, (scale, offset) in reversed(products):  # the first is pasted last
        place = want[
            days.index(day), row - top : row - top + numbers.shape[0], col - left : col - left + numbers.shape[1]
        ]
        value = numbers * scale + offset if measured else numbers
        place[numbers != nodata] = value[numbers != nodata]
    assert cube.b.dtype == (np.float32 if measured else np.uint16)
    assert cube.b.shape == want.shape
    np.testing.assert_allclose(cube.b.values, want, rtol=1e-6, atol=1e-6)
    assert cube.x.values[0] == 300_005 + 10 * left
    assert cube.y.values[0] == 4_899_995 - 10 * top


def test_two_zones_are_refused_and_warped_when_told(tmp_path):
    numbers = np.full((8, 8), 7, np.uint16)
    items = []
    for number, epsg in enumerate((32631, 32632)):
        path = tmp_path / f"z{epsg}.tif"
        x = 700_000 if epsg == 32631 else 217_000
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=1,
            height=8,
            width=8,
            dtype="uint16",
            crs=f"EPSG:{epsg}",
            transform=Affine(10, 0, x, 0, -10, 4_830_000),
        ) as file:
            file.write(numbers, 1)
        items.append(tiff_item(path, number, 1.0, 0.0, 0))
    with pytest.raises(
        gl.GeodesError, match=r"have different grids: z32631 in EPSG:32631 and z32632 in EPSG:32632. Choose one"
    ):
        gl.open_cube(items, bands=["b"])
    cube = gl.open_cube(items, bands=["b"], crs="EPSG:32631", resolution=10)
    assert set(np.unique(cube.b)) == {0, 7}


def test_levels_are_not_pasted_into_one_slice(on_disk):
    items = gl.search(["PEPS_S2_L1C", "SENTINEL2_L2A"], datetime="2021-08-29")
    assert {i.properties["processing:level"] for i in items} == {"L1C", "L2A"}
    with pytest.raises(
        gl.GeodesError,
        match=r"On 2021-08-29 \S+ is L1C and \S+ is L2A: .*Open one cube for each, or give groupby='item'",
    ):
        gl.open_cube(items, bands=["red"])
    assert gl.open_cube(items, bands=["red"], groupby="item").sizes["time"] == len(items)


def test_several_dates_in_one_chunk_are_one_task_and_the_same_numbers(on_disk):
    items = gl.search("PEPS_S2_L1C")
    area = {"bands": ["B09"], "resolution": 240}
    one = gl.open_cube(items, **area, errors="fill")
    many = gl.open_cube(items, **area, errors="fill", chunks={"time": 3})
    count = one.sizes["time"]
    assert many.B09.chunks[0] == (3,) * (count // 3) + ((count % 3,) if count % 3 else ())
    reads = [k for k in dict(many.B09.data.dask) if isinstance(k, tuple) and str(k[0]).startswith("read-")]
    assert len(reads) == len(many.B09.chunks[0]) * math.prod(many.B09.data.numblocks[1:])
    xr.testing.assert_identical(one.compute(), many.compute())
    xr.testing.assert_identical(one.B09.median("time").compute(), many.B09.median("time").compute())
    assert replace(gl.plan(one), memory=0) == replace(gl.plan(many), memory=0)
    part = many.isel(time=slice(1, 2))
    xr.testing.assert_identical(part.compute(), one.isel(time=slice(1, 2)).compute())
    with pytest.raises(gl.GeodesError, match="add up to 5 slices in time; the cube has"):
        gl.open_cube(items, **area, chunks={"time": (2, 3)})
