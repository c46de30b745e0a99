"""Schedules: each new product once, each month once it is over; whoever looks, and whatever fails meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import geodes_lab as gl
from geodes_lab.batch import places, schedules
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from tests.support.batch import scenes


class Catalogue:
    def __init__(self, folder: Path, items: list[dict[str, Any]]) -> None:
        self.folder, self.path = folder, folder / "catalog.json"
        self.fill(items)

    def fill(self, items: list[dict[str, Any]]) -> None:
        common = {"stac_version": "1.0.0", "description": "-"}
        extent = {"spatial": {"bbox": [[3, 43, 3.1, 43.4]]}, "temporal": {"interval": [["2021-06-05T00:00:00Z", None]]}}
        links = [{"rel": "item", "href": f"./{i['id']}.json"} for i in items]
        for item in items:
            (self.folder / f"{item['id']}.json").write_text(json.dumps(item | {"links": []}))
        collection = {"type": "Collection", "id": "S", "license": "x", "links": links, "extent": extent}
        (self.folder / "collection.json").write_text(json.dumps(common | collection))
        root = {"type": "Catalog", "id": "R", "links": [{"rel": "child", "href": "./collection.json"}]}
        self.path.write_text(json.dumps(common | root))


@pytest.fixture
def catalogue(products, tmp_path) -> Catalogue:
    (tmp_path / "catalogue").mkdir()
    return Catalogue(tmp_path / "catalogue", products[:1])


def test_each_new_product_gets_one_job(catalogue, products, run, store):
    search = {"collections": "S", "url": str(catalogue.path)}
    made = gl.process.schedule("ndvi", search, start="2021-06", reduce="maximum")
    run()
    assert [j.status for j in made.jobs()] == ["successful"]
    catalogue.fill(products[:2])
    for runner in ("one", "another"):
        due(store)
        assert schedules.look(store, places.person(), runner) == (runner == "one")
    due(store)
    assert schedules.look(store, "bob", "bob's") == 0
    ((newest, _), (first, _)) = [(j.record.schedule, j.id) for j in made.jobs()]
    assert newest == first == made.id
    run()
    assert [i.properties["derived_from"] for j in made.jobs() for i in j.results()] == [
        ["S_2021-06-25"],
        ["S_2021-06-05"],
    ]
    (known,) = gl.process.schedules()
    assert known.last_run is not None
    assert known.next_run is not None
    assert known.last_run < known.next_run
    known.stop()
    catalogue.fill(products)
    due(store)
    assert schedules.look(store, places.person(), "one") == 0
    assert "stopped" in repr(known)
    assert known.next_run is None
    begun = len(known.jobs())
    known.remove()
    assert (begun, len(gl.jobs()), gl.process.schedules()) == (2, 2, [])
    with pytest.raises(GeodesError, match="There is no schedule"):
        known.stop()


def test_each_month_gets_a_job_when_it_is_over(catalogue, products, store):
    catalogue.fill(products)
    search = {"collections": "S", "url": str(catalogue.path)}
    made = gl.process.schedule(
        "ndvi", search, each="1MS", start="2021-05", wait="5D", region=scenes.region(), tile=scenes.TILE
    )
    moments = [
        (datetime(2021, 7, 5, tzinfo=UTC), 0),
        (datetime(2021, 7, 6, 1, tzinfo=UTC), 1),
        (datetime(2021, 12, 1, tzinfo=UTC), 2),
    ]
    for moment, begun in moments:
        then = Store(store.database, moment.timestamp)
        due(store)
        schedules.look(then, places.person(), "one")
        assert (len(made.jobs()), made.reason) == (begun, "")
    july, june = (store.request(j.id, None) for j in made.jobs())
    assert [r.times for r in (june, july)] == [
        [("2021-06-01T00:00:00Z", "2021-07-01T00:00:00Z")],
        [("2021-07-01T00:00:00Z", "2021-08-01T00:00:00Z")],
    ]
    assert len(june.items) == 2
    assert made.next_run == datetime(2021, 12, 6, tzinfo=UTC), "nobody looks before the next month is over"
    # A look that fails is said, and done again.
    catalogue.path.unlink()
    due(store)
    schedules.look(store, places.person(), "one")
    assert "catalog.json" in made.reason


def due(store: Any) -> None:
    import sqlalchemy as sa

    with store.database.change() as c:
        c.execute(sa.update(tables.schedules).values(due=0.0))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"process": "mine"}, "'mine' is not: make a package"),
        ({"each": "week"}, "every='week' is not a frequency"),
        ({"wait": "soon"}, "wait='soon' is no such time"),
        ({"every": "1s"}, "every='1s' is no such time"),
        ({"search": {"datetime": "2021"}}, "has no datetime"),
        ({"reduce": "sum"}, "The input reduce"),
        ({"start": "then"}, "period='then' is not a period"),
        ({"process": "notebook", "notebook": "x.ipynb"}, "a notebook cannot be scheduled yet"),
    ],
)
def test_refusals(how, sentence):
    given = {"process": "ndvi", "search": {"collections": "S"}} | how
    with pytest.raises(GeodesError, match=sentence):
        gl.process.schedule(**given)
