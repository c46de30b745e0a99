"""The map in a notebook, without a browser: what it asks for, and what it says."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import dask
import geopandas
import ipyleaflet
import pytest
from shapely.geometry import box

import geodes_lab as gl
from geodes_lab.catalog import quicklook
from geodes_lab.catalog.place_map import degrees_of
from geodes_lab.errors import GeodesError
from geodes_lab.util import coastlines


def test_items_of_the_search_and_the_one_that_is_chosen_come_back(on_disk):
    explorer = gl.explore("PEPS_S2_L1C", datetime="2021-07", cloud_cover=50)
    found = explorer.search()
    wanted = gl.search("PEPS_S2_L1C", datetime="2021-07", cloud_cover=50)
    assert [i.id for i in found] == [i.id for i in wanted] == [i.id for i in explorer.items]
    explorer._list.value = found[1].id
    assert explorer.selected.id == found[1].id
    assert explorer._picture.value[:3] == b"\xff\xd8\xff"
    assert [i.id for i in gl.search(**explorer.arguments)] == [i.id for i in found]


def test_map_looks_at_the_box_without_an_event_loop(on_disk):
    asyncio.run(asyncio.sleep(0))  # a script that has used asyncio has no loop any more
    explorer = gl.explore("PEPS_S2_L1C", bbox=(1.0, 43.0, 3.0, 44.0))
    south, west, north, east = 43.0, 1.0, 44.0, 3.0
    assert south < explorer._map.widget.center[0] < north
    assert west < explorer._map.widget.center[1] < east
    boxes = [i.bbox for i in explorer.items]
    wide = max(b[2] for b in boxes) - min(b[0] for b in boxes)
    assert 520 / 8 < 256 * 2**explorer._map.widget.zoom * (wide + 1) / 360 <= 520


def test_box_that_is_drawn_takes_the_place_of_the_one_given(on_disk):
    explorer = gl.explore("PEPS_S2_L1C", bbox=(1.0, 43.0, 3.0, 44.0))
    given = explorer._map.place
    assert given in explorer._map.widget.layers
    drawn = {"geometry": {"coordinates": [[[1.8, 43.5], [1.8, 43.6], [1.9, 43.6], [1.9, 43.5], [1.8, 43.5]]]}}
    (control,) = (c for c in explorer._map.widget.controls if isinstance(c, ipyleaflet.DrawControl))
    explorer._map._drawn(control, "created", drawn)
    assert given not in explorer._map.widget.layers
    assert explorer.arguments["bbox"] == [1.8, 43.5, 1.9, 43.6]
    assert control.data == [], "the tool's own box would take the clicks on footprints"
    assert [*map(tuple, explorer._map.place.bounds)] == [(43.5, 1.8), (43.6, 1.9)]
    explorer._everywhere.click()
    assert "bbox" not in explorer.arguments
    assert not [layer for layer in explorer._map.widget.layers if isinstance(layer, ipyleaflet.Rectangle)]


def test_what_goes_wrong_is_said_beside_the_button(on_disk):
    explorer = gl.explore("PEPS_S2_L1C", datetime="last summer")
    assert len(explorer.search()) == 0
    assert "does not understand" in explorer._said.value
    with pytest.raises(GeodesError, match="no collection 'PEPS_S9'"):
        gl.explore("PEPS_S9")


@pytest.mark.parametrize(
    ("lons", "box"),
    [
        ([-185, -170], [175, 40, -170, 50]),
        ([10, 20], [10, 40, 20, 50]),
        ([-300, 300], [-180, 40, 180, 50]),
        ([365, 370], [5, 40, 10, 50]),
    ],
)
def test_box_drawn_anywhere_round_the_world_is_one_of_a_search(lons, box):
    assert degrees_of(lons, [40, 50]) == box


def test_outlines_are_read_from_topojson(tmp_path):
    # Two squares that share a side, the second across the date line.
    topology = {
        "type": "Topology", "transform": {"scale": [1, 1], "translate": [170, 0]},
        "arcs": [[[0, 0], [0, 5]], [[0, 5], [-5, 0], [0, -5], [5, 0]], [[0, 5], [15, 0], [0, -5], [-15, 0]]],
        "objects": {"countries": {"type": "GeometryCollection", "geometries": [
            {"type": "Polygon", "arcs": [[0, 1]], "properties": {"name": "a"}},
            {"type": "MultiPolygon", "arcs": [[[0, 2]]]},
        ]}},
    }  # fmt: skip
    path = tmp_path / "land.json"
    path.write_text(json.dumps(topology))
    with dask.config.set({"geodes_lab.plot.land": str(path)}):
        one, other = coastlines.outlines()["features"]
    assert one["geometry"]["coordinates"] == [[(170, 0), (170, 5), (165, 5), (165, 0), (170, 0)]]
    assert other["geometry"]["coordinates"][0][0][2] == (185, 5)
    assert coastlines._continued([(179, 0), (-179, 0), (-179, 5)]) == [(179, 0), (181, 0), (181, 5)]
    assert coastlines.outlines() is None


def test_quicklook_of_a_host_that_nobody_named_is_not_fetched(on_disk):
    item = gl.search("PEPS_S2_L1C", limit=1)[0]
    assert quicklook.read(item)[1] == "image/jpeg"
    item.assets["quicklook"].href = "http://127.0.0.1:9/secret"
    assert quicklook.read(item) is None
    del item.assets["quicklook"]
    assert quicklook.read(item) is None


def test_what_an_item_says_is_text_in_the_form(on_disk):
    """The form has two places of HTML; the rest are texts of widgets."""
    explorer = gl.explore("PEPS_S2_L1C", datetime="2021-07")
    item = explorer.items[0].clone()
    item.id, item.properties["platform"] = "<img src=x onerror=ran(1)>'\"\x1b[2J", "<b>"
    item.properties["eo:cloud_cover"] = "<i>"
    explorer.items = [item]
    explorer._list.options = [("a", item.id)]
    explorer._list.value = None
    explorer._list.value = item.id
    assert explorer._facts.value.startswith(
        "<code style='overflow-wrap:anywhere'>&lt;img src=x onerror=ran(1)&gt;&#x27;&quot;\\u001b"
    )
    assert "<b>" not in explorer._facts.value
    explorer._dates.value = "<img src=x onerror=ran(1)>"
    explorer.search()
    assert "<img" not in explorer._said.value


def test_shape_is_the_place_of_the_search(on_disk, tmp_path):
    frame = geopandas.GeoDataFrame(geometry=[box(1.75, 43.5, 1.8, 43.6)], crs="EPSG:4326")
    explorer = gl.explore("PEPS_S2_L1C", intersects=frame.to_crs("EPSG:32631"), datetime="2021-06")
    wanted = gl.search("PEPS_S2_L1C", intersects=frame, datetime="2021-06")
    assert [i.id for i in explorer.items] == [i.id for i in wanted] != []
    assert [i.id for i in gl.search(**explorer.arguments)] == [i.id for i in wanted]
    assert isinstance(explorer._map.place, ipyleaflet.GeoJSON)
    # Another, as a browser sends it; it takes the place of the first.
    far = geopandas.GeoDataFrame(geometry=[box(-60, 10, -59, 11)], crs="EPSG:4326")
    far.to_file(tmp_path / "far.gpkg")
    content = memoryview((tmp_path / "far.gpkg").read_bytes())
    explorer._file.value = ({"name": "far <b>.gpkg", "type": "", "size": len(content), "content": content,
                             "last_modified": datetime(2021, 6, 1, tzinfo=UTC)},)  # fmt: skip
    assert explorer._said.value == "Shape: far &lt;b&gt;.gpkg"
    assert len(explorer.search()) == 0
    assert [round(v) for v in explorer._map.widget.center] == [10, -60]
    explorer._take([{"name": "a.shp", "content": memoryview(b"\0\0\x27\x0a")}])
    assert "zip it" in explorer._said.value
    explorer._everywhere.click()
    assert "intersects" not in explorer.arguments
    with pytest.raises(GeodesError, match="not both"):
        gl.explore("PEPS_S2_L1C", intersects=frame, bbox=(1, 43, 2, 44))
