"""Schedules over HTTP, with the store in a real PostgreSQL where one is installed; a runner that has only HTTP looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import httpx
import pytest
import sqlalchemy as sa

import geodes_lab as gl
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.batch.store.leases import LeaseLost
from geodes_lab.batch.store.schedules import MOST
from geodes_lab.batch.store.served import ServedStore
from geodes_lab.batch.store.served_schedules import ServedSchedules
from geodes_lab.batch.store.tables import schedules
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from hub.services.catalogue.access import Rights
from hub.services.catalogue.app import made as catalogue_of
from hub.services.jobs.app import made
from hub.services.jobs.starting import Starter
from hub.services.jobs.store import opened
from hub.services.person import Hub, Person
from tests.support.batch import scenes
from tests.support.batch.catalogue import catalogued
from tests.support.servers import postgresql
from tests.support.servers.served import served

PEOPLE = {"a": Person("ada", frozenset({"geodes"})), "b": Person("bob", frozenset())}
SEARCH = {"collections": ["S"]}


class Known(Hub):
    def who(self, token: str, session: str = "") -> Person:
        return PEOPLE.get(token, Person())


@pytest.fixture(scope="module")
def place() -> Iterator[dict[str, Any] | None]:
    """Of a PostgreSQL of its own, as the operator's file names it; None: there is no PostgreSQL here."""
    if not postgresql.SERVERS:
        yield None
        return
    with postgresql.serving() as server:
        yield server.place


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, place: dict[str, Any] | None) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    rules = read(Lab, {"jobs": {"processes": {"convert": ["geodes"]}, "postgresql": place}}, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("GEODES_LAB_STATE", str(home))
        patch.setenv("GEODES_LAB_SECRETS", str(home))
        patch.setenv("JUPYTERHUB_API_TOKEN", "a")
        patch.setenv("JUPYTERHUB_USER", "ada")
        store = opened(rules)
        assert store.database.name.startswith("postgresql" if place else "sqlite")
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/catalogue/")
        products = catalogue_of(catalogued(home), home / "results", Rights(), Known())
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/jobs/")
        with (
            served(products) as catalogue,
            served(made(rules, store, Known(), f"{catalogue}/services/catalogue")) as at,
            dask.config.set(
                {
                    "geodes_lab.jobs.pause": 0.0,
                    "geodes_lab.jobs.results": str(home / "jobs"),
                    "geodes_lab.jobs.service": f"{at}/services/jobs",
                    "geodes_lab.catalog.profiles.lab": {
                        "kind": "stac",
                        "url": f"{catalogue}/services/catalogue/stac",
                        "token": "JUPYTERHUB_API_TOKEN",
                    },
                }
            ),
        ):
            yield SimpleNamespace(at=f"{at}/services/jobs", ogc=f"{at}/services/jobs/ogc", store=store)


def by(token: str) -> httpx.Client:
    return httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60)


def run(lab: SimpleNamespace) -> None:
    store = ServedStore(lab.at, "a")
    Runner(store, Here(1), person="ada", publisher=lambda item, *_: item).run(idle=0)


def due(lab: SimpleNamespace) -> None:
    with lab.store.database.change() as c:
        c.execute(sa.update(schedules).values(due=0.0))


def asked(schedule: dict[str, str], **more: Any) -> dict[str, Any]:
    region = {"region": scenes.region(60), "tile": scenes.TILE, "collection": ""}
    return {"inputs": {"search": SEARCH, **region, **more}, "schedule": schedule}


def test_schedule_begins_jobs_by_the_person_s_own_runner(lab):
    starter = Starter(lab.store, SimpleNamespace(start=lambda person: ""))
    with by("a") as ada, by("b") as bob:
        added = ada.post(f"{lab.ogc}/processes/ndvi/schedules", json=asked({"start": "2021-06"}, title="New <b>"))
        assert added.status_code == 201, added.text
        place, known = added.headers["Location"], added.json()
        assert place == f"{lab.ogc}/schedules/{known['scheduleID']}"
        assert (known["status"], known["each"], known["lastRun"], known["jobs"]) == ("active", "product", None, 0)
        assert known["inputs"]["search"]["bbox"], "the region narrows the search"
        assert starter.without_runner() == ["ada"], "somebody has to look"
        run(lab)
        assert starter.without_runner() == []
        known = ada.get(place).json()
        assert (known["jobs"], known["message"]) == (1, "")
        assert known["lastRun"] < known["nextRun"]
        (job,) = ada.get(f"{place}/jobs").json()["jobs"]
        assert (job["status"], job["title"], job["units"]["total"]) == ("successful", "New <b>", 1)
        due(lab)
        run(lab)
        assert ada.get(place).json()["jobs"] == 1, "nothing is new"
        # A month each, once it is over: May has no product, and no job.
        months = asked({"each": "1MS", "start": "2021-05", "wait": "2D"})
        month = ada.post(f"{lab.ogc}/processes/ndvi/schedules", json=months).headers["Location"]
        run(lab)
        periods = [lab.store.request(j["jobID"], "ada").period for j in ada.get(f"{month}/jobs").json()["jobs"]]
        assert periods == ["2021-07-01T00:00:00Z/2021-08-01T00:00:00Z", "2021-06-01T00:00:00Z/2021-07-01T00:00:00Z"]
        # A kernel of the lab sees the same; others see nothing of it, and a page of another site removes nothing.
        assert {s.id for s in gl.process.schedules()} == {p.rpartition("/")[2] for p in (place, month)}
        made = gl.process.schedule("ndvi", {"collections": "S", "profile": "lab"}, start="2030")
        assert bob.get(f"{lab.ogc}/schedules").json()["schedules"] == []
        for answer in (bob.get(place), bob.delete(place), bob.get(f"{place}/jobs")):
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-schedule")
        theirs = ServedSchedules(ServedStore(lab.at, "b").line)
        for call in (theirs.one, theirs.jobs, theirs.stop, theirs.remove):
            with pytest.raises(GeodesError, match="There is no schedule"):
                call(made.id, "ada")
        assert theirs.take("ada", "x") is None
        with pytest.raises(LeaseLost):
            theirs.begun(made.id, "ada", "x", None, [], "1999")
        theirs.looked(made.id, "ada", "x", "forged", 60)
        assert made.reason == ""
        made.stop()
        assert ada.get(f"{lab.ogc}/schedules/{made.id}").json()["nextRun"] is None
        for one in (place, month):
            assert ada.delete(one).json()["status"] == "removed"
        assert ada.get(place).status_code == 404
        assert len(ada.get(f"{lab.ogc}/jobs").json()["jobs"]) == 3, "its jobs stay"
        made.remove()


