"""Terrain flattening: held against formulas of its own (Ulander 1996), ESA's tables, and the geometry of a ridge and a hill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.interpolate import CubicSpline

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.formats import tile_cache
from geodes_lab.products import bands
from geodes_lab.products.sentinel1 import documents
from geodes_lab.products.sentinel1 import grid as placing
from geodes_lab.products.sentinel1.flattening import area, facets
from geodes_lab.products.sentinel1.flattening.scene import Scene
from geodes_lab.products.terrain import model
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel1 import grd as generator
from geodes_lab.storage.location import place_of
from tests.support.products import rome

GRID = GeoBox.from_bbox((403_000, 4_823_000, 406_000, 4_826_500), "EPSG:32631", resolution=10)
AROUND = GRID.pad(700, 700)  # a terrain model that is larger, since ground around may be seen in the same pixels
BANDS = ["beta0_vv", "gamma0_vv", "gamma0_rtc_vv", "local_incidence_angle", "layover_shadow_mask"]


@pytest.fixture(scope="module")
def radar(sample) -> Path:
    return min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


def image(x, y):
    """Metres of flight and of ground range of places, from the image's centre: the sample's image is a plane."""
    heading = np.radians(generator.HEADING)
    east, north = x - truth.WEST - truth.COLS * 5, y - truth.NORTH + truth.ROWS * 5
    return east * np.sin(heading) + north * np.cos(heading), east * np.cos(heading) - north * np.sin(heading)


def on(grid: GeoBox):
    return image(*np.meshgrid(grid.coords["x"].values, grid.coords["y"].values))


def opened(radar: Path, path: Path, height, only=BANDS, grid=GRID, around=AROUND, **more):
    dem = rome.relief(path, around, np.broadcast_to(height, around.shape))
    cube = gl.open_cube([radar], bands=list(only), geobox=grid, dem=dem, dem_heights="ellipsoid", **more)
    return cube.isel(time=0).compute(scheduler="sync")


def decibels(one, other):
    return 10 * np.log10(np.asarray(one, float) / np.asarray(other, float))


def looked_at(radar: Path, grid: GeoBox, height):
    """Directions to the satellite and upward, and of the flight, at a grid's pixels: a spline, and Newton's method."""
    told = documents.annotation(
        place_of(str(radar)), products.unpack(radar).assets["beta0_vv"].extra_fields["geodes:radar"]["annotation"]
    )
    x, y = np.meshgrid(grid.coords["x"].values, grid.coords["y"].values)
    lon, lat, up_to = Transformer.from_crs(grid.crs.epsg, 4326, always_xy=True).transform(x, y) + (height,)
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    at, above, east, north = (
        np.stack(ecef.transform(*v), axis=-1)
        for v in (
            (lon, lat, up_to),
            (lon, lat, up_to + 1),
            (*Transformer.from_crs(grid.crs.epsg, 4326, always_xy=True).transform(x + 1, y), up_to),
            (*Transformer.from_crs(grid.crs.epsg, 4326, always_xy=True).transform(x, y + 1), up_to),
        )
    )
    since = (told.orbit.time - told.orbit.time[0]) / np.timedelta64(1, "s")
    curve = CubicSpline(since, told.orbit.position)
    when = np.full(x.shape, float(since.mean()))
    for _ in range(6):
        to, speed = curve(when) - at, curve(when, 1)
        when -= (to * speed).sum(-1) / ((speed**2).sum(-1) + (to * curve(when, 2)).sum(-1))
    look = curve(when) - at
    frame = np.stack([east - at, north - at, above - at], axis=-2)  # metres of the map, metres up
    return look / np.linalg.norm(look, axis=-1, keepdims=True), frame, curve(when, 1)


def test_level_ground_has_esas_gamma(radar, tmp_path):
    found = opened(radar, tmp_path / "flat.tif", generator.HEIGHT, [*BANDS, "incidence"])
    assert np.abs(decibels(found.gamma0_rtc_vv, found.gamma0_vv)).max() < 0.002
    assert np.abs(found.local_incidence_angle - found.incidence).max() < 0.002
    assert not found.layover_shadow_mask.any()
    assert found.layover_shadow_mask.dtype == np.uint8
    assert "Small 2011" in found.gamma0_rtc_vv.attrs["geolocation"]


@pytest.mark.parametrize(("along", "across"), [(0.0, 0.45), (0.0, -0.5), (0.4, 0.0), (-0.25, 0.3)])
def test_a_tilted_plane_has_the_area_that_ulander_says(radar, tmp_path, along, across):
    """The area in a pixel is that of the slant plane divided by the cosine between the normals of both."""
    grid = GRID[100:250, 75:225]
    middle = [float(v.mean()) for v in on(grid)]

    def plane(places):
        a, g = (v - m for v, m in zip(on(places), middle, strict=True))
        return generator.HEIGHT + 500 + np.clip(along * a + across * g, -490, 490)

    found = opened(radar, tmp_path / "plane.tif", plane(AROUND), grid=grid)
    look, frame, flight = looked_at(radar, grid, plane(grid))
    # The plane's own directions on the map: a metre of flight and a metre of range, and what they rise.
    east, north, up = (frame[..., n, :] for n in range(3))
    heading = np.radians(generator.HEADING)
    forward = east * np.sin(heading) + north * np.cos(heading) + along * up
    right = east * np.cos(heading) - north * np.sin(heading) + across * up
    normal = np.cross(right, forward)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    slant = np.cross(flight, look)
    slant /= np.linalg.norm(slant, axis=-1, keepdims=True)
    incidence = np.abs((normal * look).sum(-1))
    ratio = np.abs((normal * slant).sum(-1)) / incidence
    assert np.abs(decibels(found.gamma0_rtc_vv, found.beta0_vv.values * ratio)).max() < 0.03
    assert np.abs(found.local_incidence_angle - np.degrees(np.arccos(incidence))).max() < 0.02
    assert np.abs(decibels(found.gamma0_rtc_vv, found.gamma0_vv)).min() > 1 or across == 0


def profiles(g, front, top, back, high):
    """The height of a ridge along the flight: it rises from ``front`` to ``top``, and falls to ``back``."""
    return np.interp(g, [front, top, back], [0, high, 0], left=0, right=0)


def test_layover_and_shadow_of_a_ridge_are_where_geometry_says(radar, tmp_path):
    _, g = on(GRID)
    fine = GeoBox.from_bbox(AROUND.boundingbox, AROUND.crs, resolution=5)
    top = round(float(g.mean()))
    front, back, high = top - 150.0, top + 150.0, 300.0
    ridge = generator.HEIGHT + profiles(on(fine)[1], front, top, back, high)
    found = opened(radar, tmp_path / "ridge.tif", ridge, around=fine).layover_shadow_mask.values
    incidence = np.radians(
        np.interp(top, np.arange(generator.SAMPLES) * 10.0 - 4995, generator.look(np.arange(generator.SAMPLES))[1])
    )
    crest = top - high / np.tan(incidence)  # where the image has it, on the ground's scale
    # The slope's foot in the image is its foot on the ground; what lies beyond the crest and is seen there is overlaid too.
    far = np.interp(front, [crest, back], [top, back])
    overlaid, hidden = (g > crest) & (g < far), (g > top) & (g < top + high * np.tan(incidence))
    edge = 45  # metres: two cells
    for number, there, begins, ends in (
        (facets.LAYOVER, overlaid & ~hidden, crest, top),
        (facets.SHADOW, hidden, top, top + high * np.tan(incidence)),
    ):
        clear = (np.abs(g - begins) > edge) & (np.abs(g - ends) > edge) & (np.abs(g - top) > edge)
        np.testing.assert_array_equal(
            (found & number > 0)[clear & ~(hidden & (number == 2))], there[clear & ~(hidden & (number == 2))]
        )
    assert 0.02 < hidden.mean() < 0.5


def test_a_hill_keeps_the_area_that_the_radar_sees(radar, tmp_path):
    """Seen from the radar, a hill without shadow covers what its base covers, though its slope lies over its foot."""
    along, across = on(AROUND)
    hill = 450 * np.exp(-(((along**2 + across**2) / (2 * 380.0**2)) ** 2))
    total = []
    for name, height in (("flat.tif", 0 * hill), ("hill.tif", hill)):
        dem = rome.relief(tmp_path / name, AROUND, generator.HEIGHT + height)
        item = products.unpack(radar)
        source = bands.source(item, "gamma0_rtc_vv").native.over(model.of(dem, "ellipsoid"))
        assert isinstance(source._scene, Scene)
        seen = area.of_pixels(source._scene, (100, 700), (200, 800)).astype(float)
        total.append(seen)
    assert np.nanmax(total[1]) > 3 * np.nanmax(total[0]), "layover"
    assert abs(total[1].sum() / total[0].sum() - 1) < 2e-4


def test_numbers_do_not_depend_on_chunks_or_on_the_cube(radar, tmp_path, monkeypatch):
    height = generator.HEIGHT + rome.hills(AROUND, 1.5) - 900
    whole = opened(radar, tmp_path / "a.tif", height, BANDS, chunks=-1)
    assert {0, 1, 2} <= set(np.unique(whole.layover_shadow_mask))
    dem, part = tmp_path / "a.tif", GRID[55:171, 120:291]

    def same(chunks, grid, rows=slice(None), cols=slice(None), **loose):
        found = gl.open_cube([radar], bands=BANDS, geobox=grid, dem=dem, dem_heights="ellipsoid", chunks=chunks)
        found = found.isel(time=0).compute(scheduler="sync")
        for band in BANDS:
            one, other = whole[band].values[rows, cols], found[band].values
            if loose:  # beside shadow, a little area is area or none
                assert (np.isnan(one) != np.isnan(other)).mean() < 1e-3
                one, other = (np.where(np.isnan(whole[band].values + found[band].values), 0, v) for v in (one, other))
            np.testing.assert_allclose(other, one, err_msg=band, **(loose or {"rtol": 1e-6}))

    same(83, GRID)
    assert not tile_cache.shared()._tiles, "terrain and areas are among those that only neighbours share"
    with tile_cache.few():
        assert tile_cache.shared()._tiles
    monkeypatch.setattr(placing, "_PART", 100)
    same(-1, GRID)
    same(-1, part, slice(55, 171), slice(120, 291))
    tile_cache.forget()
    monkeypatch.setattr(area, "_TILE", (64, 96))  # nor on the tiles, but for rounding
    same(-1, GRID, rtol=2e-3)


def test_ground_without_heights_is_no_data(radar, tmp_path):
    along, across = on(AROUND)
    height = np.where((np.abs(along) < 400) & (np.abs(across + 1500) < 400), np.nan, generator.HEIGHT)
    found = opened(radar, tmp_path / "hole.tif", height, [*BANDS, "gamma0_rtc_vv_denoised"])
    a, g = on(GRID)
    hole = (np.abs(a) < 370) & (np.abs(g + 1500) < 370)
    clear = (np.abs(a) > 450) | (np.abs(g + 1500) > 450)
    for band in BANDS[2:4]:
        assert np.isnan(found[band].values[hole]).all()
        assert np.isfinite(found[band].values[clear]).all()
    assert (found.layover_shadow_mask.values[hole] == 255).all()
    assert (found.layover_shadow_mask.values[clear] == 0).all()
    assert (found.gamma0_rtc_vv_denoised <= found.gamma0_rtc_vv).values[clear].all()


def test_without_terrain_it_is_refused(radar):
    for band in ("gamma0_rtc_vv", "local_incidence_angle", "layover_shadow_mask"):
        with pytest.raises(gl.GeodesError, match=rf"{band} needs the terrain: give a terrain model with dem="):
            gl.open_cube([radar], bands=[band], geobox=GRID)


def test_real_level_ground_has_the_angles_of_esas_tie_points(shared, tmp_path):
    """Of a real image, at tie points in the sea: the area of level ground is the cotangent of ESA's angle of incidence."""
    (safe,) = (shared / "s1-grd-rome").glob("*.SAFE")
    place = place_of(str(safe))
    radar = products.unpack(safe).assets["gamma0_rtc_vv"].extra_fields["geodes:radar"]
    grid = GeoBox.from_bbox((11.5, 40.6, 15.6, 43.1), "EPSG:4326", resolution=0.01)
    dem = rome.relief(tmp_path / "flat.tif", grid, np.zeros(grid.shape))
    scene = Scene(place, radar["annotation"], model.of(dem, "ellipsoid"), None, radar["scene"][1])
    known = scene.annotation.grid
    at_sea = np.argwhere(np.abs(known.height[1:-1, 1:-1]) < 0.01) + 1
    assert len(at_sea) > 20
    for row, col in at_sea[:: len(at_sea) // 3]:
        line, pixel = int(known.line[row]), int(known.pixel[col])
        (share,) = area.of_pixels(scene, (line, line + 1), (pixel, pixel + 1))[0]
        assert abs(decibels(share, 1 / np.tan(np.radians(known.incidence[row, col])))) < 0.01
