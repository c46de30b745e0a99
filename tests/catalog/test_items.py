"""What a search gives shows itself: a map, a table, pictures; and asks no server for them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import dask
import pystac
import pytest

import geodes_lab as gl
from geodes_lab.catalog.items import Items
from geodes_lab.storage.traffic import traffic


@pytest.fixture
def items(on_disk) -> Items:
    return gl.search("PEPS_S2_L1C")


def test_parts_and_sums_are_searches_too(items):
    assert isinstance(items, pystac.ItemCollection)
    assert isinstance(items[0], pystac.Item)
    assert isinstance(items[2:5], Items)
    assert [i.id for i in items[2:5]] == [i.id for i in items][2:5]
    both = items[:1] + items[-1:]
    assert isinstance(both, Items)
    assert [i.id for i in both] == [items[0].id, items[-1].id]


def test_text_has_a_line_for_each_of_the_first(items):
    lines = repr(items).splitlines()
    assert lines[0] == "18 products"
    assert lines[1].startswith("2021-06-05 10:50  S2A  31TCJ  0 %  S2A_MSIL1C_20210605")
    assert lines[-1] == "… and 6 more"


def test_page_shows_footprints_table_and_pictures(items):
    page = items._repr_html_()
    tree = ElementTree.fromstring(page)
    (svg,) = tree.iter("svg")
    drawn = [p for g in svg.findall("g")[1:] for p in g.findall("path")]
    assert len(drawn) == 18
    places = [tuple(map(float, p.split(","))) for p in re.findall(r"[\d.]+,[\d.]+", "".join(d.get("d") for d in drawn))]
    assert all(0 <= x <= 300 and 0 <= y <= 200 for x, y in places)
    assert len(list(tree.iter("tr"))) == 13
    sources = [i.get("src") for i in tree.iter("img")]
    assert len(sources) == 6
    assert all(s.startswith("data:image/jpeg;base64,/9j/") for s in sources)
    assert "http" not in page.replace("http://www.w3.org", "")


def test_showing_asks_nothing_of_a_server(on_disk, s3):
    items = gl.search("PEPS_S2_L1C")
    with dask.config.set({"geodes_lab.datalake.mirror": None, "geodes_lab.datalake.endpoint": s3}):
        before = traffic.requests
        page = items._repr_html_()
        assert traffic.requests == before
        assert "<img" not in page


def test_text_of_a_catalogue_is_never_markup(items):
    item = items[0].clone()
    item.id, item.properties["platform"] = "<script>alert(1)</script>'", "<b>"
    page = Items([item])._repr_html_()
    assert "<script" not in page
    assert "<b>&" not in page
    ElementTree.fromstring(page)


def test_countries_lie_below_where_there_are_some(items, tmp_path):
    outline = '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[-5, 42], [8, 42], [8, 51], [-5, 51], [-5, 42]]]}}]}'
    (tmp_path / "land.json").write_text(outline)
    with dask.config.set({"geodes_lab.plot.land": str(tmp_path / "land.json")}):
        svg = next(ElementTree.fromstring(items._repr_html_()).iter("svg"))
    assert len(svg.find("g").findall("path")) == 1


def test_nothing_found_says_what_to_do(on_disk):
    assert "widen the dates" in gl.search("PEPS_S2_L1C", datetime="1990")._repr_html_()
    assert repr(Items([])) == "0 products"
