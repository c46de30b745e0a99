"""A cube of a shape: the box around it, and on request no data outside; held against rasterio's own mask."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio.features
import shapely
from odc.geo.geom import Geometry

import geodes_lab as gl
from geodes_lab.planning import needed_tiles

SHAPE = shapely.Polygon(
    [(1.75, 43.52), (1.83, 43.54), (1.80, 43.60), (1.74, 43.57)], [[(1.77, 43.55), (1.79, 43.55), (1.78, 43.56)]]
)


@pytest.fixture
def items(on_disk):
    return gl.search("PEPS_S2_L1C", datetime="2021-06", intersects=SHAPE, profile="local")


def test_box_around_the_shape_in_whole_pixels(items):
    cube = gl.open_cube(items, bands=["red"], geometry=SHAPE)
    left, bottom, right, top = geopandas.GeoSeries([SHAPE], crs=4326).to_crs(cube.rio.crs).total_bounds
    box = cube.odc.geobox.boundingbox
    pixel = abs(cube.odc.geobox.affine.a)
    for edge, bound in ((box.left, left), (box.bottom, bottom)):
        assert bound - pixel < edge <= bound + 1e-6 * pixel
    for edge, bound in ((box.right, right), (box.top, top)):
        assert bound - 1e-6 * pixel <= edge < bound + pixel
    assert "clip" not in cube.attrs


@pytest.mark.thorough
def test_pixels_outside_are_no_data_and_those_inside_as_they_were(items):
    plain = gl.open_cube(items, bands=["red"], geometry=SHAPE)
    cut = gl.open_cube(items, bands=["red"], geometry=SHAPE, clip=True, chunks=64)
    # An edge is straight in degrees (RFC 7946, 3.1.1), by a metre or two another than in metres.
    shape = geopandas.GeoSeries([SHAPE], crs=4326).segmentize(1e-4).to_crs(plain.rio.crs).iloc[0]
    inside = rasterio.features.geometry_mask([shape], plain.red.shape[1:], plain.odc.geobox.affine, invert=True)
    assert inside.any()
    assert not inside.all()
    np.testing.assert_array_equal(cut.red.values, plain.red.where(inside).values)
    assert "outside geometry=" in cut.attrs["clip"]


def test_chunks_outside_are_not_read(items):
    corner = shapely.union_all([shapely.box(1.74, 43.52, 1.75, 43.53), shapely.box(1.82, 43.59, 1.83, 43.60)])
    plain = gl.open_cube(items, bands=["red"], geometry=corner, chunks=64)
    cut = gl.open_cube(items, bands=["red"], geometry=corner, clip=True, chunks=64)
    counted = [sum(len(b) for _, times in needed_tiles.needed(c) for b in times.values()) for c in (plain, cut)]
    assert 0 < counted[1] < counted[0] / 4
    assert gl.plan(cut).bytes < gl.plan(plain).bytes


def test_quality_says_that_they_are_masked(items):
    cut = gl.open_cube(items, bands=["red"], geometry=SHAPE, clip=True, errors="fill").compute()
    outside = ~gl.open_cube(items, bands=["red"], geometry=SHAPE, clip=True).red.notnull()
    assert (cut.quality.where(outside, 2) == 2).all()


def test_classes_keep_their_integers(items):
    grid = gl.open_cube(items, bands=["red"], geometry=SHAPE)
    cube = gl.open_cube(items, bands=["MSK_OPAQUE"], like=grid, geometry=SHAPE, clip=True)
    assert cube.MSK_OPAQUE.shape[1:] == grid.red.shape[1:]
    plain = gl.open_cube(items, bands=["MSK_OPAQUE"], like=grid)
    assert cube.MSK_OPAQUE.dtype == plain.MSK_OPAQUE.dtype


def test_same_shape_each_way(items, tmp_path):
    frame = geopandas.GeoDataFrame(geometry=[shapely.segmentize(SHAPE, 1e-4)], crs=4326)
    frame.to_crs(2154).to_file(tmp_path / "a.gpkg")
    expected = gl.open_cube(items, bands=["red"], geometry=SHAPE, clip=True)
    for value in (frame, tmp_path / "a.gpkg", Geometry(SHAPE, "EPSG:4326"), frame.to_crs(expected.rio.crs)):
        cube = gl.open_cube(items, bands=["red"], geometry=value, clip=True)
        # The box of a shape that was converted with bent edges may be larger by no pixel here.
        np.testing.assert_array_equal(cube.red.values, expected.red.values)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"geometry": SHAPE, "bbox": (1, 43, 2, 44)}, "both set the extent"),
        ({"clip": True}, "give geometry= too"),
        ({"geometry": shapely.Point(1.8, 43.55), "clip": True}, "has no area"),
        ({"geometry": shapely.box(10, 10, 11, 11)}, "does not overlap any product"),
    ],
)
def test_refused(items, arguments, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_cube(items, bands=["red"], **arguments)
