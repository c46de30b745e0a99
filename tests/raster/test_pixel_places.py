"""What is remembered, or not looked at, of the places of pixels is what PROJ says of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.raster import pixel_places
from geodes_lab.raster.source import RasterSource
from tests.support.examples import examples

TILE = RasterSource("", "", "", 32631, (10, 0, 300_000, 0, -10, 4_900_020), (10_980, 10_980))
FROM_TILE = {epsg: Transformer.from_crs(32631, epsg, always_xy=True) for epsg in (3857, 4326, 3035)}


@settings(max_examples=examples(60), deadline=None)
@given(
    epsg=st.sampled_from(sorted(FROM_TILE)),
    column=st.integers(-3000, 14_000),
    row=st.integers(-3000, 14_000),
    step=st.sampled_from([3, 10, 80, 600, 9000]),
    side=st.integers(1, 40),
)
def test_pixels_that_are_inside_are_those_that_proj_places_there(epsg, column, row, step, side):
    x, y = FROM_TILE[epsg].transform(300_000 + 10 * column, 4_900_020 - 10 * row)
    size = step / 111_000 if epsg == 4326 else float(step)
    grid = GeoBox((side, side), Affine(size, 0, x, 0, -size, y), f"EPSG:{epsg}")
    centres = np.meshgrid(x + size * (np.arange(side) + 0.5), y - size * (np.arange(side) + 0.5))
    east, north = Transformer.from_crs(epsg, 32631, always_xy=True).transform(*centres)
    down, across = (4_900_020 - north) / 10, (east - 300_000) / 10
    wanted = (down >= 0) & (down < 10_980) & (across >= 0) & (across < 10_980)
    doubtful = np.minimum.reduce([abs(down), abs(across), abs(down - 10_980), abs(across - 10_980)]) < 1e-3
    found = pixel_places.inside(TILE, grid)
    assert ((found == wanted) | doubtful).all()
    for _ in range(2):  # the second time it is remembered
        rows, cols = pixel_places.pixels(grid, TILE)
        assert (abs(rows + 0.5 - down) <= 0.501).all()
        assert (abs(cols + 0.5 - across) <= 0.501).all()
    within = 1e-5 + 1e-6 * step / 10  # the grid's own pixels are rounded to a millionth
    np.testing.assert_allclose(pixel_places.places(grid, TILE), [down, across], rtol=0, atol=within)


def test_bands_that_ask_side_by_side_get_one_answer_that_nobody_changes(monkeypatch):
    asked, real = [], pixel_places.places
    monkeypatch.setattr(pixel_places, "places", lambda *given: asked.append(given) or real(*given))
    grid = GeoBox((64, 256), Affine(20, 0, 180_000.5, 0, -20, 5_400_000), "EPSG:3857")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: pixel_places.pixels(grid, TILE), range(8)))
    assert len(asked) == 1
    assert all(a is answers[0] for a in answers)
    with pytest.raises(ValueError, match="read-only"):
        answers[0][0][:] = 0
    for shift in range(100):  # few are kept
        pixel_places.pixels(grid.translate_pix(shift, 0), TILE)
    assert len(pixel_places._known) <= 32
