"""Places in an image across 180°: those of the same image elsewhere, since the Earth looks the same all around."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from geodes_lab import products
from geodes_lab.products.sentinel1 import documents, geometry
from geodes_lab.products.sentinel1.annotation import Annotation, Orbit
from geodes_lab.storage.location import place_of

EAST = 166.4  # degrees by which all is turned: the image is from 178.3° to 178.3° W


@pytest.fixture(scope="module")
def image(shared) -> Annotation:
    (safe,) = (shared / "s1-grd-rome").glob("*.SAFE")
    member = products.unpack(safe).assets["gamma0_vv"].extra_fields["geodes:radar"]["annotation"]
    return documents.annotation(place_of(str(safe)), member)


@pytest.fixture(scope="module")
def turned(image) -> Annotation:
    """The same image, turned around the axis of the Earth."""
    (east, north), orbit = (np.cos(np.radians(EAST)), np.sin(np.radians(EAST))), image.orbit
    turn = np.array([[east, north, 0], [-north, east, 0], [0, 0, 1]])
    longitude = (image.grid.longitude + EAST + 180) % 360 - 180
    moved = Orbit(orbit.time, orbit.position @ turn, orbit.velocity @ turn)
    return replace(image, grid=replace(image.grid, longitude=longitude), orbit=moved)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4258", "EPSG:3857"])
@pytest.mark.parametrize("around", [0, -360, 360])
@pytest.mark.parametrize("west", [13.2, 13.5, 13.8])
def test_places_across_180_degrees(image, turned, crs, around, west):
    metres = 40_075_016.68557849 / 360 if crs == "EPSG:3857" else 1

    def grid(shift: float) -> GeoBox:
        south, x = (5_160_960 if metres > 1 else 42), (west + shift) * metres
        step = 0.002 * metres
        return GeoBox.from_bbox((x, south, x + 150 * step, south + 60 * step), crs, resolution=step, anchor="floating")

    here, there = grid(0), grid(EAST + around)
    for height in (None, np.full(here.shape, 500.0)):
        want, found = geometry.places(here, image, height), geometry.places(there, turned, height)
        assert np.abs(want[1] - 13_000).max() < 12_000, "in the image"
        for one, other in zip(want, found, strict=True):
            np.testing.assert_allclose(other, one, atol=0.05 if height is not None else 5)
