"""Spot World Heritage: bands by wavelength whatever their order, radiance, and places, beside GDAL's DIMAP driver."""

from __future__ import annotations

import pickle
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio import warp
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile
from rasterio.transform import GCPTransformer

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.archive.archive import Archive
from geodes_lab.products.spot import dimap
from geodes_lab.sample import spot, truth
from tests.support.examples import examples

# The file of a scene has the near infrared first, its document lists it third: whoever believes the list swaps it with green.
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
    with pytest.raises(gl.GeodesError, match=r"raw geometry \(L1A\), not orthorectified: choose its grid"):
        gl.open_cube([scene], bands=["red"])
    for crs, resolution in (("EPSG:32631", 20), ("EPSG:2154", 17)):
        cube = gl.open_cube([scene], bands=["red", "nir"], crs=crs, resolution=resolution, resampling="bilinear")
        assert cube.red.attrs["geolocation"].startswith("not orthorectified: located by its location model")
        assert "by 200 m" in cube.red.attrs["geolocation"]
        assert cube.red.attrs["units"] == "W m-2 sr-1 um-1"
        found = cube.isel(time=0).compute(scheduler="sync")
        x, y = np.meshgrid(found.x.values, found.y.values)
        x, y = (np.reshape(v, x.shape) for v in warp.transform(crs, "EPSG:32631", x.ravel(), y.ravel())[:2])
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
    cube = gl.open_cube([gl.search("THEIA_SWH-PHASE1_SPOT4_L1C")[0], product], bands=["red", "nir"], geobox=box)
    assert list(cube.time.dt.year.values) == [1999, 2021]
    assert (cube.red.notnull().mean(("y", "x")).compute(scheduler="sync") > 0.8).all()
    with pytest.raises(
        gl.GeodesError, match=r"red of 001-004_S4_\S+ is in W m-2 sr-1 um-1, .* is in|two units cannot be in one"
    ):
        gl.open_cube([gl.search("SWH_SPOT4_L1")[0], product], bands=["red"], geobox=box)


def test_radiance_becomes_reflectance_by_what_the_attributes_say(scene):
    tree = gl.open_product(scene)
    assert {b: tree[b].attrs["solar_irradiance"] for b in NAMES.values()} == {
        NAMES[n]: e for n, e in spot.LISTED.items()
    }
    assert tree.attrs["instrument"] == "HRVIR1 I"
    reflectance = np.pi * tree.red / (tree.red.solar_irradiance * np.sin(np.radians(tree.attrs["sun_elevation"])))
    assert 0.05 < float(reflectance.mean().compute(scheduler="sync")) < 0.2


def test_names_of_the_catalogue_stay(on_disk, tmp_path):
    item = gl.search("SWH_SPOT4_L1")[0]
    unpacked = products.unpack(item)
    assert unpacked.id == item.id
    assert unpacked.properties["identifier"] == item.properties["identifier"]
    assert unpacked.datetime.year == 1999
    path = Path(shutil.copy(next((on_disk / "datalake" / "swh-l1a").rglob("*.zip")), tmp_path / "x.zip"))
    assert gl.open_product(path).attrs["title"] == "40452629907121045231I", "the document's own"
    again = gl.open_product(unpacked)  # a band Item opens too
    xr.testing.assert_identical(again.to_dataset(), gl.open_product(item).to_dataset())


def rewritten(sample, folder: Path, change, order=(0, 1, 2, 3)) -> Path:
    """The scene as a loose folder, its document changed, the bands of its file in another order."""
    folder = folder / "SCENE01"
    folder.mkdir()
    archive = Archive(str(next((sample / "datalake" / "swh-l1a").rglob("*.zip"))))
    text = archive.read("SCENE01/METADATA.DIM").decode("latin-1")
    infos = re.findall(r" *<Spectral_Band_Info>.*?</Spectral_Band_Info>\n", text, re.DOTALL)
    (folder / "METADATA.DIM").write_text(text.replace("".join(infos), "".join(change(infos))), "latin-1")
    with rasterio.open(archive.gdal("SCENE01/IMAGERY.TIF")) as old:
        numbers, profile = old.read(), old.profile
    with rasterio.open(folder / "IMAGERY.TIF", "w", **profile) as new:
        new.write(numbers[list(order)])
    return folder.parent


