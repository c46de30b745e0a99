"""What is saturated is no measure: masked, and flagged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.cube import mosaic
from geodes_lab.sample.sentinel2 import l1c
from tests.support.products.altering import written

GLINT = slice(300, 340), slice(400, 480)


@pytest.fixture(scope="module", params=[15, 16])
def glinting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    """A product some of whose red is saturated, in so many bits: ESA's files have 15."""
    transform = products.unpack(product).assets["B04"].extra_fields["proj:transform"]

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("_B04.jp2") or "IMG_DATA" not in name:
            return data
        pixels = imagecodecs.jpeg2k_decode(data).copy()
        pixels[GLINT] = 65_535
        return l1c.jpeg2000(pixels[None], (transform[2], transform[5]), 10, request.param)

    return written(product, tmp_path_factory.mktemp("glinting"), change)


@pytest.mark.thorough
@pytest.mark.parametrize("times", [1, 2, 4, 8])
@pytest.mark.parametrize("how", ["nearest", "average"])
def test_saturation_is_no_reflectance_at_any_resolution(glinting, product, times, how):
    grid = {"resolution": 10 * times, "resampling": how}
    red, plain = (gl.open_cube([p], bands=["red"], **grid).red.values[0] for p in (glinting, product))
    assert np.nanmax(red) < 2
    there = np.zeros(plain.shape, bool)
    there[tuple(slice(s.start // times, -(-s.stop // times)) for s in GLINT)] = True
    whole = np.zeros_like(there)
    whole[tuple(slice(-(-s.start // times), s.stop // times) for s in GLINT)] = True
    assert np.isnan(red[whole]).all()
    np.testing.assert_array_equal(np.isnan(red)[~there], np.isnan(plain)[~there])
    far = ~there & np.isfinite(plain)
    assert np.sqrt(np.mean((red[far] - plain[far]) ** 2)) < 0.005


@pytest.mark.thorough
def test_saturation_is_flagged(glinting):
    cube = gl.open_cube([glinting], bands=["red"], errors="fill")
    assert "65535 in the file" in cube.red.attrs["saturated"]
    quality = cube.quality.values[0]
    assert (quality[GLINT] & mosaic.SATURATED).all()
    assert ((quality & mosaic.SATURATED) > 0).sum() == 40 * 80
    tree = gl.open_product(glinting)
    assert np.isnan(tree["r10m"].red[GLINT]).all()
    assert "65535" in tree["r10m"].red.attrs["saturated"]
    flag = tree["r10m/quality"].saturated_red.values
    assert flag[GLINT].all()
    assert flag.sum() == 40 * 80
    assert not tree["r10m/quality"].saturated_nir.values.any()


@pytest.mark.thorough
def test_compressed_members_that_gdal_reads_are_masked_too(glinting, tmp_path):
    path = tmp_path / "deflated" / glinting.name
    path.parent.mkdir()
    with zipfile.ZipFile(glinting) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for how in ("nearest", "average"):
        far, near = (
            gl.open_cube([p], bands=["red"], resolution=40, resampling=how, overviews=False).red.values
            for p in (path, glinting)
        )
        np.testing.assert_allclose(far, near, atol=1e-6)


def test_sentinel2_of_other_catalogues_is_masked_and_others_are_not(tmp_path):
    pixels = np.full((8, 8), 3000, "uint16")
    pixels[2:4] = 65_535
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=8, width=8, count=1, dtype="uint16", nodata=0, crs="EPSG:32631",
        transform=Affine(10, 0, 500_000, 0, -10, 4_800_000),
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    for name, is_masked in (("S2B_31TCJ_20230610_0_L2A", True), ("LC08_L2SP_198030", False)):
        item = pystac.Item(name, None, None, pystac.utils.str_to_datetime("2021-06-05T10:50:31Z"), {})
        item.add_asset("red", pystac.Asset(str(tmp_path / "a.tif"), media_type="image/tiff", roles=["data"]))
        item.assets["red"].extra_fields["raster:bands"] = [{"scale": 1e-4, "offset": 0, "nodata": 0}]
        red = gl.open_cube([item], bands=["red"]).red.values[0]
        assert np.isnan(red[2:4]).all() == is_masked
        np.testing.assert_allclose(red[4:], 0.3, atol=1e-6)
