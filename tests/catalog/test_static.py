"""Static catalogues as people lay them out: collections in collections, catalogues by year, a root that is a collection, any longitudes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import box, mapping

import geodes_lab as gl
from geodes_lab.catalog.harvesting import shelved
from tests.support.examples import examples

EXTENT = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]}}


def item(name: str, geometry: Any = None, **more: Any) -> dict[str, Any]:
    area = geometry or box(1, 43, 2, 44)
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": mapping(area), "bbox": list(area.bounds), "links": [],
        "properties": {"datetime": "2021-06-05T10:50:31Z"}, "assets": {"a": {"href": "a.tif"}}, **more,
    }  # fmt: skip


def write(folder: Path, path: str, kind: str, name: str, **links: list[str]) -> str:
    """A catalogue or a collection at a path, with links of each relation."""
    told = {"type": kind, "stac_version": "1.0.0", "id": name, "description": "-"}
    if kind == "Collection":
        told |= {"license": "other", "extent": EXTENT}
    told["links"] = [{"rel": rel, "href": href} for rel, several in links.items() for href in several]
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(json.dumps(told))
    return str(folder / path)


def put(folder: Path, *names: str, **more: Any) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps(item(name, **more)))
    return [f"./{n}.json" for n in names]


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """R > missions (catalogue) > A > (2021 > a1, a2), B (b1) > C (c1); and loose > l1; A has a0 of its own."""
    write(tmp_path, "a/2021/catalog.json", "Catalog", "2021", item=put(tmp_path / "a/2021", "a1", "a2"))
    write(
        tmp_path, "a/collection.json", "Collection", "A", child=["./2021/catalog.json"], item=put(tmp_path / "a", "a0")
    )
    write(
        tmp_path,
        "b/c/collection.json",
        "Collection",
        "C",
        item=put(tmp_path / "b/c", "c1"),
        parent=["../collection.json"],
    )
    write(
        tmp_path, "b/collection.json", "Collection", "B", child=["./c/collection.json"], item=put(tmp_path / "b", "b1")
    )
    write(tmp_path, "m.json", "Catalog", "missions", child=["./a/collection.json", "./b/collection.json"])
    write(tmp_path, "l/catalog.json", "Catalog", "loose", item=put(tmp_path / "l", "l1"))
    return write(tmp_path, "catalog.json", "Catalog", "R", child=["./m.json", "./l/catalog.json"])


def ids(url: str, *names: str) -> list[str]:
    return sorted(i.id for i in gl.search(list(names), url=url))


def test_collections_at_any_depth(tree):
    listed = gl.collections(url=tree)
    assert sorted(listed.index) == ["A", "B", "C", "loose"]
    assert dict(listed["count"]) == {"A": 3, "B": 2, "C": 1, "loose": 1}
    assert ids(tree, "A") == ["a0", "a1", "a2"]
    assert ids(tree, "B") == ["b1", "c1"]
    assert ids(tree, "C") == ["c1"]
    assert ids(tree, "loose") == ["l1"]
    assert ids(tree, "A", "B", "C", "loose") == ["a0", "a1", "a2", "b1", "c1", "l1"], "each once"
    assert {i.id: i.collection_id for i in gl.search(["A", "B"], url=tree)} == {
        "a0": "A", "a1": "A", "a2": "A", "b1": "B", "c1": "C",
    }  # fmt: skip
    with pytest.raises(gl.GeodesError, match="A"):
        gl.search("a", url=tree)


@pytest.mark.thorough
def test_what_is_taken_from_it_is_taken_once(tree, tmp_path):
    shelved(tree, tmp_path / "taken")
    taken = str(tmp_path / "taken")
    assert ids(taken, "A") == ["a0", "a1", "a2"]
    assert ids(taken, "B") == ["b1"]
    assert ids(taken, "C") == ["c1"]


def test_a_root_that_is_a_collection(tmp_path):
    write(tmp_path, "2021/catalog.json", "Catalog", "2021", item=put(tmp_path / "2021", "a1"))
    url = write(tmp_path, "collection.json", "Collection", "A", child=["./2021/catalog.json"], item=put(tmp_path, "a0"))
    assert list(gl.collections(url=url).index) == ["A"]
    assert ids(url, "A") == ["a0", "a1"]


def test_a_root_that_is_a_catalogue_of_items(tmp_path):
    url = write(tmp_path, "catalog.json", "Catalog", "mine", item=put(tmp_path, "a0", "a1"))
    assert ids(url, "mine") == ["a0", "a1"]


def test_a_root_that_is_an_item_is_said(tmp_path):
    put(tmp_path, "a0")
    with pytest.raises(gl.GeodesError, match=r"cannot be opened .*neither a catalogue nor a collection"):
        gl.collections(url=str(tmp_path / "a0.json"))


def test_collections_of_one_name_are_both_there(tmp_path):
    for folder, name in (("a", "one"), ("b", "two")):
        write(tmp_path, f"{folder}/c.json", "Collection", "same", item=put(tmp_path / folder, name))
    url = write(tmp_path, "catalog.json", "Catalog", "R", child=["./a/c.json", "./b/c.json"])
    assert ids(url, "same") == ["one", "two"]


def test_links_that_lead_back_are_not_followed(tmp_path):
    write(tmp_path, "a.json", "Collection", "A", child=["./b.json"], item=put(tmp_path, "a0"))
    write(tmp_path, "b.json", "Collection", "B", child=["./a.json", "./catalog.json"], item=put(tmp_path, "b0"))
    url = write(tmp_path, "catalog.json", "Catalog", "R", child=["./a.json"])
    assert ids(url, "A") == ["a0", "b0"]
    assert ids(url, "B")[-1] == "b0"


def test_a_tree_without_end_is_refused(tmp_path):
    for number in range(40):
        write(tmp_path, f"{number}.json", "Catalog", str(number), child=[f"./{number + 1}.json"])
    write(tmp_path, "40.json", "Catalog", "40")
    with pytest.raises(gl.GeodesError, match="more than 32 catalogues inside each other"):
        gl.collections(url=str(tmp_path / "0.json"))


@pytest.mark.parametrize(
    ("west", "east", "asked", "is_there"),
    [
        (179, 181, (179.2, 43, 179.8, 44), True),
        (179, 181, (-179.8, 43, -179.2, 44), True),  # the same place
        (179, 181, (-178, 43, -177, 44), False),
        (-181, -179, (179.2, 43, 179.8, 44), True),
        (359, 360, (-0.9, 43, -0.1, 44), True),  # longitudes from 0 to 360
        (200, 210, (-155, 43, -152, 44), True),
        (200, 210, (155, 43, 158, 44), False),
        (1, 2, (1.2, 43, 1.8, 44), True),
        (1, 2, (-1.8, 43, -1.2, 44), False),
        (179, 181, (179.5, 43, -179.5, 44), True),  # a box over the line
    ],
)
def test_footprints_beyond_180(tmp_path, west, east, asked, is_there):
    put(tmp_path, "a", geometry=box(west, 43, east, 44))
    url = write(tmp_path, "catalog.json", "Catalog", "R", item=["./a.json"])
    assert bool(len(gl.search("R", url=url, bbox=asked))) == is_there
    gl.search("R", url=url)._repr_html_()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    west=st.floats(-170, 160),
    width=st.floats(0.5, 9),
    turn=st.sampled_from([-360, 0, 360]),
    left=st.floats(-170, 160),
    wide=st.floats(0.5, 9),
)
def test_a_footprint_is_found_however_its_longitudes_are_counted(tmp_path, west, width, turn, left, wide):
    assume(min(abs(west - left - wide), abs(west + width - left)) > 1e-6)  # a turn of the earth rounds what touches
    footprint, asked = box(west, 40, west + width, 44), box(left, 41, left + wide, 43)
    put(tmp_path, "a", geometry=translate(footprint, turn))
    url = write(tmp_path, "catalog.json", "Catalog", "R", item=["./a.json"])
    assert bool(len(gl.search("R", url=url, bbox=asked.bounds))) == footprint.intersects(asked)
