"""Maps of Theia in zips of GeoTIFFs: the land cover of France, with the nomenclature of its year."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab.sample import theia_others
from geodes_lab.sample.theia_files import tiff

COVER = next(p for p in theia_others.products() if isinstance(p, theia_others.LandCover))


@pytest.fixture
def product(tmp_path):
    COVER.write(tmp_path / f"{COVER.name}.zip")
    return tmp_path / f"{COVER.name}.zip"


def test_land_cover_has_its_classes_in_lambert_93(product):
    tree = gl.open_product(product)
    np.testing.assert_array_equal(tree["r10m"].land_cover.values, COVER.numbers())
    attrs = tree["r10m"].land_cover.attrs
    names = dict(zip(attrs["flag_values"], attrs["flag_meanings"].split(), strict=True))
    assert len(names) == 23
    assert (names[1], names[10], names[16], names[23]) == ("dense_built-up", "corn", "broadleaf_forest", "water")
    assert tree["r10m"].confidence.attrs["units"] == "percent"
    with rasterio.open(f"/vsizip/{product}/{COVER.name}/DATA/OCS_2021.tif") as file:
        assert file.crs.to_epsg() == 2154
        assert float(tree["r10m"].x[0]) == file.bounds.left + 5


def test_class_hides_what_it_covers(product):
    cube = gl.open_cube([product], bands=["confidence"], mask=["water", "corn"])
    hidden = np.isin(COVER.numbers(), (23, 10))
    np.testing.assert_array_equal(cube.confidence.values[0] == 0, hidden | (COVER.numbers() == 0))


def test_nomenclature_of_2017_has_17_classes(tmp_path):
    codes = np.array([[11, 12, 211, 222]], np.uint8).repeat(4, 0)
    path = tmp_path / "OSO_20170101_RASTER_V1-0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("OSO_20170101_RASTER_V1-0/DATA/OCS_2017.tif", tiff(codes, 10, (600_000, 6_300_000), 2154))
    attrs = gl.open_product(path)["r10m"].land_cover.attrs
    assert len(attrs["flag_values"]) == 17
    assert dict(zip(attrs["flag_values"], attrs["flag_meanings"].split(), strict=True))[222] == "vineyards"


def test_water_quality_has_no_data_where_theia_says_so(tmp_path):
    image = np.array([[21.34, -10_000]], "float32").repeat(2, 0)
    path = tmp_path / "WATERQUAL_X_RASTER.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("WATERQUAL_X_RASTER/WATERQUAL_X_RASTER_SPM_B4.tif", tiff(image, 10, (600_000, 4_800_000)))
    got = gl.open_product(path)["r10m"]["SPM_B4"].values
    np.testing.assert_array_equal(got, np.where(image == -10_000, np.nan, image))


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "has no GeoTIFF"),
        ({"DATA/OCS_2021.tif": b""}, "does not open"),
        ({"DATA/OCS_2021.tif": tiff(np.ones((4, 4), "uint8"), 10, (0, 0)), "DATA/OCS_X.tif":
          tiff(np.ones((4, 4), "uint8"), 10, (0, 0))}, "several files for land_cover"),
    ],
)  # fmt: skip
def test_damage_is_one_sentence(tmp_path, members, sentence):
    path = tmp_path / "OSO_20210101_RASTER_V1-0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "")
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_product(path)


def test_sample_opens_from_s3(on_s3):
    tree = gl.open_product(gl.search("THEIA_OSO_RASTER_L3B")[0])
    np.testing.assert_array_equal(tree["r10m"].land_cover.values, COVER.numbers())