def assert_the_same(sample, folder: Path) -> None:
    mine = gl.open_product(folder)
    theirs = gl.open_product(next((sample / "datalake" / "swh-l1a").rglob("*.zip")))
    for name in NAMES.values():
        xr.testing.assert_identical(mine[name].compute(scheduler="sync"), theirs[name].compute(scheduler="sync"))


@given(order=st.permutations(range(4)))
@settings(max_examples=examples(12), deadline=None)
def test_any_order_of_the_document_is_the_same(sample, tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    assert_the_same(sample, rewritten(sample, folder, lambda infos: [infos[o] for o in order]))


@given(order=st.permutations(range(4)).filter(lambda o: tuple(o[:3]) != (2, 1, 0)))
@settings(max_examples=examples(12), deadline=None)
def test_any_other_numbers_of_bands_are_believed(sample, tmp_path_factory, order):
    """``order`` says which of XS3, XS2, XS1 and SWIR the file has first, and so on; its document says the same."""
    by_file = [2, 1, 0, 3]

    def change(infos):
        new = {o: n for n, o in enumerate(order, 1)}
        return [re.sub(r"<BAND_INDEX>\d", f"<BAND_INDEX>{new[o]}", infos[by_file[o]]) for o in order]

    folder = rewritten(sample, tmp_path_factory.mktemp("order"), change, order)
    path = folder / "SCENE01" / "METADATA.DIM"
    suns = re.compile(r"(<Band_Solar_Irradiance>\s*<BAND_INDEX>)(\d)")
    numbers = {str(by_file[o] + 1): str(n) for n, o in enumerate(order, 1)}
    path.write_text(suns.sub(lambda m: m[1] + numbers[m[2]], path.read_text("latin-1")), "latin-1")
    assert_the_same(sample, folder)


def test_small_letters_and_other_folders(scene, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(scene) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr("PRODUCT/SCENE02/" + name.rsplit("/", 1)[-1].lower(), old.read(name))
    xr.testing.assert_identical(
        gl.open_product(path).red.compute(scheduler="sync"), gl.open_product(scene).red.compute(scheduler="sync")
    )
    with zipfile.ZipFile(scene) as old, zipfile.ZipFile(path, "w") as new:
        for folder in ("SCENE01", "SCENE02"):
            for name in old.namelist():
                new.writestr(f"{folder}/{name.rsplit('/', 1)[-1]}", old.read(name))
    with pytest.raises(gl.GeodesError, match=r"contains 2 scenes: .*\(SCENE01, SCENE02\)"):
        gl.open_product(path)


def test_compressed_image_is_extracted_once(scene, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(scene) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.warns(UserWarning, match=r"IMAGERY\.TIF"):
        found = gl.open_product(path).nir.compute(scheduler="sync")
    xr.testing.assert_equal(found, gl.open_product(scene).nir.compute(scheduler="sync"))


def test_real_document_is_read_as_gdal_reads_it(shared):
    folder = shared / "spot-dimap" / "dimap"
    archive = Archive(str(folder))
    found = dimap.read(archive)
    assert found.satellite == "4"
    assert found.instrument == "HRVIR1 M"
    assert found.shape == (6000, 6000)
    assert [(b.key, b.gain, b.bias, b.wavelength) for b in found.bands] == [("pan", 4.357726, 0.0, 0.645)]
    assert (found.nodata, found.saturated) == (0, 255)
    assert found.sun == pytest.approx((165.08350907, 23.545636152))
    with rasterio.open(folder / "METADATA.DIM") as file:
        points, _ = file.gcps
    r, c = (np.array(v) + 0.5 for v in zip(*((p.row, p.col) for p in points), strict=True))
    location = found.location
    lon, lat = location.places(r - 1, c - 1)
    away = np.hypot(
        (lon - [p.x for p in points]) * 111_320 * np.cos(np.radians(44)), (lat - [p.y for p in points]) * 110_600
    )
    assert location.way == "its location model"
    assert away.max() < 20, "metres: two pixels"
    assert location.ties.spacing == pytest.approx((10, 11), abs=1.5)
    assert location.suiting[0] == 32631


def test_real_scene_lies_where_gdal_puts_it_by_ground_control(shared):
    """GDAL finds pixels by thin plates between places of the location model; this inverts it, on any map."""
    location = dimap.read(Archive(str(shared / "spot-dimap" / "dimap"))).location
    rows, cols = (v.ravel() for v in np.mgrid[0:5999:30j, 0:5999:30j])
    lon, lat = location.places(rows, cols)
    points = [GroundControlPoint(r + 0.5, c + 0.5, x, y) for r, c, x, y in zip(rows, cols, lon, lat, strict=True)]
    line, pixel = np.random.default_rng(4).uniform(0, 5999, (2, 400))
    x, y = location.places(line, pixel)
    with GCPTransformer(points, tps=True) as theirs:
        want = np.array(theirs.rowcol(x.tolist(), y.tolist(), op=lambda v: v)) - 0.5
    found = np.array(location.ties.inverse("EPSG:4326")(x, y))
    inner = (np.abs(line - 3000) < 2500) & (np.abs(pixel - 3000) < 2500)
    assert np.abs(found - want)[:, inner].max() < 0.005, "pixels"
    assert np.abs(found - want).max() < 0.15, "at its edges GDAL errs"
    assert np.abs(found - [line, pixel]).max() < 0.005, "and this does not"
    x, y = warp.transform("EPSG:4326", "EPSG:32631", x, y)[:2]
    found = np.array(location.ties.inverse("EPSG:32631")(np.array(x), np.array(y)))
    assert np.abs(found - [line, pixel]).max() < 0.005


def test_a_model_that_contradicts_the_corners_is_not_believed(scene):
    good = dimap.read(Archive(str(scene))).location
    assert good.way == "its location model"
    assert good.model is not None
    wrong = (good.model[0], (good.model[1][0] + 0.1, *good.model[1][1:]))
    for model in (wrong, None):
        other = replace(good, model=model)
        assert other.way.startswith("its corners alone")
        line, pixel = np.mgrid[0 : spot.SIDE : 23, 0 : spot.SIDE : 23].astype(float)
        np.testing.assert_allclose(other.places(line, pixel), good.places(line, pixel), atol=3e-6)


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        (rb"<PHYSICAL_GAIN>1.24\d*<", b"<PHYSICAL_GAIN>0<", "PHYSICAL_GAIN of XS3"),
        (rb"<PHYSICAL_BIAS>[^<]*<", b"<X><", "is not valid XML"),
        (rb"(?s)(<Spectral.*?<BAND_INDEX>)1<", rb"\g<1>4<", "describes 4 of 4 bands, or one band twice"),
        (rb"<RED_CHANNEL>1<", b"<RED_CHANNEL>3<", "shows its bands 3, 2, 3 as red"),
        (rb"<NROWS>300<", b"<NROWS>1e400<", "NROWS in .* is not a number: 'inf'"),
        (rb"<FRAME_LON>[^<]*<", b"<FRAME_LON>nan<", "FRAME_LON in .* is not a number: 'nan'"),
        (rb"<NBITS>8<", b"<NBITS>12<", "has numbers of 12 bits"),
        (rb"<IMAGING_DATE>[^<]*<", b"<IMAGING_DATE>today<", "is not a date"),
        (rb"IMAGERY.TIF", b"OTHER.TIF", r"has no image \(OTHER.TIF\)"),
    ],
)
def test_damaged_document(altered, scene, pattern, by, said):
    path = altered(lambda n, d: re.sub(pattern, by, d, count=1) if n.endswith(".DIM") else d, scene)
    with pytest.raises(gl.GeodesError, match=said):
        gl.open_product(path)


def test_file_with_fewer_bands_than_its_document(scene, altered):
    with MemoryFile(ext=".tif") as memory:
        with memory.open(driver="GTiff", count=3, height=spot.SIDE, width=spot.SIDE, dtype="uint8") as file:
            file.write(np.ones((3, spot.SIDE, spot.SIDE), np.uint8))
        data = bytes(memory.read())
    path = altered(lambda n, d: data if n.endswith(".TIF") else d, scene)
    with pytest.raises(
        gl.GeodesError, match=r"swir16 of .* does not agree with its metadata: the file has 3 bands, not 4"
    ):
        gl.open_product(path).swir16.compute(scheduler="sync")
