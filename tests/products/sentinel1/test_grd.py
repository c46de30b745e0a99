"""Sentinel-1 GRD: calibrated as xarray-sentinel does, placed where the generator put it, damaged in every way."""

from __future__ import annotations

import pickle
import re
import warnings
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
import xarray_sentinel.sentinel1 as xarray_sentinel
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile
from scipy.interpolate import CubicSpline, RegularGridInterpolator
from scipy.optimize import minimize_scalar

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.archive.archive import Archive
from geodes_lab.formats import tile_cache
from geodes_lab.products import tiepoints
from geodes_lab.products.sentinel1 import annotation, calibration, geometry
from geodes_lab.products.sentinel1 import grid as sentinel1_grid
from geodes_lab.reading import sensor_window
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel1 import grd as generator
from geodes_lab.sample.sentinel1 import safe
from geodes_lab.storage.resolve import Fetched
from geodes_lab.storage.traffic import traffic
from tests.support.examples import examples


@pytest.fixture
def radar(sample) -> Path:
    return min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


@pytest.fixture
def made() -> generator.Product:
    return generator.products()[0]


def where(x, y):
    """The generator's own geometry, the other way round: line and sample of places in metres."""
    dx, dy = x - (truth.WEST + truth.COLS * 5), y - (truth.NORTH - truth.ROWS * 5)
    sin, cos = np.sin(np.radians(generator.HEADING)), np.cos(np.radians(generator.HEADING))
    along, across = dx * sin + dy * cos, dx * cos - dy * sin
    return along / 10 + (generator.LINES - 1) / 2, across / 10 + (generator.SAMPLES - 1) / 2


def inside(line, sample, margin=0.0):
    down = (line > margin - 0.5) & (line < generator.LINES - 0.5 - margin)
    return down & (sample > margin - 0.5) & (sample < generator.SAMPLES - 0.5 - margin)


def test_tree_has_a_node_for_each_polarisation(radar, made):
    tree = gl.open_product(radar)
    assert set(tree.children) == {"vv", "vh"}
    node = tree["vv"].to_dataset()
    assert {"dn", "sigma0", "beta0", "gamma0", "sigma0_denoised", "incidence_angle"} <= set(node.data_vars)
    assert node.azimuth_time.values[0] == np.datetime64(made.start.replace(tzinfo=None), "ns")
    assert abs(node.azimuth_time.values[-1] - np.datetime64(made.stop.replace(tzinfo=None))) < np.timedelta64(2, "us")
    np.testing.assert_array_equal(node.dn.compute(scheduler="sync"), generator.numbers(made, "VV"))
    lon, lat = generator.degrees(node.line.values[400], node.pixel.values[500])
    grid = tree["vv/geolocation"]
    assert abs(float(grid.longitude.mean()) - lon) < 0.01
    assert abs(float(grid.latitude.mean()) - lat) < 0.01


@pytest.mark.parametrize("polarisation", ["VV", "VH"])
def test_backscatter_without_noise_is_the_truth(radar, made, polarisation):
    node = gl.open_product(radar)[polarisation.lower()]
    found = node.sigma0_denoised.compute(scheduler="sync").values
    want = generator.sigma0(made, polarisation)
    bright = want > 0.01  # darker ones are a few numbers above the noise, and were rounded
    np.testing.assert_allclose(found[bright], want[bright], rtol=0.05)
    assert abs(found[bright].mean() / want[bright].mean() - 1) < 1e-3
    noisy = node.sigma0.compute(scheduler="sync").values
    assert (noisy >= found - 1e-6).all()


