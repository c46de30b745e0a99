"""Angles as bands of a cube, against another interpolation of real tables with real footprints of detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from scipy.interpolate import RegularGridInterpolator

import geodes_lab as gl
from geodes_lab.products import unpack
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2 import angle_tables
from geodes_lab.products.sentinel2 import angles as sentinel2_angles
from geodes_lab.products.sentinel2.angle_bands import Angle
from geodes_lab.products.sentinel2.angle_tables import Footprint, Tables
from geodes_lab.raster.source import RasterSource
from geodes_lab.sample import theia, theia_files
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml
from geodes_lab.storage.location import place_of

WEST, NORTH, EPSG = 499_980.0, 5_200_020.0, 32633


@pytest.fixture(scope="module")
def real(shared) -> tuple[Tables, dict[str, np.ndarray], RasterSource]:
    """Tables of a real tile, and the detectors of B02 and B04 at 120 m; the swath's edges are in it."""
    folder = next((shared / "sentinel2-l2a-33TWL").rglob("S2A_33TWM_20230815_0_L2A"))
    told = Document.of("granule_metadata.xml", (folder / "granule_metadata.xml").read_bytes())
    grids = sentinel2_angles.grids(told, WEST, NORTH)
    assert grids is not None
    images, footprints, grid = {}, {}, None
    for band in ("B02", "B04"):
        path = next(folder.rglob(f"MSK_DETFOO_{band}.jp2"))
        with rasterio.open(path) as file:
            images[band], side = file.read(1), file.width
        grid = RasterSource(str(path), "tile", band, EPSG, (120.0, 0, WEST, 0, -120.0, NORTH), (side, side), "uint8")
        footprints[band] = Footprint(((0, 0, grid),))
    assert grid is not None
    sun = angle_tables._directions(grids.sun_zenith.values, grids.sun_azimuth.values, grids, None)
    tables = Tables("tile", grids, footprints, sun, angle_tables._views(grids, sun))
    return tables, images, grid


def computed(
    tables: Tables, quantity: str, band: str | None, source: RasterSource, grid: GeoBox, monkeypatch
) -> np.ndarray:
    monkeypatch.setattr(angle_tables, "read", lambda *_: tables)
    angle = Angle(place_of("/nowhere"), "safe", quantity, band)
    values, there = angle.numbers(source, grid, Resampling.nearest)
    np.testing.assert_array_equal(there, np.isfinite(values))
    return values


