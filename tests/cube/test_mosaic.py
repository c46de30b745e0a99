"""Cubes with everything at once against plain numpy: masks, bands that some products lack, files that fail, dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import stackstac
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab.cluster import Workers
from geodes_lab.cube import chunks, mosaic
from geodes_lab.cube.mosaic import FAILED, MASKED, NODATA
from geodes_lab.formats import tile_cache
from geodes_lab.products import bands
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import pyramid, window
from tests.support.examples import examples

SIZE = 16
CLOUD, SNOW = 3, 4


@dataclass(frozen=True)
class Product:
    """One product of random numbers: where it is, on which day, what it holds."""

    row: int
    col: int
    day: int
    seed: int
    dtype: str
    second: bool
    """Whether it has the band ``c`` too."""
    broken: bool
    """Whether the file of its band ``b`` is cut short after it was opened."""

    def numbers(self, band: str) -> np.ndarray:
        rng = np.random.default_rng(self.seed + sum(band.encode()))
        high = 6 if band == "classes" else 90
        return rng.integers(0, high, (9, 7)).astype("uint8" if band == "classes" else self.dtype)

    def place(self) -> tuple[slice, slice]:
        return slice(self.row, self.row + 9), slice(self.col, self.col + 7)


def write(path: Path, numbers: np.ndarray, row: int, col: int, epsg: int = 32631) -> None:
    path.unlink(missing_ok=True)  # GDAL would look at what the last example has left
    transform = Affine(10, 0, 300_000 + 10 * col, 0, -10, 4_900_000 - 10 * row)
    profile = {"driver": "GTiff", "count": 1, "height": numbers.shape[0], "width": numbers.shape[1]}
    with rasterio.open(path, "w", **profile, dtype=numbers.dtype, crs=f"EPSG:{epsg}", transform=transform) as file:
        file.write(numbers, 1)


def item(folder: Path, number: int, product: Product) -> pystac.Item:
    when = datetime(2021, 6, 1, 10, 30, tzinfo=UTC) + timedelta(days=product.day)
    made = pystac.Item(f"p{number}", None, [1.0, 43.0, 1.1, 43.1], when, {})
    for band in ["b", "classes", *(["c"] if product.second else [])]:
        path = folder / f"p{number}_{band}.tif"
        write(path, product.numbers(band), product.row, product.col)
        fields = {"bands": [{"name": band}], "nodata": 0}
        if band == "classes":
            names = {"cloud": CLOUD, "snow": SNOW}
            fields["classification:classes"] = [{"value": v, "name": n} for n, v in names.items()]
        else:
            fields |= {"raster:scale": 0.5, "raster:offset": -1.0}
        asset = pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF, roles=["data"], extra_fields=fields)
        made.add_asset(band, asset)
    return made


def want(products: list[Product], band: str, mask: set[int], fails: bool) -> tuple[np.ndarray, np.ndarray]:
    """The cube and its quality, by plain numpy."""
    top, left = min(p.row for p in products), min(p.col for p in products)
    bottom, right = max(p.row + 9 for p in products), max(p.col + 7 for p in products)
    days = sorted({p.day for p in products})
    values = np.full((len(days), bottom - top, right - left), np.nan, np.float32)
    quality = np.full(values.shape, NODATA, np.uint8)
    for p in products:
        rows, cols = slice(p.row - top, p.row - top + 9), slice(p.col - left, p.col - left + 7)
        here, marks = values[days.index(p.day), rows, cols], quality[days.index(p.day), rows, cols]
        open_ = np.isnan(here)
        if fails and p.broken and band == "b":
            # A chunk is the whole slice here: nothing of it is known.
            quality[days.index(p.day)][quality[days.index(p.day)] != 0] |= FAILED
            continue
        if band == "c" and not p.second:
            continue
        numbers, classes = p.numbers(band), p.numbers("classes")
        hidden = np.isin(classes, list(mask)) & (classes != 0)
        there = numbers != 0
        marks[open_ & there & hidden] |= MASKED
        taken = open_ & there & ~hidden
        here[taken] = numbers[taken].astype(np.float32) * np.float32(0.5) + np.float32(-1.0)
        marks[taken] = 0
    return values, quality


products_ = st.lists(
    st.builds(
        Product,
        st.integers(0, SIZE),
        st.integers(0, SIZE),
        st.integers(0, 2),
        st.integers(0, 10**6),
        st.sampled_from(["uint8", "uint16", "int16", "float32"]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=products_, mask=st.sampled_from([None, "cloud", ["cloud", "snow"], {"classes": [1, CLOUD]}]))
@pytest.mark.thorough
def test_any_cube_with_masks_and_missing_bands_is_what_numpy_says(tmp_path, products, mask):
    if not any(p.second for p in products):
        products = [*products[:-1], Product(**{**vars(products[-1]), "second": True})]
    items = [item(tmp_path, n, p) for n, p in enumerate(products)]
    hidden = {None: set(), "cloud": {CLOUD}}.get(mask if isinstance(mask, str) else None, set())
    hidden = {CLOUD, SNOW} if isinstance(mask, list) else {1, CLOUD} if isinstance(mask, dict) else hidden
    cube = gl.open_cube(items, bands=["b", "c"], mask=mask, chunks=5).compute(scheduler="sync")
    for band in ("b", "c"):
        assert cube[band].dtype == np.float32
        np.testing.assert_array_equal(cube[band].values, want(products, band, hidden, fails=False)[0])


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=products_, mask=st.sampled_from([None, "cloud"]))
@pytest.mark.thorough
def test_quality_tells_failed_pixels_from_no_data_and_masked_ones(tmp_path, products, mask):
    items = [item(tmp_path, n, p) for n, p in enumerate(products)]
    cube = gl.open_cube(items, bands=["b"], mask=mask, errors="fill")
    for n, p in enumerate(products):
        if p.broken:
            path = tmp_path / f"p{n}_b.tif"
            path.write_bytes(path.read_bytes()[:60])
    found = cube.compute(scheduler="sync")
    values, quality = want(products, "b", {CLOUD} if mask else set(), fails=True)
    np.testing.assert_array_equal(found.b.values, values)
    np.testing.assert_array_equal(found.quality.values, quality)
    assert found.quality.attrs["flag_meanings"] == "no_data masked read_failed saturated"


@pytest.fixture
def one(tmp_path) -> pystac.Item:
    return item(tmp_path, 0, Product(0, 0, 0, 1, "uint16", True, False))


def test_dtype_is_what_was_asked_for(one):
    assert gl.open_cube([one], bands=["b"], dtype="float64").b.dtype == np.float64
    assert gl.open_cube([one], bands=["b", "classes"], dtype="float64").classes.dtype == np.uint8
    with pytest.raises(gl.GeodesError, match="dtype is 'float32' or 'float64', not 'int16': measures need NaN"):
        gl.open_cube([one], bands=["b"], dtype="int16")


def test_resampling_is_a_kernel_for_each_band_and_classes_are_never_averaged(one):
    grid = GeoBox.from_bbox((300_005, 4_899_925, 300_055, 4_899_995), "EPSG:32631", resolution=5)
    way = {"b": "bilinear", "classes": "bilinear"}
    cube = gl.open_cube([one], bands=["b", "c", "classes"], geobox=grid, resampling=way).compute(scheduler="sync")
    sharp = gl.open_cube([one], bands=["b", "c", "classes"], geobox=grid).compute(scheduler="sync")
    assert not np.array_equal(cube.b, sharp.b, equal_nan=True)
    np.testing.assert_array_equal(cube.c, sharp.c)
    np.testing.assert_array_equal(cube.classes, sharp.classes)
    with pytest.raises(gl.GeodesError, match="resampling= names 'd', which is not in bands="):
        gl.open_cube([one], bands=["b"], resampling={"d": "cubic"})


def test_mask_that_a_product_has_not_is_said_with_those_it_has(one):
    with pytest.raises(
        gl.GeodesError, match=r"p0 has no class 'clouds' to mask; did you mean 'cloud'\? Its masks have: cloud, snow"
    ):
        gl.open_cube([one], bands=["b"], mask="clouds")


def test_bits_of_a_mask(tmp_path):
    numbers = np.arange(16, dtype=np.uint8).reshape(4, 4)
    write(tmp_path / "b.tif", numbers + 1, 0, 0)
    write(tmp_path / "m.tif", numbers, 0, 0)
    made = pystac.Item("p", None, None, datetime(2021, 6, 1, tzinfo=UTC), {})
    for key, extra in (
        ("b", {"nodata": 0}),
        ("m", {"classification:bitfields": [{"name": "cloud", "offset": 1, "length": 2}]}),
    ):
        made.add_asset(
            key, pystac.Asset(str(tmp_path / f"{key}.tif"), media_type="image/tiff", roles=["data"], extra_fields=extra)
        )
    cube = gl.open_cube([made], bands=["b"], mask="cloud").compute(scheduler="sync")
    np.testing.assert_array_equal(cube.b.values[0], np.where(numbers & 6, 0, numbers + 1))


def test_product_that_does_not_open_is_left_out_and_said(tmp_path, one):
    broken = one.clone()
    broken.id = "broken"
    broken.assets["b"].href = str(tmp_path / "gone.tif")
    with pytest.raises(gl.GeodesError, match=r"gone\.tif does not exist"):
        gl.open_cube([one, broken], bands=["b"])
    cube = gl.open_cube([one, broken], bands=["b"], errors="fill")
    assert cube.sizes["time"] == 1
    table = gl.report(cube).table
    assert list(table["dropped"]) == [False, True]
    assert "gone.tif does not exist" in table["why"].iloc[1]
    with pytest.raises(gl.GeodesError, match=r"None of the 1 products can be opened\. The first: "):
        gl.open_cube([broken], bands=["b"], errors="fill")


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), shift=st.integers(-3, 3))
def test_any_two_zones_meet_where_gdal_says(tmp_path, seed, shift):
    """Products of two UTM zones on one grid: each pixel is what GDAL's own warp of its product gives there."""
    rng, items, warped = np.random.default_rng(seed), [], []
    grid = GeoBox.from_bbox((3.0 - 0.002, 44.1, 3.0 + 0.002, 44.103), "EPSG:4326", resolution=0.0001)
    for number, epsg in enumerate((32631, 32632)):
        numbers = rng.integers(1, 9000, (60, 60)).astype("uint16")
        native = grid.footprint(f"EPSG:{epsg}").boundingbox
        corner = round(native.left, -1) + 100 * shift * number, round(native.top, -1) + 50
        path = tmp_path / f"z{epsg}.tif"
        transform = Affine(10, 0, corner[0], 0, -10, corner[1])
        profile = {"driver": "GTiff", "count": 1, "height": 60, "width": 60, "dtype": "uint16", "nodata": 0}
        with rasterio.open(path, "w", **profile, crs=f"EPSG:{epsg}", transform=transform) as file:
            file.write(numbers, 1)
        with rasterio.open(path) as file:
            vrt = rasterio.vrt.WarpedVRT(file, crs="EPSG:4326", transform=grid.affine, width=40, height=30, nodata=0)
            warped.append(vrt.read(1))
        when = datetime(2021, 6, 1, 10, 30, number, tzinfo=UTC)
        made = pystac.Item(f"z{epsg}", None, None, when, {})
        made.add_asset("b", pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
        items.append(made)
    tile_cache.forget()
    cube = gl.open_cube(items, bands=["b"], geobox=grid).compute(scheduler="sync")
    truth = np.where(warped[0] != 0, warped[0], warped[1])
    # GDAL approximates the transformation to an eighth of a pixel, from where its window begins.
    assert cube.b.shape == (1, 30, 40)
    assert (cube.b.values[0] == truth).mean() > 0.95


def test_stackstac_reads_through_our_reader(on_disk):
    items = [i for i in gl.search("PEPS_S2_L1C") if "31TCJ" in i.properties["grid:code"]][:2]
    unpacked = [gl.products.unpack(i) for i in items]
    plain = [i.to_dict() for i in unpacked]
    for one_ in plain:  # stackstac cannot print a brace
        for asset in one_["assets"].values():
            asset["href"] = asset["href"].replace("{", "").replace("}", "")
    grid = bands.source(unpacked[0], "B04").geobox.zoom_out(4)
    spec = {"epsg": 32631, "resolution": 40, "bounds": grid.boundingbox.bbox, "assets": ["B04"]}
    window.ways.clear()
    theirs = stackstac.stack(plain, **spec, reader=window.Reader, rescale=False, snap_bounds=False)
    found = theirs.compute(scheduler="sync")
    assert set(window.ways) == {"tiles"}
    ours = gl.open_cube(unpacked, bands=["B04"], geobox=grid, groupby="item").B04.compute(scheduler="sync")
    sources = [bands.source(i, "B04") for i in unpacked]
    for n, source in enumerate(sources):
        raw = (ours.values[n] - np.float32(source.offset)) / np.float32(source.scale)
        there = ~np.isnan(raw)
        np.testing.assert_allclose(found.values[n, 0][there], raw[there], atol=0.01)


@pytest.mark.parametrize("side", [1024, 640])
@given(data=st.data(), dates=st.integers(1, 500), memory=st.integers(2**28, 2**36))
def test_chunks_are_whole_tiles_and_fit_the_worker(side, data, dates, memory):
    source = RasterSource("", "", "", 32631, (10, 0, 0, 0, -10, 0), (10_980, 10_980), tile=(side, side))
    top, left = data.draw(st.integers(0, 10_000)), data.draw(st.integers(0, 10_000))
    grid = source.geobox[top : data.draw(st.integers(top + 1, 10_980)), left : data.draw(st.integers(left + 1, 10_980))]
    sizes = chunks.choose(grid, source, dates, "float32", Workers(1, 2, memory))
    for chunk, start, length in zip(sizes, (top, left), grid.shape, strict=True):
        assert sum(chunk) == length
        assert all((start + edge) % side == 0 for edge in np.cumsum(chunk)[:-1])
    largest = max(sizes[0]) * max(sizes[1])
    assert largest <= side**2 or 4 * largest * dates <= memory / 2 / 8
    assert largest <= max(2048, side) ** 2


def test_all_bands_of_a_cube_have_the_same_chunks(on_disk):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red", "swir16", "coastal"])
    assert cube.red.chunks == cube.swir16.chunks == cube.coastal.chunks
    assert gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red"], chunks=500).red.chunks[1] == (500, 500, 320)


def test_graph_is_one_layer_and_one_table_a_band(on_disk):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red", "nir"])
    layers = cube.red.data.dask.layers
    assert len(layers) == 2
    table = next(iter(layers[f"mosaic-red-{next(iter(layers)).rsplit('-', 1)[-1]}"].values()))
    assert isinstance(getattr(table, "value", table), mosaic.Mosaic)
    tasks = dict(cube.red.data.__dask_graph__())
    assert len(tasks) == 1 + cube.red.data.npartitions


def test_what_no_image_can_read_by_tiles_says_so():
    with pytest.raises(pyramid.NotUnderstood, match="neither JPEG 2000 nor TIFF"):
        pyramid.image_of(RasterSource("/data/a.vrt", "p", "b", 32631, (10, 0, 0, 0, -10, 0), (4, 4)))


def write_grid(path: Path, numbers: np.ndarray, *, nodata: float | None = None, count: int = 1) -> pystac.Item:
    transform = Affine(10, 0, 300_000, 0, -10, 4_900_000)
    profile = {"driver": "GTiff", "count": 1, "height": numbers.shape[0], "width": numbers.shape[1], "tiled": True}
    with rasterio.open(
        path, "w", **profile, blockxsize=16, blockysize=16, dtype=numbers.dtype, crs="EPSG:32631", transform=transform
    ) as file:
        file.write(numbers, 1)
    made = pystac.Item(path.stem, None, None, datetime(2021, 6, 1 + count, tzinfo=UTC), {})
    fields = {} if nodata is None else {"nodata": nodata}
    made.add_asset("b", pystac.Asset(str(path), media_type="image/tiff", roles=["data"], extra_fields=fields))
    return made


@pytest.mark.parametrize("way", ["nearest", "bilinear", "cubic", "lanczos", "average"])
@pytest.mark.parametrize(("shift", "size"), [(3, 10), (0, 100), (5, 25)])
def test_chunks_leave_no_seams(tmp_path, way, shift, size):
    """A kernel that reaches beyond a chunk finds what is there, whatever the grid cuts."""
    numbers = np.random.default_rng(0).integers(1, 9000, (200, 200)).astype("uint16")
    made = write_grid(tmp_path / "a.tif", numbers, nodata=0)
    grid = GeoBox.from_bbox((300_000 + shift, 4_898_100, 301_900 + shift, 4_899_900), "EPSG:32631", resolution=size)
    whole, parts = (
        gl.open_cube([made], bands=["b"], geobox=grid, resampling=way, chunks=c).b.compute(scheduler="sync")
        for c in (4000, 20)
    )
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.thorough
def test_grid_of_the_whole_world_finds_the_product(tmp_path):
    made = write_grid(tmp_path / "a.tif", np.full((9000, 9000), 7, "uint8"), nodata=0)
    grid = GeoBox.from_bbox((-180, -90, 180, 90), "EPSG:4326", resolution=0.25)
    counts = [
        int((gl.open_cube([made], bands=["b"], geobox=grid, chunks=c).b == 7).sum().compute(scheduler="sync"))
        for c in (4000, 180)
    ]
    assert counts[0] == counts[1] > 5


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", -9999.0), ("uint8", "nan"), ("uint8", 256.0), ("int16", None)]
)
def test_no_data_that_the_numbers_cannot_have_hides_none_of_them(tmp_path, dtype, nodata):
    made = write_grid(tmp_path / "a.tif", np.full((64, 64), 7, dtype), nodata=nodata)
    grid = GeoBox.from_bbox((300_103, 4_899_500, 300_303, 4_899_700), "EPSG:32631", resolution=10)
    cube = gl.open_cube([made], bands=["b"], geobox=grid, resampling="bilinear").compute(scheduler="sync")
    assert set(np.unique(cube.b)) == {7}


