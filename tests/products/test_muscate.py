"""Metadata of the MUSCATE centre, as real products of Venµs and Landsat have them in the tests of others' readers."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.products.theia.muscate import Grid, Metadata, common_names
from geodes_lab.sample import theia, theia_files

VENUS = "VENUS-XS_20180202-105554-000_L2A_FR-LUS_C_V1-0"


def xml(groups: str = '<Group_Geopositioning group_id="XS"><ULX>253615.0</ULX><ULY>5167736.0</ULY><XDIM>10.</XDIM>'
        "<YDIM>-10.</YDIM><NROWS>4823</NROWS><NCOLS>4973</NCOLS></Group_Geopositioning>", code: str = "32631",
        time: str = "2018-02-02T10:55:54.000", scale: str = "1000", bands: str = "") -> str:  # fmt: skip
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Muscate_Metadata_Document><Product_Characteristics><PLATFORM>VENUS</PLATFORM>'
        f"<ACQUISITION_DATE>{time}</ACQUISITION_DATE></Product_Characteristics><Geoposition_Informations>"
        f"<Horizontal_Coordinate_System><HORIZONTAL_CS_CODE>{code}</HORIZONTAL_CS_CODE></Horizontal_Coordinate_System>"
        f"{groups}</Geoposition_Informations><Radiometric_Informations><REFLECTANCE_QUANTIFICATION_VALUE>{scale}"
        '</REFLECTANCE_QUANTIFICATION_VALUE><Special_Values_List><SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE>'
        f"</Special_Values_List>{bands}</Radiometric_Informations></Muscate_Metadata_Document>"
    )


def metadata(folder: Path, text: str, name: str = VENUS) -> Metadata:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/{name}_MTD_ALL.xml", text)
    return Metadata(Archive(str(path)))


def test_venus_is_read_as_it_was_published(tmp_path):
    about = metadata(tmp_path, xml())
    assert about.name == VENUS
    assert about.platform == "VENUS"
    assert about.time == datetime(2018, 2, 2, 10, 55, 54, tzinfo=UTC)  # it leaves the Z away
    assert about.epsg == 32631
    assert about.grids == {"XS": Grid((10.0, 0.0, 253615.0, 0.0, -10.0, 5167736.0), (4823, 4973))}
    assert about.grid_of("B7") is about.grids["XS"]
    assert (about.quantification(), about.nodata()) == (1000.0, -10000.0)
    assert common_names(about.wavelengths)["B7"] == "red"


def test_band_lies_on_the_grid_of_its_group_else_of_its_resolution(tmp_path):
    groups = "".join(
        f'<Group_Geopositioning group_id="R{n}"><ULX>300000</ULX><ULY>4800000</ULY><XDIM>{10 * n}</XDIM><YDIM>{-10 * n}</YDIM>'
        f"<NROWS>{10980 // n}</NROWS><NCOLS>{10980 // n}</NCOLS></Group_Geopositioning>"
        for n in (1, 2)
    )
    spectrum = '<Spectral_Band_Informations band_id="B5"><SPATIAL_RESOLUTION>20</SPATIAL_RESOLUTION></Spectral_Band_Informations>'
    listed = '<Group group_id="R1"><Band_List><BAND_ID>B2</BAND_ID></Band_List></Group>'
    about = metadata(tmp_path, xml(groups, bands=spectrum + listed))
    assert about.grid_of("B5").resolution == 20
    assert about.grid_of("B2").resolution == 10
    assert about.grid_of("B11", 20).resolution == 20
    with pytest.raises(gl.GeodesError, match="does not give the grid of its band B12"):
        about.grid_of("B12")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (xml(""), "has no Group_Geopositioning"),
        (xml(code="RGF93"), "is not an EPSG code: 'RGF93'"),
        (xml(time="yesterday"), "is not a date: 'yesterday'"),
        (xml(scale="0"), "REFLECTANCE_QUANTIFICATION_VALUE in .* is 0"),
        (xml(scale="many"), "is not a number: 'many'"),
        (xml().replace("-10.<", "10.<"), "whose rows run north"),
        (xml().replace("253615.0", "nan"), "ULX in .* is not a number: 'nan'"),
        (xml()[:300], "is not valid XML"),
        ("", "is not valid XML"),
    ],
)
def test_damage_is_one_sentence(tmp_path, text, sentence):
    def ask() -> None:
        about = metadata(tmp_path, text)
        assert about.time
        assert about.quantification()

    with pytest.raises(gl.GeodesError, match=sentence):
        ask()


def test_common_names_are_those_of_sentinel2_and_no_two_the_same():
    assert common_names({b.name: b.wavelength for b in BANDS}) == {b.name: b.common_name for b in BANDS}
    landsat5 = {"B1": 0.485, "B2": 0.56, "B3": 0.66, "B4": 0.83, "B5": 1.65, "B7": 2.215}
    assert list(common_names(landsat5).values()) == ["blue", "green", "red", "nir", "swir16", "swir22"]
    spot = common_names({"XS1": 0.545, "XS2": 0.645, "XS3": 0.835, "SWIR": 1.665})
    assert spot == {"XS1": "green", "XS2": "red", "XS3": "nir", "SWIR": "swir16"}


@pytest.fixture(scope="module")
def venus(tmp_path_factory):
    scene = next(s for s in theia.scenes() if s.platform == "VENUS-XS")
    path = tmp_path_factory.mktemp("venus") / f"{scene.name}.zip"
    theia_files.write(scene, path)
    return scene, path


@pytest.mark.thorough
def test_venus_opens_on_its_grid_of_5_metres(venus):
    scene, path = venus
    tree = gl.open_product(path)
    assert set(tree.children) == {"r5m"}
    assert {"blue", "green", "yellow", "red", "nir", "rededge071", "B1", "B6", "clm"} <= set(tree["r5m"].data_vars)
    with rasterio.open(f"/vsizip/{path}/{scene.name}/{scene.name}_FRE_B7.tif") as file:
        raw, bounds = file.read(1), file.bounds
    np.testing.assert_array_equal(raw, scene.numbers("FRE", "B7"))
    np.testing.assert_allclose(tree["r5m"].red.values, raw / 10_000, atol=1e-7)
    assert float(tree["r5m"].x[0]) == bounds.left + 2.5
    np.testing.assert_allclose(tree["r5m/sre"].B11.values, scene.numbers("SRE", "B11") / 10_000, atol=1e-7)


def test_venus_and_sentinel2_meet_in_one_cube(venus, tmp_path):
    _, path = venus
    sentinel = theia.scenes()[0]
    theia_files.write(sentinel, tmp_path / f"{sentinel.name}.zip")
    cube = gl.open_cube(
        [path, tmp_path / f"{sentinel.name}.zip"], bands=["red"], crs="EPSG:32631", resolution=10, mask="cloud"
    )
    assert cube.sizes["time"] == 2
    hidden = (sentinel.mask("CLM", "R1") & 2) > 0
    np.testing.assert_array_equal(np.isnan(cube.red.values[0]), hidden)
    assert not np.isnan(cube.red.values[1]).any()