def test_tables_are_those_of_xarray_sentinel(shared):
    """Real calibration tables, between and beyond their vectors."""
    folder = shared / "sentinel1-safe" / "S1B_IW_SLC__1SDV_20210401T052622_20210401T052650_026269_032297_EFA4.SAFE"
    path = next((folder / "annotation" / "calibration").glob("calibration-s1b-iw1-slc-vh*.xml"))
    theirs = xarray_sentinel.open_calibration_dataset(str(path))
    archive = Archive(str(folder))
    mine = calibration.read(archive, next(n for n in archive.names if n.endswith(path.name)))
    rng = np.random.default_rng(0)
    lines, pixels = np.sort(rng.uniform(-500, 14_000, 50)), np.sort(rng.uniform(0, 20_000, 60))
    for name, table in {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}.items():
        want = theirs[table].interp(
            line=np.clip(lines, *theirs.line.values[[0, -1]]), pixel=np.clip(pixels, *theirs.pixel.values[[0, -1]])
        )
        np.testing.assert_allclose(mine[name].at(lines, pixels), want, rtol=1e-6)


def test_geolocation_is_that_of_xarray_sentinel_and_the_orbit_agrees(shared):
    folder = next((shared / "sentinel1-safe").glob("*GRDH*.SAFE"))
    path = next((folder / "annotation").glob("*vv*.xml"))
    theirs = xarray_sentinel.open_gcp_dataset(str(path))
    archive = Archive(str(folder))
    mine = annotation.read(archive, next(n for n in archive.names if n.endswith(path.name)))
    for name in ("latitude", "longitude", "height"):
        np.testing.assert_allclose(getattr(mine.grid, name), theirs[name].values)
    np.testing.assert_array_equal(mine.grid.azimuth_time[:, 0], theirs.azimuth_time.values)
    np.testing.assert_array_equal(mine.orbit.time, xarray_sentinel.open_orbit_dataset(str(path)).azimuth_time.values)
    places = np.meshgrid(mine.grid.line, mine.grid.pixel, indexing="ij")
    line, pixel = geometry.locate(mine, mine.grid.longitude, mine.grid.latitude, mine.grid.height, places)
    assert np.abs(line - mine.grid.line[:, None]).max() < 0.5, "mountains of 2800 m"
    assert np.abs(pixel - mine.grid.pixel).max() < 2


@pytest.mark.thorough
def test_a_grid_finds_its_places_to_a_hundredth_of_a_pixel(radar):
    archive = Archive(str(radar))
    told = annotation.read(archive, next(n for n in archive.names if "annotation/s1a-iw-grd-vv" in n))
    for crs, size in (("EPSG:32631", 10), ("EPSG:2154", 7), ("EPSG:4326", 1e-4)):
        bounds = (truth.WEST, truth.NORTH - 5000, truth.WEST + 6000, truth.NORTH)
        grid = GeoBox.from_bbox(bounds, "EPSG:32631", resolution=10).to_crs(crs, resolution=size)
        line, pixel = geometry.places(grid, told)
        rows, cols = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
        x, y = grid.affine * (cols + 0.5, rows + 0.5)
        x, y = rasterio.warp.transform(crs, "EPSG:32631", x.ravel(), y.ravel())[:2]
        want = where(np.array(x).reshape(rows.shape), np.array(y).reshape(rows.shape))
        here = inside(*want)
        assert here.any()
        assert np.abs(line - want[0])[here].max() < 0.01
        assert np.abs(pixel - want[1])[here].max() < 0.01


def test_cube_is_the_image_at_its_places(on_s3, made):
    items = [i for i in gl.search("PEPS_S1_L1", datetime="2021-06/2021-08") if "_GRDH_" in i.id]  # not those of hills
    before = traffic.bytes
    cube = gl.open_cube(items, bands=["vv", "gamma0_vh", "incidence"])
    assert traffic.bytes - before < 2_000_000, "annotations, no pixel"
    assert cube.odc.geobox.crs.epsg == 32631
    assert cube.odc.geobox.resolution.x == 10
    assert cube.vv.attrs["geolocation"] == "ellipsoid height: relief is displaced"
    x, y = np.meshgrid(cube.x.values, cube.y.values)
    line, sample = where(x, y)
    here = inside(line, sample)
    cube = pickle.loads(pickle.dumps(cube)).compute(scheduler="sync").isel(time=0)
    row, col = np.rint(line[here]).astype(int), np.rint(sample[here]).astype(int)
    for name, polarisation, table in (("vv", "VV", "sigmaNought"), ("gamma0_vh", "VH", "gamma")):
        gain = np.interp(np.arange(generator.SAMPLES), generator.KNOTS, generator.gains()[table])
        want = (generator.numbers(made, polarisation).astype(float) / gain) ** 2
        same = np.isclose(cube[name].values[here], want[row, col], rtol=1e-5)
        assert same.mean() > 0.999, "but for places half-way between two pixels"
        assert np.isnan(cube[name].values[~here]).all()
    assert np.nanmin(cube.incidence) > 35
    assert np.nanmax(cube.incidence) < 38


