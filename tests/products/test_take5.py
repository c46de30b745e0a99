"""The older layout of Theia: all bands in one file, numbers in thousandths, bits of masks; as public readers describe it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.io import MemoryFile

import geodes_lab as gl

NAME = "SPOT4_HRVIR1_XS_20130318_N2A_EBelgiumD0000B0000"
RNG = np.random.default_rng(4)
NUMBERS = RNG.integers(0, 900, (4, 80, 90)).astype("int16")
NUMBERS[:, :5] = -10_000
CLOUDS = np.zeros((80, 90), np.uint8)
CLOUDS[20:30] = 0b0000_0011
CLOUDS[40:45] = 0b0100_0001


def tiff(image: np.ndarray) -> bytes:
    image = np.atleast_3d(image.transpose()).transpose()
    profile = {"driver": "GTiff", "count": len(image), "height": 80, "width": 90, "dtype": image.dtype}
    with MemoryFile() as memory:
        with memory.open(**profile, crs="EPSG:2154", transform=Affine(20, 0, 570_000, 0, -20, 6_290_000)) as file:
            file.write(image)
        return bytes(memory.read())


def write(path: Path, bands: str = "XS1;XS2;XS3;SWIR", time: str = "2013-03-18 09:54:26", image: bool = True) -> Path:
    xml = (
        f"<METADATA><HEADER><IDENT>{NAME}</IDENT><DATE_PDV>{time}</DATE_PDV></HEADER><RADIOMETRY><BANDS>{bands}</BANDS>"
        "</RADIOMETRY></METADATA>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{NAME}/{NAME}.xml", xml)
        for kind, numbers in (("PENTE", NUMBERS), ("ENV", np.where(NUMBERS == -10_000, NUMBERS, NUMBERS + 7))):
            name = NAME.replace("N2A_", f"N2A_ORTHO_SURF_CORR_{kind}_")
            if image:
                archive.writestr(f"{NAME}/{name}.TIF", tiff(numbers.astype("int16")))
        for mask, numbers in (("NUA", CLOUDS), ("DIV", (NUMBERS[0] == -10_000).astype("uint8")), ("SAT", CLOUDS * 0)):
            archive.writestr(f"{NAME}/MASK/{NAME}_{mask}.TIF", tiff(numbers))
    return path


def want(band: int) -> np.ndarray:
    return np.where(NUMBERS[band] == -10_000, np.nan, NUMBERS[band] / 1000)


def test_bands_are_found_by_wavelength(tmp_path):
    tree = gl.open_product(write(tmp_path / f"{NAME}.zip"))
    for band, name in enumerate(("green", "red", "nir", "swir16")):
        np.testing.assert_allclose(tree["r20m"][name].values, want(band), atol=1e-6)
    np.testing.assert_allclose(tree["r20m/sre"].XS2.values, want(1) + 0.007, atol=1e-6)
    assert tree["r20m"].red.attrs["standard_name"] == "surface_bidirectional_reflectance"
    assert tree.attrs["time"] == "2013-03-18T09:54:26+00:00"


@pytest.mark.parametrize(("mask", "hidden"), [("cloud", slice(20, 30)), ("cloud_shadow", slice(40, 45))])
def test_masks_hide_what_their_bits_say(tmp_path, mask, hidden):
    cube = gl.open_cube([write(tmp_path / f"{NAME}.zip")], bands=["red", "XS3"], mask=mask)
    expected = want(1)
    expected[hidden] = np.nan
    np.testing.assert_allclose(cube.red.values[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"bands": ""}, "has no BANDS"),
        ({"time": "today"}, "is not a date: 'today'"),
        ({"image": False}, "has no reflectance"),
    ],
)
def test_damage_is_one_sentence(tmp_path, damage, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_product(write(tmp_path / f"{NAME}.zip", **damage))