def test_look_that_fails_is_said_and_disturbs_no_other(lab):
    gone = gl.process.schedule("ndvi", {"collections": "S", "url": "/nowhere/catalog.json"}, start="2021")
    well = gl.process.schedule("ndvi", {"collections": "S", "profile": "lab"}, start="2021", collection="")
    run(lab)
    assert "/nowhere" in gone.reason
    assert (well.reason, len(well.jobs())) == ("", 1)
    for one in (gone, well):
        one.remove()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schedule": {"each": "week"}}, "every='week' is not a frequency"),
        ({"schedule": {"wait": "soon"}}, "wait='soon' is no such time"),
        ({"schedule": {"every": "1s"}}, "every='1s' is no such time"),
        ({"schedule": {"start": "then"}}, "is not a period"),
        ({"schedule": {"who": "bob"}}, "schedule must be an object"),
        ({"schedule": {"wait": 5}}, "each a text"),
        ({"schedule": None}, "schedule must be an object"),
        ({"search": {"collections": ["S"], "datetime": "2021"}}, "without datetime"),
        ({"search": {"collections": ["none-such"]}}, "none-such"),
        ({"search": {"collections": ["S"], "url": "http://169.254.169.254/"}}, "search has 'url'"),
        ({"search": None}, "needs search"),
        ({"items": []}, "leave out items"),
        ({"period": "2021"}, "leave out period"),
        ({"region": "/etc/passwd"}, "must be GeoJSON"),
        ({"reduce": "sum"}, "The input reduce"),
        ({"title": ["x"]}, "title"),
        ({"process": "notebook", "notebook": "x.ipynb"}, "cannot be scheduled yet"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(lab, change, sentence):
    change = dict(change)
    process = change.pop("process", "ndvi")
    body = asked(change.pop("schedule", {"start": "2021"}), **change)
    if process == "notebook":
        body["inputs"] = {"search": SEARCH, "notebook": change["notebook"]}
    with by("a") as ada:
        before = ada.get(f"{lab.ogc}/schedules").json()
        answer = ada.post(f"{lab.ogc}/processes/{process}/schedules", json=body)
        assert (answer.status_code, sentence in answer.json()["detail"]) == (400, True), answer.text
        assert ada.get(f"{lab.ogc}/schedules").json() == before


def test_rights_and_bounds(lab):
    with by("b") as bob:
        refused = bob.post(
            f"{lab.ogc}/processes/convert/schedules", json={"inputs": {"search": SEARCH}, "schedule": {}}
        )
        assert refused.status_code == 404, "bob's groups do not have it"
        assert httpx.get(f"{lab.ogc}/schedules").status_code == 401
        line = ServedStore(lab.at, "b").line
        for what, given in (
            ("schedule_add", {"document": "{}", "position": "2021"}), ("schedule_add", {"document": "[" * 90}),
            ("schedule_new", {"schedule": "x", "products": [1]}), ("schedule_begun", {"schedule": "x", "job": 3}),
            ("schedule_looked", {"schedule": "x", "owner": "o", "reason": "", "seconds": -1}),
        ):  # fmt: skip
            with pytest.raises(GeodesError):
                line.ask(what, **given)
        plan = '{"process": "convert", "search": {}, "each": "product", "start": "2021", "wait": 0, "every": 60, "inputs": {}}'
        with pytest.raises(GeodesError, match="None of your groups can use the process convert"):
            line.ask("schedule_add", document=plan)
        plan = plan.replace("convert", "ndvi")
        numbers = [line.ask("schedule_add", document=plan) for _ in range(MOST)]
        with pytest.raises(GeodesError, match="which is the limit: remove some"):
            line.ask("schedule_add", document=plan)
        for number in numbers:
            line.ask("schedule_remove", schedule=number)


def test_executed_notebook_is_an_item_of_the_catalogue(lab):
    import nbformat

    cells = [nbformat.v4.new_code_cell("cloud = 1", metadata={"tags": ["parameters"]})]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    path = Path.home() / "floods.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    job = gl.run_notebook(path, {"cloud": 2}, title="Floods")
    Runner(ServedStore(lab.at, "a"), Here(1), person="ada").run(idle=0)
    assert job.status == "successful", job.failures
    (item,) = gl.search("ada.notebook", profile="lab")
    assert item.id == job.results()[0].id
    assert item.properties["geodes:inputs"]["parameters"] == {"cloud": 2}
    assert item.geometry is None