def test_a_coarse_grid_averages_all_looks(radar, made):
    grid = GeoBox.from_bbox((403_000, 4_822_000, 407_000, 4_828_000), "EPSG:32631", resolution=200)
    cube = gl.open_cube([radar], bands=["sigma0_vv_denoised"], geobox=grid, resampling="average")
    found = cube.sigma0_vv_denoised.isel(time=0).compute(scheduler="sync").values
    fine = grid.zoom_out(1 / 20)
    x, y = np.meshgrid(fine.coords["x"].values, fine.coords["y"].values)
    line, sample = where(x, y)
    here = inside(line, sample)
    image = generator.sigma0(made, "VV")
    values = np.where(
        here, image[np.clip(np.rint(line), 0, 799).astype(int), np.clip(np.rint(sample), 0, 999).astype(int)], np.nan
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cells beyond the image
        want = np.nanmean(values.reshape(30, 20, 20, 20), axis=(1, 3))
    assert np.isfinite(want).sum() > 200
    np.testing.assert_array_equal(np.isnan(found), np.isnan(want))
    np.testing.assert_allclose(found, want, rtol=0.01)


@pytest.mark.parametrize("way", ["nearest", "bilinear", "average"])
def test_numbers_do_not_depend_on_chunks(radar, way):
    whole, parts = (
        gl.open_cube([radar], bands=["gamma0_vv"], crs="EPSG:32631", resolution=30, resampling=way, chunks=c)
        .gamma0_vv.compute(scheduler="sync")
        .values
        for c in (None, 37)
    )
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_what_is_held_at_once_is_bounded_and_changes_nothing(radar, monkeypatch, resampling):
    grid = GeoBox.from_bbox((400_000, 4_821_000, 409_000, 4_830_000), "EPSG:32631", resolution=30)
    cube = gl.open_cube([radar], bands=["vv"], geobox=grid, resampling=resampling)
    whole = cube.vv.compute(scheduler="sync")
    sizes, window = [], sensor_window.window

    def counted(source, rows, cols):
        sizes.append((rows[1] - rows[0]) * (cols[1] - cols[0]))
        return window(source, rows, cols)

    monkeypatch.setattr(sentinel1_grid, "_PIXELS", 50_000)
    monkeypatch.setattr(sensor_window, "window", counted)
    np.testing.assert_allclose(cube.vv.compute(scheduler="sync"), whole, rtol=1e-5)
    assert max(sizes) < 50_000 + 40 * 1000
    assert len(sizes) > 10


@given(
    places=st.lists(st.tuples(st.floats(0, 19), st.floats(0, 29)), min_size=1, max_size=20),
    holes=st.sets(st.tuples(st.integers(0, 19), st.integers(0, 29)), max_size=40),
)
@settings(max_examples=examples(100), deadline=None)
def test_samples_have_no_part_of_what_has_no_data(places, holes):
    rng = np.random.default_rng(0)
    window = rng.uniform(1, 2, (20, 30)).astype(np.float32)
    for hole in holes:
        window[hole] = np.nan
    line, pixel = np.array(places).T
    for order in (0, 1, 3):
        found = tiepoints.sampled(window, line, pixel, order)
        there = found[~np.isnan(found)]
        assert (there > (0 if order == 3 else 0.999)).all()
        assert (there < 2.5).all()
        if order == 0:
            near = window[np.rint(line).astype(int), np.rint(pixel).astype(int)]
            np.testing.assert_array_equal(found, near)
        if not holes:
            assert len(there) == len(line)


def relief(folder: Path, height: float) -> Path:
    """A terrain model as high everywhere."""
    path = folder / f"{height:g}.tif"
    profile = {"driver": "GTiff", "count": 1, "width": 60, "height": 60, "dtype": "float32", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(300, 0, 396_000, 0, -300, 4_834_000)) as file:
        file.write(np.full((60, 60), height, np.float32), 1)
    return path


def test_relief_moves_the_image_towards_the_radar(radar, tmp_path):
    grid = GeoBox.from_bbox((403_000, 4_823_000, 406_000, 4_827_000), "EPSG:32631", resolution=10)
    options = {"bands": ["vv"], "geobox": grid}
    flat = gl.open_cube([radar], **options).vv.isel(time=0).compute(scheduler="sync").values
    same = gl.open_cube([radar], **options, dem=relief(tmp_path, generator.HEIGHT), dem_heights="ellipsoid").vv
    assert same.attrs["geolocation"].startswith("relief taken into account by 200")
    same = same.isel(time=0).compute(scheduler="sync").values
    assert np.isclose(same, flat).mean() > 0.999
    high = gl.open_cube(
        [radar], **options, dem=relief(tmp_path, generator.HEIGHT + 500), dem_heights="ellipsoid"
    ).vv.isel(time=0)
    archive = Archive(str(radar))
    told = annotation.read(archive, next(n for n in archive.names if "annotation/s1a-iw-grd-vv" in n))
    line, pixel = geometry.places(grid, told)
    moved_line, moved = geometry.places(grid, told, np.full(grid.shape, generator.HEIGHT + 500))
    shift = 500 / np.tan(np.radians(36.5)) / 10
    assert np.abs((pixel - moved) - shift).max() < 0.02 * shift
    assert np.abs(line - moved_line).max() < 1
    assert not np.isclose(high.compute(scheduler="sync").values, flat).mean() > 0.1


def test_dem_is_refused_where_nothing_is_displaced(on_disk, product, tmp_path):
    with pytest.raises(gl.GeodesError, match=r"dem= only applies to bands in radar geometry"):
        gl.open_cube([product], bands=["red"], dem=relief(tmp_path, 1), dem_heights="geoid")


def test_resampling_that_makes_no_sense(radar):
    cube = gl.open_cube([radar], bands=["vv"], resampling="mode")
    with pytest.raises(gl.GeodesError, match="its resampling is nearest, bilinear, cubic or average, not mode"):
        cube.vv.compute(scheduler="sync")


def test_unknown_band_lists_those_there_are(radar):
    with pytest.raises(gl.GeodesError, match=r"has no band 'hh'.*sigma0_vv"):
        gl.open_cube([radar], bands=["hh"])


def test_compressed_measurement_is_extracted_once_and_said(radar, tmp_path, made):
    path = tmp_path / radar.name
    with zipfile.ZipFile(radar) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    tree = gl.open_product(path)  # extracts nothing
    with pytest.warns(Fetched, match="compressed"):
        found = tree["vh"].dn.compute(scheduler="sync")
    np.testing.assert_array_equal(found, generator.numbers(made, "VH"))
    again = gl.open_product(path)["vh"].dn
    np.testing.assert_array_equal(again.compute(scheduler="sync"), found)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("calibration-s1a-iw-grd-vh", "has no VH calibration table"),
        (".tiff", "has no measurement"),
        ("annotation/s1a", "has no annotation file"),
    ],
)
def test_member_is_missing(altered, radar, missing, said):
    path = altered(lambda name, data: None if missing in name else data, radar)
    with pytest.raises(gl.GeodesError, match=said):
        gl.open_product(path)


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        (rb"<numberOfLines>\d+<", b"<numberOfLines><", "has no numberOfLines"),
        (rb"<numberOfLines>\d+<", b"<numberOfLines>x<", "is not a number: 'x'"),
        (rb"<productFirstLineUtcTime>[^<]+<", b"<productFirstLineUtcTime>noon<", "is not a time: 'noon'"),
        (rb"</geolocationGridPoint>", b"", "is not valid XML"),
    ],
)
def test_annotation_is_damaged(altered, radar, pattern, by, said):
    def change(name: str, data: bytes) -> bytes:
        return re.sub(pattern, by, data, count=1) if "annotation/s1a-iw-grd-vh" in name else data

    with pytest.raises(gl.GeodesError, match=said):
        products.unpack(altered(change, radar))


