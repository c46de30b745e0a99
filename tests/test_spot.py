"""Spot World Heritage: bands by wavelength whatever their order, radiance, and places, beside GDAL's DIMAP driver."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab.archive import Archive
from geodes_lab.products import spot_dimap
from geodes_lab.sample import spot, truth

NAMES = {"XS1": "green", "XS2": "red", "XS3": "nir", "SWIR": "swir16"}


@pytest.fixture
def scene(sample) -> Path:
    return next((sample / "datalake" / "swh-l1a").rglob("*.zip"))


def test_scene_opens_in_its_own_geometry(on_s3):
    tree = gl.open_product(gl.search("SWH_SPOT4_L1")[0])
    tree = pickle.loads(pickle.dumps(tree))
    assert "not orthorectified" in tree.attrs["geometry"]
    line, pixel = np.mgrid[0 : spot.SIDE, 0 : spot.SIDE]
    x, y = spot.ground(line, pixel)
    for n, (name, gain, _) in enumerate(spot.BANDS):
        numbers = np.clip(np.rint(spot.numbers(n, x, y)), 1, 254)
        numbers[:, :3] = np.nan
        found = tree[NAMES[name]]
        np.testing.assert_allclose(found.compute(scheduler="sync"), numbers / gain + spot.BIAS, rtol=1e-5)
        assert found.attrs["units"] == "W m-2 sr-1 um-1"
    assert [n for n in tree.data_vars if not n.startswith("saturated")] == ["green", "red", "nir", "swir16"]
    assert tree["ground_control"].sizes["point"] == 4


def test_scene_is_put_on_a_map_when_it_is_asked_for(scene):
    with pytest.raises(gl.GeodesError, match=r"raw geometry \(L1A\), not orthorectified: say the grid"):
        gl.open_cube([scene], bands=["red"])
    for crs, resolution in (("EPSG:32631", 20), ("EPSG:2154", 17)):
        cube = gl.open_cube([scene], bands=["red", "nir"], crs=crs, resolution=resolution, resampling="bilinear")
        assert cube.red.attrs["geometry"].startswith("not orthorectified")
        found = cube.isel(time=0).compute(scheduler="sync")
        x, y = np.meshgrid(found.x.values, found.y.values)
        x, y = (np.reshape(v, x.shape) for v in rasterio.warp.transform(crs, "EPSG:32631", x.ravel(), y.ravel())[:2])
        there = found.red.notnull().values
        assert 0.4 < there.mean() < 0.95
        for n, name in ((1, "red"), (0, "nir")):
            want = spot.numbers(n, x, y) / spot.BANDS[n][1] + spot.BIAS
            away = (found[name].values - want)[there]
            assert np.abs(away).max() < 1 / spot.BANDS[n][1], "the rounding of numbers"
            assert abs(away.mean()) < 0.02, "a third of a pixel would be 0.03"


def test_orthorectified_scene(on_s3):
    item = gl.search("THEIA_SWH-PHASE1_SPOT4_L1C")[0]
    tree = gl.open_product(item)
    for n, (name, _, _) in enumerate(spot.BANDS):
        np.testing.assert_allclose(tree["r20m"][NAMES[name]].compute(scheduler="sync"), spot.reflectance(n), atol=1e-6)
    cube = gl.open_cube([item], bands=["red", "nir"])
    assert cube.odc.geobox == GeoBox.from_bbox(
        (truth.WEST, truth.NORTH - 4800, truth.WEST + 4800, truth.NORTH), "EPSG:32631", resolution=20
    )


def test_ninety_nine_and_today_in_one_cube(on_disk, product):
    west, north = truth.WEST + 4200, truth.NORTH - 4200
    box = GeoBox.from_bbox((west, north - 600, west + 600, north), "EPSG:32631", resolution=20)
    items = [gl.search("THEIA_SWH-PHASE1_SPOT4_L1C")[0], gl.search("SWH_SPOT4_L1")[0], product]
    cube = gl.open_cube(items, bands=["red", "nir"], geobox=box)
    assert list(cube.time.dt.year.values) == [1999, 1999, 2021]
    assert (cube.red.notnull().mean(("y", "x")).compute(scheduler="sync") > 0.8).all()


@given(order=st.permutations(range(4)))
@settings(max_examples=12, deadline=None)
def test_any_order_of_bands_in_the_file_is_the_same(sample, tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order") / "SCENE01"
    folder.mkdir()
    archive = Archive(str(next((sample / "datalake" / "swh-l1a").rglob("*.zip"))))
    text = archive.read("SCENE01/METADATA.DIM").decode("latin-1")
    infos = re.findall(r" *<Spectral_Band_Info>.*?</Spectral_Band_Info>\n", text, re.DOTALL)
    moved = [re.sub(r"<BAND_INDEX>\d", f"<BAND_INDEX>{n}", infos[o]) for n, o in enumerate(order, 1)]
    (folder / "METADATA.DIM").write_text(text.replace("".join(infos), "".join(reversed(moved))), "latin-1")
    with rasterio.open(archive.gdal("SCENE01/IMAGERY.TIF")) as old:
        numbers, profile = old.read(), old.profile
    with rasterio.open(folder / "IMAGERY.TIF", "w", **profile) as new:
        new.write(numbers[list(order)])
    mine = gl.open_product(folder.parent)
    theirs = gl.open_product(archive.place.gdal)
    for name in NAMES.values():
        xr.testing.assert_equal(mine[name].compute(scheduler="sync"), theirs[name].compute(scheduler="sync"))


def test_real_document_is_read_as_gdal_reads_it(shared):
    folder = shared / "spot-dimap" / "dimap"
    archive = Archive(str(folder))
    found = spot_dimap.read(archive)
    assert found.platform == "spot-4"
    assert found.shape == (6000, 6000)
    assert [(b.key, b.gain, b.bias) for b in found.bands] == [("pan", 4.357726, 0.0)]
    assert (found.nodata, found.saturated) == (0, 255)
    assert found.sun == pytest.approx((165.08350907, 23.545636152))
    with rasterio.open(folder / "METADATA.DIM") as file:
        points, _ = file.gcps
    r, c = (np.array(v) + 0.5 for v in zip(*((p.row, p.col) for p in points), strict=True))
    terms = np.stack([np.ones_like(r), r, c, r * c, r * r, c * c])
    lon, lat = (np.dot(m, terms) for m in found.model)
    size = 10.0  # metres a pixel
    away = np.hypot(
        (lon - [p.x for p in points]) * 111_320 * np.cos(np.radians(44)), (lat - [p.y for p in points]) * 110_600
    )
    assert away.max() < 2 * size, "the location model agrees with the ground control points"
    assert found.ties.spacing == pytest.approx((10, 11), abs=1.5)
    assert found.suiting[0] == 32631


def test_a_model_that_contradicts_the_corners_is_not_believed(scene):
    archive = Archive(str(scene))
    good = spot_dimap.read(archive)
    wrong = (good.model[0], (good.model[1][0] + 0.1, *good.model[1][1:]))
    other = spot_dimap.Scene(**{**good.__dict__, "model": wrong})
    np.testing.assert_allclose(other.ties.latitude, good.ties.latitude, atol=2e-6)


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        (rb"<PHYSICAL_GAIN>1.24\d*<", b"<PHYSICAL_GAIN>0<", "PHYSICAL_GAIN of XS3"),
        (rb"<PHYSICAL_BIAS>[^<]*<", b"<X><", "is not valid XML"),
        (rb"<BAND_INDEX>2<", b"<BAND_INDEX>1<", "describes 4 bands of 4, or one twice"),
        (rb"<NBITS>8<", b"<NBITS>12<", "says numbers of 12 bits"),
        (rb"<IMAGING_DATE>[^<]*<", b"<IMAGING_DATE>today<", "is no date"),
        (rb"IMAGERY.TIF", b"OTHER.TIF", r"has no image \(OTHER.TIF\)"),
    ],
)
def test_damaged_document(altered, scene, pattern, by, said):
    path = altered(lambda n, d: re.sub(pattern, by, d, count=1) if n.endswith(".DIM") else d, scene)
    with pytest.raises(gl.GeodesError, match=said):
        gl.open_product(path)
