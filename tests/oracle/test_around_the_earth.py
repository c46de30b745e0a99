"""Boxes, rasters and grids across 180°, around poles and from 0° to 360°: held against pyproj and plain indexing of the file's numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.raster import globe
from tests.support.examples import examples

RASTERS = {
    "zone 60": (32660, Affine(400, 0, 600_000, 0, -400, 6_700_000), (125, 375)), "zone 1": (32601, Affine(400, 0, 200_000, 0, -400, 6_700_000), (125, 375)),
    "zone 1 south": (32701, Affine(400, 0, 200_000, 0, -400, 4_000_000), (125, 375)), "from 0 to 360": (4326, Affine(1, 0, 0, 0, -1, 90), (180, 360)),
    "from -180 to 180": (4326, Affine(1, 0, -180, 0, -1, 90), (180, 360)), "part beyond 180": (4326, Affine(0.5, 0, 170, 0, -0.5, 20), (80, 40)),
    "north pole": (3413, Affine(10_000, 0, -1_000_000, 0, -10_000, 1_000_000), (200, 200)), "south pole": (3031, Affine(10_000, 0, -1_000_000, 0, -10_000, 1_000_000), (200, 200)),
    "beside a pole": (3413, Affine(10_000, 0, 200_000, 0, -10_000, 1_000_000), (90, 90)),
}  # fmt: skip
BOXES = [
    (179.5, 60, 180, 60.3), (179.5, 60, -179.5, 60.3), (-180, 60, -179.5, 60.3), (-179.99, 59.9, 179.99, 60.4), (179.9, 60.0, -179.9, 60.1), (-180, -90, 180, 90), (-180, 85, 180, 90),
    (0, 85, 90, 89), (170, 85, -170, 88), (-180, -90, 180, -85), (0, -89, 90, -85), (170, -88, -170, -85), (-10, 40, 10, 50), (-20, 40, -10, 50), (170, 0, -170, 10), (10.2, 40.2, 10.4, 40.4),
    (9.9, 40.2, 10.1, 40.4), (179.9, 5, 180, 6), (-180, 5, -179.9, 6), (179.2, -35.7, -179.2, -35.5),
]  # fmt: skip


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("earth")

    def path(name: str) -> Path:
        crs, transform, shape = RASTERS[name]
        found = folder / f"{name}.tif"
        if not found.exists():
            profile = {
                "driver": "GTiff",
                "width": shape[1],
                "height": shape[0],
                "count": 1,
                "dtype": "float32",
                "tiled": True,
                "blockxsize": 64,
                "blockysize": 64,
            }
            with rasterio.open(found, "w", crs=f"EPSG:{crs}", transform=transform, **profile) as file:
                file.write(np.arange(shape[0] * shape[1], dtype="float32").reshape(1, *shape))
        return found

    return path


def item(path: Path, name: str = "A", when: str = "2021-06-05T00:00:00Z", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "properties": {"datetime": when, **properties}, "links": [],
        "assets": {"b": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
    }  # fmt: skip


def expected(name: str, x: np.ndarray, y: np.ndarray, crs: int) -> np.ndarray:
    """The number of the pixel under each place of a grid; NaN beside the file. Places within a millionth of an edge may be either."""
    code, transform, (rows, cols) = RASTERS[name]
    px, py = np.meshgrid(x, y)
    if crs != code:
        px, py = Transformer.from_crs(crs, code, always_xy=True).transform(px, py)
    col, row = ~transform * (np.asarray(px), np.asarray(py))
    if code == 4326:
        period = 360 / transform.a
        col = np.mod(col + 1e-9, period)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    found = np.full(px.shape, np.nan)
    found[inside] = (np.floor(row[inside]) * cols + np.floor(col[inside])).astype("float32")
    return found


def opened(path: Path, **how: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gl.open_cube([item(path)], bands=["b"], **how).b[0].load()


def covered(name: str, box: tuple[float, ...]) -> np.ndarray:
    """Which pixels of a raster have their centre in a box."""
    code, transform, (rows, cols) = RASTERS[name]
    x, y = transform * np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    lon, lat = Transformer.from_crs(code, 4326, always_xy=True).transform(x, y)
    lon = np.mod(np.asarray(lon) + 180, 360) - 180
    west, south, east, north = box
    beside = (lon >= west) & (lon <= east) if west < east else (lon >= west) | (lon <= east)
    return beside & (lat >= south) & (lat <= north)


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("name", RASTERS)
def test_box_in_the_rasters_own_crs(raster, name, box):
    """All pixels of the box are there, no more than one beyond it, and each number in its place."""
    wanted = covered(name, box)
    try:
        cube = opened(raster(name), bbox=box, chunks=50)
    except GeodesError:
        cube = None
    if cube is None:
        assert not wanted.any()
        return
    code, transform, (rows, cols) = RASTERS[name]
    np.testing.assert_array_equal(cube.values, expected(name, cube.x.values, cube.y.values, code))
    col = np.rint((cube.x.values - transform.c) / transform.a - 0.5).astype(int)
    row = np.rint((cube.y.values - transform.f) / transform.e - 0.5).astype(int)
    seen = np.zeros((rows, cols), bool)
    if code == 4326:
        col = np.mod(col, round(360 / transform.a))
    seen[np.ix_(row[(row >= 0) & (row < rows)], col[(col >= 0) & (col < cols)])] = True
    assert seen[wanted].all(), "what is asked for is there"
    if code != 4326 and wanted.any() and box[2] - box[0] != 360:
        above, beside = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
        assert row[0] >= above[0] - 2
        assert row[-1] <= above[-1] + 2
        assert col[0] >= beside[0] - 2
        assert col[-1] <= beside[-1] + 2


@pytest.mark.parametrize("box", [(10.2, 40.2, 10.4, 40.4), (10.0, 40.0, 11.0, 41.0)])
def test_box_inside_of_a_pixel_is_that_pixel(raster, box):
    for name in ("from 0 to 360", "from -180 to 180"):
        cube = opened(raster(name), bbox=box)
        assert cube.shape == (1, 1)
        np.testing.assert_array_equal(cube.values, expected(name, np.array([10.5]), np.array([40.5]), 4326))


def test_box_over_an_edge_is_two_pixels(raster):
    assert opened(raster("from -180 to 180"), bbox=(9.9, 40.2, 10.1, 40.4)).shape == (1, 2)
    assert opened(raster("from -180 to 180"), bbox=(9.9, 40.9, 10.1, 41.1)).shape == (2, 2)
    assert opened(raster("from 0 to 360"), bbox=(-0.1, 40.2, 0.1, 40.4)).shape == (1, 2)


@pytest.mark.parametrize(
    ("name", "crs", "resolution", "box", "width"),
    [
        ("zone 60", 4326, 0.01, None, 3), ("zone 60", 4326, 0.01, (-180, -90, 180, 90), 3), ("zone 60", 4326, 0.01, (-179.99, 59, 179.99, 61), 3), ("zone 60", 4326, 0.01, (179.5, 60, -179.5, 60.3), 1.1),
        ("zone 1", 4326, 0.01, (-180, 60, -179.5, 60.3), 0.6), ("north pole", 4326, 1, (-180, 85, 180, 90), 361), ("south pole", 4326, 1, None, 361), ("from 0 to 360", 32629, 5000, (-10, 45, -9, 46), None),
        ("from -180 to 180", 32660, 20_000, (179, 60, -179, 61), None), ("from 0 to 360", 32660, 20_000, (179, 60, -179, 61), None), ("part beyond 180", 32660, 20_000, (179, 5, -179, 6), None),
        ("from 0 to 360", 3413, 50_000, (-180, 80, 180, 90), None), ("from -180 to 180", 3413, 50_000, (100, 80, -100, 90), None), ("from 0 to 360", 3857, 50_000, (-10, 40, 10, 50), None),
        ("from -180 to 180", 3832, 50_000, (170, 0, -170, 10), None), ("zone 60", 32601, 500, (179.5, 60, -179.5, 60.3), None), ("from 0 to 360", 4258, 0.7, (-10, 40, 10, 50), None),
    ],
)  # fmt: skip
def test_another_crs(raster, name, crs, resolution, box, width):
    cube = opened(raster(name), bbox=box, crs=crs, resolution=resolution, chunks=37)
    want = expected(name, cube.x.values, cube.y.values, crs)
    differ = ~((cube.values == want) | (np.isnan(cube.values) & np.isnan(want)))
    assert differ.mean() < 2e-3, "pixels that lie on an edge"
    assert np.isfinite(want).mean() > 0.1
    if width is not None:
        assert np.ptp(cube.x.values) < width
        assert -180 <= cube.x.values[0] < 180


@pytest.mark.parametrize("west", [179, -181, 539])
@pytest.mark.parametrize("name", ["zone 60", "from -180 to 180", "from 0 to 360", "part beyond 180"])
def test_grid_that_is_given(raster, name, west):
    north = 20.0 if name == "part beyond 180" else 60.4
    grid = GeoBox((50, 200), Affine(0.01, 0, west, 0, -0.01, north), 4326)
    cube = opened(raster(name), geobox=grid)
    want = expected(name, cube.x.values, cube.y.values, 4326)
    differ = ~((cube.values == want) | (np.isnan(cube.values) & np.isnan(want)))
    assert differ.mean() < 2e-3
    assert np.isfinite(want).mean() > 0.5


@pytest.mark.parametrize("kernel", ["bilinear", "cubic", "average"])
def test_kernels_across_the_line(raster, kernel):
    """Away from the seam of the file by a kernel's width they are GDAL's of the same numbers, stored from 0 to 360."""
    rng = np.random.default_rng(0)
    smooth = np.cos(np.linspace(0, 2 * np.pi, 360, endpoint=False))[np.newaxis] * 100 + rng.uniform(0, 1, (180, 1))
    path = raster("from -180 to 180").with_name("smooth.tif")
    profile = {"driver": "GTiff", "width": 360, "height": 180, "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", crs="EPSG:4326", transform=Affine(1, 0, -180, 0, -1, 90), **profile) as file:
        file.write(smooth.astype("float32")[np.newaxis])
    cube = opened(path, bbox=(176, 10, -176, 14), crs=3832, resolution=60_000, resampling=kernel, chunks=5)
    out = np.full(cube.shape, np.nan, "float32")
    whole = np.roll(smooth.astype("float32"), 180, axis=1)
    reproject(
        whole,
        out,
        src_transform=Affine(1, 0, 0, 0, -1, 90),
        src_crs=4326,
        dst_transform=cube.odc.geobox.affine,
        dst_crs=3832,
        resampling=Resampling[kernel],
        dst_nodata=np.nan,
    )
    x = Transformer.from_crs(3832, 4326, always_xy=True).transform(*np.meshgrid(cube.x.values, cube.y.values))[0]
    away = np.abs(np.mod(np.asarray(x), 360) - 180) > 2.5
    np.testing.assert_allclose(cube.values[away], out[away], atol=0.3)
    assert not np.isnan(cube.values).any(), "no seam"
    np.testing.assert_allclose(cube.values, out, atol=1.5)


def test_what_is_cut_is_said(raster):
    with pytest.warns(
        UserWarning, match=r"The products cover \d+ % of the bbox: the cube is cut to \(179\.\d+, 59\.\d+, 18[01]"
    ):
        gl.open_cube([item(raster("zone 60"))], bands=["b"], bbox=(179.9, 50, -160, 60.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        gl.open_cube([item(raster("zone 60"))], bands=["b"], bbox=(-180, -90, 180, 90))
        gl.open_cube([item(raster("north pole"))], bands=["b"], bbox=(-180, -90, 180, 90))


def test_both_sides_of_the_line_in_one_cube(raster):
    """A product of zone 60 and one of zone 1 in degrees: beside each other, not around the earth."""
    cube = gl.open_cube(
        [item(raster("zone 60"), "A"), item(raster("zone 1"), "B")],
        bands=["b"],
        crs=4326,
        resolution=0.01,
        groupby="item",
    )
    assert np.ptp(cube.x.values) < 6
    for number, name in enumerate(("zone 60", "zone 1")):
        want = expected(name, cube.x.values, cube.y.values, 4326)
        found = cube.b[number].values
        assert (~((found == want) | (np.isnan(found) & np.isnan(want)))).mean() < 2e-3


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    west=st.floats(-180, 179),
    wide=st.floats(0.5, 60),
    south=st.floats(-88, 86),
    high=st.floats(0.5, 30),
    name=st.sampled_from(sorted(RASTERS)),
)
def test_any_box(raster, west, wide, south, high, name):
    east = west + wide
    box = (west, south, east if east <= 180 else east - 360, min(south + high, 90))
    test_box_in_the_rasters_own_crs(raster, name, box)


@settings(max_examples=examples(200), deadline=None)
@given(
    west=st.floats(-180, 180),
    wide=st.floats(0.001, 360),
    turn=st.integers(-2, 2),
    other=st.floats(-540, 540),
    width=st.floats(0.001, 360),
)
def test_common_parts_are_common(west, wide, turn, other, width):
    box, covered_ = (west, 0.0, west + wide, 1.0), (other, 0.0, other + width, 1.0)
    parts = globe.parts(box, covered_)
    for left, _, right, _ in parts:
        assert west <= left < right <= west + wide
    for lon in np.linspace(west + wide * 0.01, west + wide * 0.99, 7):
        inside = any(other + t * 360 <= lon <= other + width + t * 360 for t in range(-3, 4))
        assert any(p[0] <= lon <= p[2] for p in parts) is inside
    assert globe.near((west + turn * 360, 0, west + wide + turn * 360, 1), box)[0] == pytest.approx(west, abs=1e-9)