def between(
    zenith: np.ndarray, azimuth: np.ndarray, grids, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Zenith and azimuth by scipy, component by component; NaN where a corner is unknown."""
    theta, phi = np.radians(zenith.astype(float)), np.radians(azimuth.astype(float))
    parts = np.sin(theta) * np.sin(phi), np.sin(theta) * np.cos(phi), np.cos(theta)
    axes = grids.y.values[::-1], grids.x.values
    east, north, up = (
        RegularGridInterpolator(axes, p[::-1], bounds_error=False, fill_value=None)((y, x)) for p in parts
    )
    return np.degrees(np.arctan2(np.hypot(east, north), up)), np.degrees(np.arctan2(east, north)) % 360


def turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs((a - b + 180) % 360 - 180)


def test_real_angles_are_those_of_the_detector_that_saw_the_pixel(real, monkeypatch):
    tables, images, source = real
    grids, grid = tables.grids, source.geobox
    x, y = np.meshgrid(grid.coords["x"].values, grid.coords["y"].values)
    sun = between(grids.sun_zenith.values, grids.sun_azimuth.values, grids, x, y)
    for quantity, want in (("sun_zenith", sun[0]), ("sun_azimuth", sun[1])):
        assert turn(computed(tables, quantity, None, source, grid, monkeypatch), want).max() < 1e-3
    for band, name in (("B02", "blue"), ("B04", "red")):
        found = {
            q: computed(tables, q, band, source, grid, monkeypatch)
            for q in ("view_zenith", "view_azimuth", "relative_azimuth")
        }
        of_band = grids.sel(band=name)
        compared = 0
        for number in np.unique(images[band])[1:]:
            one = of_band.sel(detector=int(number))
            zenith, azimuth = between(one.view_zenith.values, one.view_azimuth.values, grids, x, y)
            here = (images[band] == number) & np.isfinite(zenith)
            compared += here.sum()
            assert np.abs(found["view_zenith"] - zenith)[here].max() < 0.01
            assert turn(found["view_azimuth"], azimuth)[here].max() < 0.3
            assert np.abs(found["relative_azimuth"] - turn(sun[1], azimuth))[here].max() < 0.3
        assert compared > 0.5 * (images[band] > 0).sum()
        np.testing.assert_array_equal(np.isfinite(found["view_zenith"]), images[band] > 0)
    assert (images["B02"] != images["B04"]).any()


def test_pieces_and_other_maps_give_the_same_angles(real, monkeypatch):
    tables, _, source = real
    whole = GeoBox.from_bbox((WEST + 7000, NORTH - 31_000, WEST + 33_000, NORTH - 7000), f"EPSG:{EPSG}", resolution=20)
    for quantity in ("sun_azimuth", "view_zenith", "relative_azimuth"):
        together = computed(tables, quantity, None, source, whole, monkeypatch)
        for rows, cols in (
            (slice(0, 1), slice(0, 1)),
            (slice(333, 700), slice(5, 18)),
            (slice(1193, 1200), slice(0, 900)),
        ):
            part = computed(tables, quantity, None, source, whole[rows, cols], monkeypatch)
            np.testing.assert_array_equal(part, together[rows, cols])
    other = GeoBox.from_bbox((15.3, 46.6, 15.32, 46.62), "EPSG:4326", resolution=0.0005)
    found = computed(tables, "sun_zenith", None, source, other, monkeypatch)
    x, y = np.meshgrid(other.coords["longitude"].values, other.coords["latitude"].values)
    x, y = Transformer.from_crs(4326, EPSG, always_xy=True).transform(x, y)
    grids = tables.grids
    want = between(grids.sun_zenith.values, grids.sun_azimuth.values, grids, x, y)[0]
    np.testing.assert_allclose(found, want, atol=1e-3)
    beyond = GeoBox.from_bbox((WEST - 600, NORTH - 600, WEST + 600, NORTH + 600), f"EPSG:{EPSG}", resolution=60)
    edge = np.isfinite(computed(tables, "sun_zenith", None, source, beyond, monkeypatch))
    np.testing.assert_array_equal(edge, np.arange(20)[:, np.newaxis] >= 10) if edge[:, 0].any() else None
    assert edge[10:, 10:].all()
    assert not edge[:10].any()
    assert not edge[:, :10].any()


@pytest.fixture(scope="module")
def maja(tmp_path_factory) -> tuple[theia.Scene, Path]:
    scene = next(s for s in theia.scenes() if f"{s.time:%m%d}" == "0705")
    path = tmp_path_factory.mktemp("maja") / f"{scene.name}.zip"
    theia_files.write(scene, path)
    return scene, path


def test_theia_tells_detectors_by_a_bit_for_each_band(maja):
    scene, path = maja
    bands = ["sun_zenith", "view_zenith_B04", "view_azimuth_nir08", "view_zenith_B12"]
    cube = gl.open_cube([path], bands=bands, resolution=10).compute(scheduler="sync")
    row, col = np.meshgrid(*(np.arange(192) + 0.5,) * 2, indexing="ij")
    row, col = row / 500, col / 500
    np.testing.assert_allclose(cube.sun_zenith[0], sentinel2_xml.sun(row, col)[0], atol=2e-4)
    for name, band, kind in (
        ("view_zenith_B04", "B4", 0),
        ("view_azimuth_nir08", "B8A", 1),
        ("view_zenith_B12", "B12", 0),
    ):
        number, resolution = scene.bands[band]
        seen = scene.detector(band).repeat(resolution // 10, 0).repeat(resolution // 10, 1)
        north, south = (sentinel2_xml.view(number, d, row, col)[kind] for d in sentinel2_xml.DETECTORS)
        assert turn(cube[name].values[0], np.where(seen == sentinel2_xml.DETECTORS[0], north, south)).max() < 5e-3
    assert cube.sun_zenith.attrs["units"] == "degree"
    item = unpack(path)
    assert not [k for k in item.assets if k.startswith("view_zenith_")]
    again = gl.open_cube([item], bands=["view_zenith_B04"], resolution=10)
    np.testing.assert_array_equal(again.view_zenith_B04, cube.view_zenith_B04)
    assert gl.plan(gl.open_cube([path], bands=["B4", "relative_azimuth"])).products == 1
