"""What a Sentinel-2 tree has beside its bands: angles, detectors, clouds, picture; and level 2A in ESA's layout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.interpolate import griddata

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.archive.archive import Archive
from geodes_lab.formats import tile_cache
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2 import angles as sentinel2_angles
from geodes_lab.sample.sentinel2 import l1c, l2a
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml


@pytest.fixture
def modern(sample) -> Path:
    """Baseline 05.00, with clouds."""
    return next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/08/29/*.zip"))


@pytest.fixture
def surface(sample) -> Path:
    return next((sample / "datalake" / "sentinel2-l2a-esa").rglob("*.zip"))


def test_picture_and_detectors_are_gdals(modern):
    tree, archive = gl.open_product(modern), Archive(str(modern))
    tile_cache.forget()
    before = tile_cache.shared().decoded
    picture = tree["r10m"].tci.compute(scheduler="sync")
    with rasterio.open(archive.gdal(archive.find(r"\w+_TCI\.jp2", "picture"))) as file:
        np.testing.assert_array_equal(picture, file.read())
    assert tile_cache.shared().decoded - before == 4, "each tile once, for three colours"
    for band, name in (("B04", "red"), ("B8A", "nir08"), ("B09", "nir09")):
        with rasterio.open(archive.gdal(archive.find(rf"MSK_DETFOO_{band}\.jp2", "detectors"))) as file:
            want = file.read(1)
        node = next(n for n in (tree["r10m"], tree["r20m"], tree["r60m"]) if name in n)
        np.testing.assert_array_equal(node["quality"][f"detector_{name}"].compute(scheduler="sync"), want)


def test_clouds_are_nodes_of_either_baseline(modern, product, sample):
    old = next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/06/20/*.zip"))
    for path, there in ((modern, {"opaque", "cirrus", "snow"}), (old, {"opaque", "cirrus"})):
        quality = gl.open_product(path)["r60m/quality"]
        assert there <= set(quality.data_vars)
        assert 0.05 < float(quality.opaque.mean().compute(scheduler="sync")) < 0.95
        assert quality.opaque.attrs["flag_meanings"] == "no_cloud cloud"


@pytest.mark.thorough
def test_angles_are_interpolated_between_their_values(modern):
    tree = gl.open_product(modern)
    grid = tree["angles"].to_dataset()
    assert dict(grid.sizes) == {"y": 23, "x": 23, "band": 13, "detector": 2}
    assert grid.sun_zenith.attrs["standard_name"] == "solar_zenith_angle"
    for node, bands in (("r10m", ["blue", "green", "red", "nir"]), ("r60m", ["coastal", "nir09", "cirrus"])):
        angles = tree[f"{node}/angles"].to_dataset().isel(y=slice(0, None, 37), x=slice(0, None, 41))
        assert list(angles.band.values) == bands
        angles = angles.compute(scheduler="sync")
        row = (grid.y.values[0] - angles.y.values[:, None]) / 5000
        col = (angles.x.values[None] - grid.x.values[0]) / 5000
        zenith, azimuth = sentinel2_xml.sun(row, col)
        np.testing.assert_allclose(angles.sun_zenith, zenith, atol=2e-3)
        np.testing.assert_allclose(angles.sun_azimuth, azimuth, atol=2e-3)
        for n, name in enumerate(bands):
            number = next(k for k, b in enumerate(l1c.BANDS) if b.common_name == name)
            seen = tree[f"{node}/quality"][f"detector_{name}"].isel(y=slice(0, None, 37), x=slice(0, None, 41))
            there = seen.compute(scheduler="sync").values == 5
            # The detector of the south has values from the twelfth row on: the nearest of them hold in the north.
            want = sentinel2_xml.view(number, 5, np.full_like(row, 12) + 0 * col, col + 0 * row)
            found = angles.view_zenith.values[n]
            np.testing.assert_allclose(found[there], want[0][there], atol=5e-3)
            away = (angles.view_azimuth.values[n] - want[1] + 180) % 360 - 180
            assert np.abs(away[there]).max() < 5e-3, "azimuths cross north"
            assert np.isnan(found[~there]).all()


@pytest.mark.thorough
def test_real_angles_agree_with_another_interpolation(shared):
    folder = next((shared / "sentinel2-metadata").glob("S2A_MSIL1C_2021*.SAFE"))
    archive = Archive(str(folder))
    told = Document(archive, archive.find(r"MTD_TL\.xml", "tile"))
    grid = sentinel2_angles.grids(told, 499_980.0, 3_100_020.0)
    assert grid.sun_zenith.values[0, 0] == pytest.approx(27.2006)
    assert dict(grid.sizes)["band"] == 13
    from odc.geo.geobox import GeoBox

    box = GeoBox.from_bbox((499_980, 2_990_220, 609_780, 3_100_020), "EPSG:32646", resolution=60)
    fine = sentinel2_angles.on(grid, box, ["red"], {})
    some = fine.isel(y=slice(5, 1800, 300), x=slice(7, 1800, 300)).compute(scheduler="sync")
    x, y = np.meshgrid(box.coords["x"].values[7:1800:300], box.coords["y"].values[5:1800:300])
    points = np.stack([a.ravel() for a in np.meshgrid(grid.x.values, grid.y.values)], axis=1)
    want = griddata(points, grid.sun_zenith.values.ravel(), (x, y))
    np.testing.assert_allclose(some.sun_zenith, want, atol=0.01)
    mean = float(told.text(".//Mean_Sun_Angle/AZIMUTH_ANGLE"))
    assert abs(float(fine.sun_azimuth.mean().compute(scheduler="sync")) - mean) < 0.3
    view = fine.view_zenith.compute(scheduler="sync")
    known = grid.view_zenith.sel(band="red").notnull().any("detector")  # the swath ends inside the tile
    assert abs(float(view.notnull().mean()) - float(known.mean())) < 0.05
    assert 0 < float(view.min()) < float(view.max()) < 13


@pytest.mark.parametrize("names", [("B04", "B11", "B01"), pytest.param(None, marks=pytest.mark.slow)])  # 1 s a band
def test_level_2a_is_what_was_written(on_s3, names):
    item = gl.search("SENTINEL2_L2A")[0]
    made = l2a.products()[0]
    tree = gl.open_product(item)
    assert tree.attrs["processing_baseline"] == "05.00"
    for number, band in enumerate(l1c.BANDS):
        if number == l2a.CIRRUS or (names and band.name not in names):
            continue
        numbers = made.numbers(number).astype(float)
        want = np.where(numbers == 0, np.nan, (numbers - 1000) / 10_000)
        node = tree[f"r{band.resolution}m"]
        np.testing.assert_allclose(node[band.common_name].compute(scheduler="sync"), want, atol=1e-6)
    red = tree["r10m"].red
    assert red.attrs["standard_name"] == "surface_bidirectional_reflectance"
    scene = tree["r20m"].to_dataset()
    assert scene.blue.attrs["long_name"].startswith("Blue (B02_20m)")
    np.testing.assert_array_equal(scene.scl, made.classes())
    assert scene.scl.attrs["flag_meanings"].split()[9] == "cloud_high_probability"
    np.testing.assert_allclose(scene.aot.isel(x=0, y=0), 0.187, rtol=1e-6)
    np.testing.assert_allclose(scene.wvp.isel(x=0, y=0), 2.41, rtol=1e-6)


def test_level_2a_is_masked_by_its_classes(on_disk):
    item, made = gl.search("SENTINEL2_L2A")[0], l2a.products()[0]
    classes = made.classes()
    hidden = classes == l2a.CLOUD
    assert 0.05 < hidden.mean() < 0.5
    for mask in ("cloud_high_probability", {"SCL": [l2a.CLOUD]}):
        cube = gl.open_cube([item], bands=["nir08"], mask=mask)
        missing = cube.nir08.isel(time=0).isnull().compute(scheduler="sync").values
        np.testing.assert_array_equal(missing, hidden | (classes == 0))
    with pytest.raises(gl.GeodesError, match=r"has no class 'clouds'.* Its masks have: .*cloud_high_probability"):
        gl.open_cube([item], bands=["nir08"], mask="clouds")


def test_levels_join_one_cube(on_disk):
    items = [*gl.search("SENTINEL2_L2A"), *gl.search("PEPS_S2_L1C", datetime="2021-08-04")[:1]]
    cube = gl.open_cube(items, bands=["swir16"])
    assert cube.sizes["time"] == 2


def test_damaged_angles(altered, modern):
    path = altered(
        lambda n, d: re.sub(rb"<VALUES>30\.0000", b"<VALUES>x", d, count=1) if n.endswith("MTD_TL.xml") else d, modern
    )
    with pytest.raises(gl.GeodesError, match=r"The angles in MTD_TL\.xml of .* are damaged"):
        gl.open_product(path)
    assert products.unpack(path).assets, "whoever wants bands needs no angles"
