"""One pass of a satellite is one slice: by datatake or orbit where the product tells it, by the day at its place otherwise, at 180° too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

import geodes_lab as gl
from geodes_lab.cube import acquisitions


@pytest.fixture
def make(tmp_path: Path):
    def item(name: str, when: str, x: float = 500_000, epsg: int = 32631, **properties: Any) -> dict[str, Any]:
        path = tmp_path / f"{name}.tif"
        profile = {
            "driver": "GTiff",
            "width": 8,
            "height": 8,
            "count": 1,
            "dtype": "float32",
            "crs": f"EPSG:{epsg}",
            "transform": Affine(100, 0, x, 0, -100, 6_700_000),
        }
        with rasterio.open(path, "w", **profile) as file:
            file.write(np.ones((1, 8, 8), "float32"))
        return {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "properties": {"datetime": when, **properties}, "links": [],
            "assets": {"b": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
        }  # fmt: skip

    return item


def slices(items: list[dict[str, Any]], **how: Any) -> list[list[str]]:
    return [sorted(p.split()) for p in gl.open_cube(items, bands=["b"], **how)["product"].values]


def orbit(number: int, state: str = "descending", platform: str = "sentinel-1a") -> dict[str, Any]:
    return {"platform": platform, "sat:absolute_orbit": number, "sat:orbit_state": state}


def test_morning_and_evening_of_a_day_are_two(make):
    """Radar sees from the other side in the evening: pasted into one slice its numbers would mix."""
    items = [
        make("a", "2021-06-05T05:50:00Z", **orbit(38_210)), make("b", "2021-06-05T05:50:25Z", x=500_400, **orbit(38_210)), make("c", "2021-06-05T17:40:00Z", **orbit(38_217, "ascending")),
    ]  # fmt: skip
    assert slices(items) == [["a", "b"], ["c"]]
    assert slices(items, groupby="solar_day") == [["a", "b", "c"]]
    assert slices(items, groupby="item") == [["a"], ["b"], ["c"]]


def test_two_satellites_of_a_day_are_two(make):
    items = [
        make("a", "2021-06-05T10:50:00Z", **orbit(1, platform="landsat-8")),
        make("b", "2021-06-05T10:58:00Z", **orbit(1, platform="landsat-9")),
    ]
    assert slices(items) == [["a"], ["b"]]


def test_what_tells_no_pass_belongs_to_the_one_of_its_day(make):
    first, second = make("a", "2021-06-05T05:50:00Z", **orbit(38_210)), make("b", "2021-06-05T05:51:00Z", x=500_400)
    assert slices([first, second]) == [["a", "b"]]
    assert slices([first, second, make("c", "2021-06-05T17:40:00Z", **orbit(38_217))]) == [["a"], ["b"], ["c"]], (
        "of two it is neither"
    )
    assert slices([second, make("d", "2021-06-05T17:40:00Z")]) == [["b", "d"]], "a day, where nobody tells"


def test_a_pass_over_midnight_of_its_place_is_one(make):
    items = [make("a", "2021-06-05T23:47:50Z", **orbit(7)), make("b", "2021-06-05T23:48:10Z", x=500_400, **orbit(7))]
    assert slices(items) == [["a", "b"]]
    assert slices(items, groupby="solar_day") == [["a"], ["b"]]


@pytest.mark.parametrize("groupby", ["pass", "solar_day"])
@pytest.mark.parametrize("turned", [False, True])
def test_neighbours_on_both_sides_of_180(make, groupby, turned):
    """Its own date is one day earlier on the eastern side: without an orbit the places are counted on across the line."""
    west = make("w", "2021-06-05T22:30:00Z", x=660_000, epsg=32660)
    east = make("e", "2021-06-05T22:30:05Z", x=340_000, epsg=32601)
    items = [east, west] if turned else [west, east]
    assert slices(items, groupby=groupby, crs=32660, resolution=100) == [["e", "w"]]
    later = make("l", "2021-06-06T22:25:00Z", x=340_000, epsg=32601)
    assert slices([*items, later], groupby=groupby, crs=32660, resolution=100) == [["e", "w"], ["l"]]


NAMES = {
    "S2A_MSIL1C_20210605T105031_N0300_R051_T31TCJ_20210605T125936": ("s2a", "20210605T105031", "", ""),
    "S2B_MSIL2A_20210829T104629_N0500_R051_T31TCJ_20230206T211437": ("s2b", "20210829T104629", "", ""),
    "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371": ("s1b", "30148", "", "descending"),
    "S1A_IW_SLC__1SDV_20230904T063730_20230904T063757_050174_0609E3_DAA1": ("s1a", "50174", "", "descending"),
    "SENTINEL2A_20210605-105031-460_L2A_T31TCJ_C_V2-2": ("", "", "", "descending"),
    "a": ("", "", "", "descending"),
}


@pytest.mark.parametrize("name", NAMES)
def test_passes_that_names_tell(name):
    item = pystac.Item(
        name, None, None, pystac.utils.str_to_datetime("2021-06-05T00:00:00Z"), {"sat:orbit_state": "descending"}
    )
    assert acquisitions.pass_of(item) == NAMES[name]


def test_what_catalogues_write_otherwise(make):
    """Numbers as texts, relative orbits alone, names of satellites, a state that is not said by all."""
    morning, evening = "2021-06-05T05:50:00Z", "2021-06-05T17:40:00Z"
    for one, other in (
        (
            {"sat:relative_orbit": 110, "sat:orbit_state": "descending"},
            {"sat:relative_orbit": 132, "sat:orbit_state": "ascending"},
        ),
        ({"platform": "x", "sat:absolute_orbit": "38199"}, {"platform": "x", "sat:absolute_orbit": "38206"}),
        ({"platform": "landsat-8"}, {"platform": "landsat-9"}),
        ({"sat:orbit_state": "descending"}, {"sat:orbit_state": "ascending"}),
    ):
        assert slices([make("a", morning, **one), make("b", evening, x=500_400, **other)]) == [["a"], ["b"]], one
    for one, other in (
        (orbit(7), {"platform": "sentinel-1a", "sat:absolute_orbit": 7}), (orbit(7), orbit(7, platform="S1A")), (orbit(7), orbit(7, platform="Sentinel-1A")),
        ({"sat:relative_orbit": 110}, {"sat:relative_orbit": "110"}), ({"platform": "landsat-8"}, {}),
    ):  # fmt: skip
        assert slices([make("a", morning, **one), make("b", "2021-06-05T05:50:25Z", x=500_400, **other)]) == [
            ["a", "b"]
        ], one


@pytest.mark.parametrize("odd", [None, "38210", 5.5, True, [5], {"a": 1}])
def test_orbits_that_are_none(make, odd):
    items = [
        make("a", "2021-06-05T05:50:00Z", platform="x", **{"sat:absolute_orbit": odd}),
        make("b", "2021-06-05T05:51:00Z", x=500_400, **{"s2:datatake_id": odd}),
    ]
    assert slices(items) == [["a", "b"]]


def test_tiles_of_a_datatake_are_one_slice(on_disk):
    """All of the sample's tiles of a day are of one datatake, as their names tell."""
    items = [i for i in gl.search("PEPS_S2_L1C") if "20210605" in i.id]
    assert len(items) > 1
    assert gl.open_cube(items, bands=["red"]).sizes["time"] == 1
