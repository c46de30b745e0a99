"""Searches as people mistype them: each is refused in a sentence that says what was probably meant."""

from __future__ import annotations

import pytest
import shapely

import geodes_lab as gl


def test_time_that_ends_before_it_begins(on_disk):
    with pytest.raises(gl.GeodesError, match="before it begins at 2021-08-01T00:00:00Z: write the earlier time first"):
        gl.search("PEPS_S2_L1C", datetime="2021-08/2021-06", profile="local")
    assert len(gl.search("PEPS_S2_L1C", datetime="2021-06/2021-06", profile="local"))


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        ("max_cloud", "cloud_cover"),
        ("time_span", "datetime"),
        ("aoi", "intersects"),
        ("max_items", "limit"),
        ("bounds", "bbox"),
    ],
)
def test_word_of_another_library(on_disk, word, argument):
    with pytest.raises(gl.GeodesError, match=f"{word!r}; did you mean {argument!r}"):
        gl.search("PEPS_S2_L1C", profile="local", **{word: 30})


def test_one_product_is_no_plural(on_disk):
    items = gl.search("PEPS_S2_L1C", profile="local")
    assert repr(items[:1]).startswith("1 product\n")
    assert "<b>1 product</b>" in items[:1]._repr_html_()
    assert repr(items[:2]).startswith("2 products\n")


def test_collections_say_no_microseconds(on_disk):
    table = gl.collections(profile="local")
    assert "." not in table.start.astype(str).str.cat() + table.end.astype(str).str.cat()


def test_shape_finds_what_it_meets(on_disk):
    everything = gl.search("PEPS_S2_L1C", profile="local")
    shape = shapely.Polygon([(1.75, 43.52), (1.83, 43.54), (1.80, 43.60)])
    met = {i.id for i in everything if shapely.geometry.shape(i.geometry).intersects(shape)}
    assert met
    assert {i.id for i in gl.search("PEPS_S2_L1C", intersects=shape, profile="local")} == met
    beside = gl.search("PEPS_S2_L1C", intersects=shapely.box(100, 10, 101, 11), profile="local")
    assert len(beside) == 0