def test_classes_that_call_no_data_by_two_numbers_become_numbers_with_nan(tmp_path):
    items = [
        write_grid(tmp_path / f"{n}.tif", np.array([[n, 1], [2, 3]], "uint8"), nodata=n, count=k)
        for k, n in enumerate((0, 255))
    ]
    cube = gl.open_cube(items, bands=["b"]).compute(scheduler="sync")
    np.testing.assert_array_equal(cube.b.values, [[[np.nan, 1], [2, 3]]] * 2)


def test_band_that_only_a_later_product_has_is_found(tmp_path, one):
    other = item(tmp_path, 1, Product(0, 0, 1, 2, "uint16", False, False))
    cube = gl.open_cube([other, one], bands=["c"])
    assert cube.sizes["time"] == 1
    assert "p1 has none of the bands c." in gl.report(cube).table["why"].tolist()


def test_file_whose_rows_run_north_is_refused(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=1, height=4, width=4, dtype="uint8", crs="EPSG:32631",
        transform=Affine(10, 0, 300_000, 0, 10, 4_900_000),
    ) as file:  # fmt: skip
        file.write(np.ones((4, 4), "uint8"), 1)
    with pytest.raises(gl.GeodesError, match="is rotated, or its rows run north: warp it first"):
        gl.open_product(tmp_path / "a.tif")
