"""A mask's surroundings in metres, beside SciPy's dilation by a disc; the same however the cube is cut."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy.ndimage import binary_dilation

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.raster import mask_buffer
from tests.support.batch import scenes
from tests.support.examples import examples


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return scenes.items(tmp_path_factory.mktemp("buffered"), scenes.DATES[:1])


def disc(rows: int, columns: int, reach: float) -> np.ndarray:
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    return (y**2 + x**2) <= reach**2


@pytest.mark.parametrize("buffer", [5, 10, 25, 45.3, 200])
def test_is_a_dilation_by_a_disc_however_it_is_cut(products, buffer):
    clouds = scenes.values(scenes.DATES[0])["scl"] == 9
    reach = int(buffer // 10)
    hidden = binary_dilation(clouds, disc(reach, reach, buffer / 10))
    plain = gl.open_cube(products, bands=["red"]).red[0].values
    expected = np.where(hidden, np.nan, plain)
    for chunks in (-1, 64, 17):
        cube = gl.open_cube(products, bands=["red"], mask={"scl": [9]}, mask_buffer=buffer, chunks=chunks)
        np.testing.assert_array_equal(cube.red[0].values, expected)
    # A part of the grid, whose neighbours have the clouds.
    part = gl.open_cube(products, bands=["red"], mask={"scl": [9]}, mask_buffer=buffer, geobox=scenes.BOX[:62, :62])
    np.testing.assert_array_equal(part.red[0].values, expected[:62, :62])


def test_edge_and_nodata_of_a_product_have_no_buffer(products):
    plain = gl.open_cube(products, bands=["red"], mask={"scl": [255]}).red[0].values
    wide = gl.open_cube(products, bands=["red"], mask={"scl": [255]}, mask_buffer=100).red[0].values
    np.testing.assert_array_equal(wide, plain)
    quality = gl.open_cube(products, bands=["red"], mask={"scl": [9]}, mask_buffer=30, errors="fill").quality[0].values
    assert ((quality & 2) > 0).sum() > (scenes.values(scenes.DATES[0])["scl"] == 9).sum()


@given(
    st.integers(0, 2**30), st.floats(0, 90), st.sampled_from([(10, 10), (20, 10), (7.5, 30)]), st.floats(0.001, 0.3)
)  # fmt: skip
@settings(max_examples=examples(60))
def test_any_mask_and_any_pixel(seed, buffer, size, share):
    hidden = np.random.default_rng(seed).uniform(size=(23, 31)) < share
    height, width = size
    grid = GeoBox((23, 31), Affine(width, 0, 0, 0, -height, 0), "EPSG:32631")
    rows, columns = mask_buffer.margins(grid, buffer)
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    oracle = binary_dilation(hidden, np.hypot(y * height, x * width) <= buffer * (1 + 1e-9)) if hidden.any() else hidden
    np.testing.assert_array_equal(mask_buffer.grown(hidden, grid, buffer), oracle)


def test_degrees_reach_at_least_as_far():
    grid = GeoBox.from_bbox((2, 43, 3, 44), "EPSG:4326", resolution=0.001)
    height, width = mask_buffer.pixel_size(grid)
    assert height == pytest.approx(111.2, abs=0.1)
    assert width == pytest.approx(111.2 * np.cos(np.radians(44)), abs=0.1)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"mask_buffer": 10}, "give mask= too"),
        ({"mask": {"scl": [9]}, "mask_buffer": -1}, "0 or more, not -1"),
        ({"mask": {"scl": [9]}, "mask_buffer": "10"}, "0 or more, not '10'"),
        ({"mask": {"scl": [9]}, "mask_buffer": 30_000}, "is 3000 pixels of this grid"),
    ],
)
def test_refusals(products, how, sentence):
    with pytest.raises(GeodesError, match=sentence):
        gl.open_cube(products, bands=["red"], **how)