def test_empty_measurement_is_an_error_when_it_is_read(altered, radar):
    path = altered(lambda name, data: b"" if name.endswith("-001.tiff") else data, radar)
    with pytest.raises(gl.GeodesError, match="Band vv of S1A_IW_GRDH"):
        gl.open_product(path)["vv"].sigma0.compute(scheduler="sync")


def test_pixels_are_gdals(radar):
    archive = Archive(str(radar))
    member = next(n for n in archive.names if n.endswith("-002.tiff"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(archive.gdal(member)) as file:
            want = file.read(1, window=((300, 420), (111, 987)))
    tile_cache.forget()
    with dask.config.set(scheduler="sync"):
        found = gl.open_product(radar)["vh"].dn[300:420, 111:987].values
    np.testing.assert_array_equal(found, want)


def beside(path: Path, product: generator.Product, heading: float, monkeypatch) -> Path:
    """Write another pass of the generator's radar over the same ground."""
    generator.gains()  # kept for all tests: not to be reckoned first with another heading
    monkeypatch.setattr(generator, "HEADING", heading)
    path = path / f"{product.name}.zip"
    safe.write(product, path)
    if heading > -90:
        return renamed(
            path, path.with_name(f"up-{path.name}"), lambda n, d: (n, d.replace(b"Descending", b"Ascending"))
        )
    return path


def renamed(old: Path, new: Path, change) -> Path:
    """Copy a zip with its members' names and bytes changed."""
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for info in source.infolist():
            target.writestr(*change(info.filename, source.read(info)))
    return new


def expected(x, y, product, polarisation="VV"):
    """Sigma nought at places, by the generator alone; NaN beyond its image."""
    line, sample = where(*np.meshgrid(x, y))
    row, col = (np.clip(np.rint(v), 0, n - 1).astype(int) for v, n in ((line, 800), (sample, 1000)))
    gain = np.interp(np.arange(generator.SAMPLES), generator.KNOTS, generator.gains()["sigmaNought"])
    image = (generator.numbers(product, polarisation).astype(float) / gain) ** 2
    return np.where(inside(line, sample), image[row, col], np.nan)


@pytest.mark.parametrize(("heading", "told"), [(-165.0, "descending"), (-15.0, "ascending")])
def test_passes_both_ways_lie_on_the_same_ground(tmp_path, monkeypatch, made, heading, told):
    path = beside(tmp_path, made, heading, monkeypatch)
    item = products.unpack(path)
    assert item.properties["sat:orbit_state"] == told
    assert item.properties["processing:version"] == "003.31"
    cube = gl.open_cube([path], bands=["vv"])
    assert cube.baseline.item() == "003.31"
    with dask.config.set(scheduler="threads", num_workers=2):
        found = cube.vv.isel(time=0).values
    want = expected(cube.x.values, cube.y.values, made)
    assert (np.isnan(found) != np.isnan(want)).sum() < 5, "places on the very edge"
    assert np.isclose(found, want, rtol=1e-5)[~np.isnan(want)].mean() > 0.999


@pytest.mark.thorough
def test_products_of_a_day_are_pasted(tmp_path, monkeypatch, made):
    """The first has no data in its last lines, where the second is seen, which is twice as bright."""
    later = replace(made, start=made.start + timedelta(seconds=2), platform="S1B")
    there = np.arange(generator.LINES)[:, np.newaxis] < 500
    numbers = generator.numbers
    monkeypatch.setattr(
        safe,
        "numbers",
        lambda p, pol: (np.where(there, numbers(p, pol), 0) if p == made else 2 * numbers(p, pol)).astype(np.uint16),
    )
    paths = [beside(tmp_path, p, -165.0, monkeypatch) for p in (made, later)]
    assert gl.open_cube(paths, bands=["vv"]).sizes["time"] == 2, "two satellites"
    cube = gl.open_cube(paths, bands=["vv"], groupby="solar_day")
    assert cube.sizes["time"] == 1
    assert len(cube["product"].item().split()) == 2
    with dask.config.set(scheduler="threads", num_workers=2):
        found = cube.vv.isel(time=0).values
    line, _ = where(*np.meshgrid(cube.x.values, cube.y.values))
    want = expected(cube.x.values, cube.y.values, made) * np.where(line < 499.5, 1, 4)
    assert (np.isnan(found) != np.isnan(want)).sum() < 5
    assert np.isclose(found, want, rtol=1e-5)[~np.isnan(want)].mean() > 0.999


def test_noise_is_that_of_xarray_sentinel(shared):
    folder = shared / "sentinel1-safe" / "S1B_IW_SLC__1SDV_20210401T052622_20210401T052650_026269_032297_EFA4.SAFE"
    path = next((folder / "annotation" / "calibration").glob("noise-s1b-iw1-slc-vh*.xml"))
    archive = Archive(str(folder))
    mine = calibration.noise(archive, next(n for n in archive.names if n.endswith(path.name)))
    along = xarray_sentinel.open_noise_azimuth_dataset(str(path)).noiseAzimuthLut
    vectors = ET.parse(path).findall(".//noiseRangeVector")
    for number in (1, 3, len(vectors) - 1):  # those of a line have pixels of their own, which xarray-sentinel refuses
        pixel, value = (np.array(vectors[number].findtext(t).split(), float) for t in ("pixel", "noiseRangeLut"))
        line = float(vectors[number].findtext("line"))
        inside = np.clip(line, *along.line.values[[0, -1]])
        want = value * float(along.interp(line=inside))
        np.testing.assert_allclose(mine.at(np.array([line]), pixel)[0], want, rtol=1e-6)


def test_noise_before_ipf_2_9_has_no_azimuth(altered, radar, made):
    def older(name: str, data: bytes) -> bytes:
        if "/noise-" not in name:
            return data
        data = re.sub(rb"<noiseAzimuthVectorList.*</noiseAzimuthVectorList>", b"", data, flags=re.DOTALL)
        return data.replace(b"noiseRangeVector", b"noiseVector").replace(b"noiseRangeLut", b"noiseLut")

    node = gl.open_product(altered(older, radar))["vv"]
    found = node.sigma0_denoised.compute(scheduler="sync").values
    lines = np.arange(generator.LINES)
    rows = [np.interp(np.arange(1000), generator.KNOTS, generator.noise_range("VV", n)) for n in generator.NOISY]
    power = np.stack([np.interp(lines, list(generator.NOISY), column) for column in np.transpose(rows)], axis=1)
    gain = np.interp(np.arange(1000), generator.KNOTS, generator.gains()["sigmaNought"])
    numbers = generator.numbers(made, "VV").astype(float)
    np.testing.assert_allclose(found, np.maximum(numbers**2 - power, 0) / gain**2, rtol=1e-4, atol=1e-6)


def test_cog_safe_is_read_by_its_tiles(radar, tmp_path, made):
    """As the Copernicus Data Space has them: other names, tiles of 512 pixels that are compressed."""

    def packed(name: str, data: bytes) -> tuple[str, bytes]:
        name = re.sub(r"\.SAFE/", "_COG.SAFE/", name)
        name = re.sub(r"(-00\d)\.(xml|tiff)$", r"\1-cog.\2", name)
        if name.endswith(".tiff"):
            with warnings.catch_warnings(), MemoryFile(data) as old, MemoryFile(ext=".tif") as new:
                warnings.simplefilter("ignore")
                with old.open() as file, new.open(**{**file.profile, "tiled": True, "blockxsize": 512, "blockysize": 512,
                                                     "compress": "deflate", "transform": None}) as made_:  # fmt: skip
                    made_.write(file.read())
                data = new.read()
        return name, data

    path = renamed(radar, tmp_path / f"{radar.stem}_COG.zip", packed)
    tree = gl.open_product(path)
    with dask.config.set(scheduler="sync"):
        np.testing.assert_array_equal(tree["vh"].dn[100:600, 300:900], generator.numbers(made, "VH")[100:600, 300:900])
        same = gl.open_cube([path], bands=["vv"]).vv.values
        np.testing.assert_array_equal(same, gl.open_cube([radar], bands=["vv"]).vv.values)


def test_plan_is_about_what_is_read(on_s3):
    item = next(i for i in gl.search("PEPS_S1_L1") if "_GRDH_" in i.id)
    for options in ({}, {"bbox": (1.80, 43.57, 1.82, 43.58)}):
        cube = gl.open_cube([item], bands=["vv", "gamma0_vv", "incidence"], **options)
        before = traffic.bytes
        plan = gl.plan(cube)
        assert traffic.bytes == before, "a plan reads nothing"
        tile_cache.forget()
        cube.compute(scheduler="sync")
        read = traffic.bytes - before
        assert plan.products == 1
        assert 0.8 * read < plan.bytes < 1.7 * read, "both bands are of one file; strips are counted in MiB"


def test_windows_that_a_plan_counts_hold_what_is_read(radar, monkeypatch):
    source = products.bands.source(products.unpack(radar), "vv")
    seen, window = [], sensor_window.window

    def counted(image, rows, cols):
        seen.append((rows, cols))
        return window(image, rows, cols)

    monkeypatch.setattr(sensor_window, "window", counted)
    for crs, size in (("EPSG:32631", 10), ("EPSG:2154", 30), ("EPSG:4326", 3e-4)):
        whole = source.geobox.to_crs(crs, resolution=size)
        for top, left in ((0.2, 0.2), (0.5, 0.6), (0.7, 0.3)):
            row, col = int(whole.shape[0] * top), int(whole.shape[1] * left)
            grid = whole[row : row + 40, col : col + 50]
            (first, last), (west, east) = source.native.spans(source, grid)
            seen.clear()
            source.native.numbers(source, grid, rasterio.enums.Resampling.cubic)
            for rows, cols in seen:
                assert first <= rows[0] <= rows[1] <= last
                assert west <= cols[0] <= cols[1] <= east
            assert (last - first) * (east - west) < 0.2 * generator.LINES * generator.SAMPLES or crs != "EPSG:32631"


def real(shared) -> tuple[annotation.Annotation, Path]:
    """The annotation of a product over the Alps."""
    folder = next((shared / "sentinel1-safe").glob("*GRDH*.SAFE"))
    path = next((folder / "annotation").glob("*vv*.xml"))
    archive = Archive(str(folder))
    return annotation.read(archive, next(n for n in archive.names if n.endswith(path.name))), path


@pytest.mark.parametrize(("crs", "size"), [("EPSG:32632", 10), ("EPSG:3035", 40), ("EPSG:4326", 1e-4)])
def test_places_between_real_tie_points_follow_the_orbit(shared, crs, size):
    """Reckoned another way: a spline through the orbit, the nearest time by golden section, xarray-sentinel's ground range."""
    told, path = real(shared)
    orbit = xarray_sentinel.open_orbit_dataset(str(path))
    conversion = xarray_sentinel.open_coordinate_conversion_dataset(str(path))
    since = orbit.azimuth_time.values[0]
    curve = CubicSpline((orbit.azimuth_time.values - since) / np.timedelta64(1, "s"), orbit.position.values, axis=1)
    heights = RegularGridInterpolator((told.grid.line, told.grid.pixel), told.grid.height)
    for number in range(6):
        row, col = divmod(number * 37 + 11, 21)
        row = row % 9
        col = min(col, 19)
        lon = told.grid.longitude[row : row + 2, col : col + 2].mean()
        lat = told.grid.latitude[row : row + 2, col : col + 2].mean()
        (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [lon], [lat])[:2]
        grid = GeoBox((200, 200), rasterio.Affine(size, 0, x - 70.5 * size, 0, -size, y + 120.5 * size), crs)
        line, pixel = (v[120, 70] for v in geometry.places(grid, told))
        near = told.grid.points(told.spacing).inverse(crs)(np.array([[x]]), np.array([[y]]))
        height = float(heights((near[0].item(), near[1].item())))
        place = np.array(rasterio.warp.transform("EPSG:4979", "EPSG:4978", [lon], [lat], [height])).ravel()
        when = minimize_scalar(lambda t, p=place: ((curve(t) - p) ** 2).sum(), bounds=(50, 110), method="bounded",
                               options={"xatol": 1e-9}).x  # fmt: skip
        slant = np.linalg.norm(curve(when) - place)
        moment = since + np.timedelta64(round(when * 1e9), "ns")
        ground = xarray_sentinel.slant_range_time_to_ground_range(
            xr.DataArray(moment), xr.DataArray(slant * 2 / annotation.LIGHT), conversion
        )
        assert abs((moment - told.start) / np.timedelta64(1, "ns") * 1e-9 / told.interval - line) < 0.1
        assert abs(float(ground) / 10 - pixel) < 0.05


def test_the_other_side_of_the_orbit_is_not_seen(shared):
    told, _ = real(shared)
    grid = GeoBox.from_bbox((-20, 30, 40, 60), "EPSG:4326", resolution=0.2)
    for height in (None, np.full(grid.shape, 500.0)):
        line, pixel = geometry.places(grid, told, height)
        here = (line > -0.5) & (line < told.shape[0] - 0.5) & (pixel > -0.5) & (pixel < told.shape[1] - 0.5)
        x, y = grid.affine * (np.nonzero(here)[1] + 0.5, np.nonzero(here)[0] + 0.5)
        assert len(x) > 100
        assert told.grid.longitude.min() - 0.3 < x.min() < x.max() < told.grid.longitude.max() + 0.3
        assert told.grid.latitude.min() - 0.3 < y.min() < y.max() < told.grid.latitude.max() + 0.3


def test_what_is_kept_of_an_annotation_is_small(shared):
    told, path = real(shared)
    assert len(pickle.dumps(told)) < path.stat().st_size / 10


def test_terrain_that_lies_beside_is_refused_and_holes_are_no_data(radar, tmp_path):
    beside_ = tmp_path / "far.tif"
    profile = {"driver": "GTiff", "count": 1, "width": 9, "height": 9, "dtype": "float32", "crs": "EPSG:32631"}
    with rasterio.open(beside_, "w", **profile, transform=rasterio.Affine(30, 0, 700_000, 0, -30, 4_834_000)) as file:
        file.write(np.zeros((9, 9), np.float32), 1)
    with pytest.raises(gl.GeodesError, match=r"dem= has no heights here: far"):
        gl.open_cube([radar], bands=["vv"], dem=beside_, dem_heights="geoid")
    path = tmp_path / "holes.tif"
    heights = np.full((60, 60), generator.HEIGHT, np.float32)
    heights[:, :30] = -9999
    profile |= {"width": 60, "height": 60, "nodata": -9999}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(300, 0, 396_000, 0, -300, 4_834_000)) as file:
        file.write(heights, 1)
    grid = GeoBox.from_bbox((403_000, 4_823_000, 407_000, 4_827_000), "EPSG:32631", resolution=10)
    found = (
        gl.open_cube([radar], bands=["vv"], geobox=grid, dem=path, dem_heights="ellipsoid")
        .vv.isel(time=0)
        .compute(scheduler="sync")
        .values
    )
    assert np.isnan(found[:, :150]).all()
    assert not np.isnan(found[:, 230:]).any()
