"""The jobs of a lab over HTTP: a stock client, a runner that has only HTTP, other people, hostile requests, callbacks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import httpx
import pytest
import xarray as xr
from owslib.ogcapi.processes import Processes

import geodes_lab as gl
from geodes_lab.batch.request import Result
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.leases import LeaseLost, Leases
from geodes_lab.batch.store.served import ServedStore
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import Refused, read
from hub.services.jobs import callbacks
from hub.services.jobs.app import made
from hub.services.jobs.callbacks import Callbacks
from hub.services.jobs.starting import Starter
from hub.services.person import Hub, Person
from tests.support.batch import scenes
from tests.support.servers.served import served

PEOPLE = {"a": Person("ada", frozenset({"geodes"})), "b": Person("bob", frozenset()), "s": Person(service="home")}
NDVI: dict[str, Any] = {"tile": scenes.TILE}
BARE = {
    "type": "Feature", "stac_version": "1.1.0", "id": "bare", "geometry": None, "links": [], "assets": {},
    "properties": {"datetime": "2021-06-05T00:00:00Z"},
}  # fmt: skip


class Known(Hub):
    """People by token, or by a cookie of that name."""

    def who(self, token: str, session: str = "") -> Person:
        return PEOPLE.get(token, Person())

    def person(self, request: Any) -> Person:
        if kept := request.cookies.get("as"):
            return replace(self.who(kept), by_cookie=True)
        return super().person(request)


class Told(BaseHTTPRequestHandler):
    """Somebody who is told of ends."""

    heard: list[tuple[str, dict[str, Any]]]
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).heard.append((self.path, body))
        self.send_response(type(self).status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return scenes.items(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def subscriber() -> Iterator[str]:
    Told.heard = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Told) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, subscriber: str) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    rules = read(Lab, {"jobs": {"processes": {"convert": ["geodes"]}, "callbacks": [subscriber], "waiting": 30}}, "")
    store = Store(tables.opened(home / "jobs.sqlite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/jobs/")
        patch.setenv("HOME", str(home))
        patch.delenv("JUPYTERHUB_USER", raising=False)
        application = made(rules, store, Known())
        with (
            served(application) as at,
            dask.config.set({"geodes_lab.jobs.pause": 0.0, "geodes_lab.jobs.results": str(home / "jobs")}),
        ):
            yield SimpleNamespace(
                at=f"{at}/services/jobs", store=store, home=home, rules=rules, ogc=f"{at}/services/jobs/ogc"
            )


def by(token: str, **headers: str) -> httpx.Client:
    return httpx.Client(headers={"Authorization": f"token {token}", **headers}, timeout=60)


def run(lab: SimpleNamespace, token: str = "a", person: str = "ada") -> None:
    """A runner that reaches the store by the service alone."""
    Runner(ServedStore(lab.at, token), Here(1), person=person, publisher=lambda item, *_: item).run(idle=0)


def small(products: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"inputs": {"items": products[:1], "region": scenes.region(60), **NDVI, **more}, "response": "document"}


def test_stock_client_runs_a_job_from_end_to_end(lab, products):
    client = Processes(f"{lab.ogc}/", headers={"Authorization": "token a"})
    assert {"core", "json", "job-list", "callback", "dismiss", "ogc-process-description"} == {
        c.rpartition("/")[2] for c in client.conformance()["conformsTo"]
    }
    assert "ndvi" in {p["id"] for p in client.processes()}
    described = client.process("ndvi")
    assert described["jobControlOptions"] == ["async-execute", "dismiss"]
    assert described["inputs"]["mask_buffer"]["schema"]["maximum"] == 10_000
    assert all(i["schema"] for i in described["inputs"].values())
    asked = {"items": products, "region": scenes.region(), "period": "2021-06/2021-07", "every": "1MS", **NDVI}
    status = client.execute("ndvi", inputs=asked, async_=True)
    place = client.response_headers["Location"]
    assert client.response_headers["Preference-Applied"] == "respond-async"
    assert status["status"] == "accepted"
    assert place == f"{lab.ogc}/jobs/{status['jobID']}"
    assert lab.store.job(status["jobID"], "ada").units == 8
    with by("a") as me:
        early = me.get(f"{place}/results")
        assert (early.status_code, early.json()["type"].rpartition("/")[2]) == (404, "result-not-ready")
        run(lab)
        ended = me.get(place).json()
        assert (ended["status"], ended["progress"], ended["processID"]) == ("successful", 100, "ndvi")
        assert ended["created"] <= ended["started"] <= ended["finished"]
        link = me.get(f"{place}/results").json()["items"]
        items = me.get(link["href"])
        assert items.headers["content-type"] == link["type"] == "application/geo+json"
        (item,) = items.json()["features"]
        assert item["properties"]["derived_from"] == [p["id"] for p in products]
        assert xr.open_zarr(item["assets"]["zarr"]["href"], consolidated=False).ndvi.shape == (2, 128, 128)
        assert "accepted with 8 units" in me.get(f"{place}/log").json()["log"][0]["text"]


def test_abstract_tests_of_the_standard(lab, products):
    """OGC 18-062r2, annex A, by the names of its tests, as far as they do not ask for execution while one waits, which there is not."""
    with by("a") as me:
        landing = me.get(f"{lab.ogc}/")  # /core/landingpage-op, /core/landingpage-success
        links = {link["rel"].rpartition("/")[2]: link["href"] for link in landing.json()["links"]}
        assert landing.status_code == 200
        assert {"service-desc", "conformance", "processes", "job-list"} <= set(links)
        assert me.get(links["service-desc"]).json()["openapi"].startswith("3.")  # /core/api-definition-success
        assert me.get(links["conformance"]).json()["conformsTo"]  # /core/conformance-success
        listed = me.get(
            links["processes"], params={"limit": 2}
        ).json()  # /core/process-list-success, pl-limit-definition
        assert len(listed["processes"]) == 2
        assert "self" in {link["rel"] for link in listed["links"]}
        for summary in listed["processes"]:  # /core/process-summary-links, /core/process-success
            assert {"id", "version", "jobControlOptions", "outputTransmission"} <= set(summary)
            whole = me.get(next(link["href"] for link in summary["links"] if link["rel"] == "self")).json()
            assert {"id", "version", "inputs", "outputs"} <= set(whole)
        for path in ("processes/none", "processes/none/execution"):  # /core/process-exception/no-such-process
            answer = me.post(f"{lab.ogc}/{path}", json={}) if "execution" in path else me.get(f"{lab.ogc}/{path}")
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-process")
        asked = {"headers": {"Prefer": "respond-async"}, "json": small(products)}
        made = me.post(f"{lab.ogc}/processes/ndvi/execution", **asked)  # /core/job-creation-success-async
        place = made.headers["Location"]
        assert made.status_code == 201
        status = me.get(place).json()  # /core/job-success
        assert (status["type"], status["jobID"]) == ("process", made.json()["jobID"])
        assert status["status"] in ("accepted", "running", "successful", "failed", "dismissed")
        answer = me.get(f"{place}/results")  # /core/job-results-exception/results-not-ready
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "result-not-ready")
        assert me.delete(place).json()["status"] == "dismissed"  # /dismiss/job-dismiss-success
        for ask in (me.get, me.delete):  # /core/job-exception-no-such-job, /dismiss
            answer = ask(f"{lab.ogc}/jobs/none")
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-job")
        answer = me.get(f"{lab.ogc}/jobs/none/results")  # /core/job-results-exception/no-such-job
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-job")
        jobs = me.get(links["job-list"], params={"limit": 1}).json()  # /job-list/job-list-success, limit-response
        assert len(jobs["jobs"]) == 1
        me.delete(place)


def test_a_job_is_its_persons_alone(lab, products):
    with by("a") as ada, by("b") as bob:
        place = ada.post(f"{lab.ogc}/processes/ndvi/execution", json=small(products)).headers["Location"]
        number = place.rpartition("/")[2]
        for answer in (bob.get(place), bob.delete(place), bob.post(f"{place}/retry"), bob.get(f"{place}/items")):
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-job")
        assert number not in bob.get(f"{lab.ogc}/jobs").text
        theirs = ServedStore(lab.at, "b")
        for call in (
            theirs.job,
            theirs.request,
            theirs.code,
            theirs.results,
            theirs.log,
            theirs.dismiss,
            theirs.remove,
        ):
            with pytest.raises(GeodesError, match="There is no job"):
                call(number, "ada")
        assert theirs.several_progress([number], "ada") == {}
        # A runner of another person cannot take, move or steal a unit, whatever it calls itself.
        mine = ServedStore(lab.at, "a").leases("ada", (), 60)
        task = mine.take()
        assert task is not None
        others = theirs.leases("ada", (), 60)
        others.owner = mine.owner
        assert others.take() is None
        assert others.renew([task.number]) == set()
        assert mine.renew([task.number]) == {task.number}
        for move in (others.begun, lambda t: others.fail(t, "x"), lambda t: others.remote(t, "http://x"), others.same):
            with pytest.raises(LeaseLost):
                move(task)
        mine.leave()
        others.leave()
        # bob's groups do not have it: for him it is not there.
        assert ada.get(f"{lab.ogc}/processes/convert").status_code == 200
        assert "convert" not in {p["id"] for p in bob.get(f"{lab.ogc}/processes").json()["processes"]}
        for path in ("", "/execution"):
            answer = bob.request("POST" if path else "GET", f"{lab.ogc}/processes/convert{path}", json={})
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "no-such-process")
        # Nobody, a service, and a page of another site.
        assert httpx.get(f"{lab.ogc}/jobs").status_code == 401
        assert httpx.get(f"{lab.ogc}/conformance").status_code == 200
        assert by("s").get(f"{lab.ogc}/jobs").status_code == 401
        with httpx.Client(cookies={"as": "a"}) as page:
            for site, status in (("cross-site", 403), ("same-origin", 200)):
                assert page.delete(place, headers={"Sec-Fetch-Site": site}).status_code == status
            assert page.post(f"{lab.at}/store/jobs", json={}).status_code == 401


def test_dismiss_list_and_remove(lab, products):
    with by("a") as me:
        several = [me.post(f"{lab.ogc}/processes/ndvi/execution", json=small(products)).json() for _ in range(3)]
        place = f"{lab.ogc}/jobs/{several[0]['jobID']}"
        dismissed = me.delete(place)
        assert (dismissed.status_code, dismissed.json()["status"]) == (200, "dismissed")
        assert me.get(f"{place}/results").status_code == 404
        page = me.get(f"{lab.ogc}/jobs", params={"limit": 1, "status": "accepted"}).json()
        assert len(page["jobs"]) == 1
        following = next(link["href"] for link in page["links"] if link["rel"] == "next")
        assert me.get(following).json()["jobs"][0]["jobID"] != page["jobs"][0]["jobID"]
        some = {"status": "dismissed", "processID": "ndvi", "datetime": "2020-01-01T00:00:00Z/.."}
        assert several[0]["jobID"] in me.get(f"{lab.ogc}/jobs", params=some).text
        assert me.get(f"{lab.ogc}/jobs", params={**some, "processID": "other"}).json()["jobs"] == []
        for wrong in ({"status": "x"}, {"limit": "-1"}, {"datetime": "yesterday"}, {"who": "bob"}):
            assert me.get(f"{lab.ogc}/jobs", params=wrong).status_code == 400, wrong
        assert me.post(f"{place}/retry").json()["status"] == "running"
        me.delete(place)
        assert me.delete(place).json()["status"] == "dismissed"
        assert me.get(place).json()["type"].endswith("no-such-job")
        for one in several[1:]:
            me.delete(f"{lab.ogc}/jobs/{one['jobID']}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"inputs": {}}, "either items"),
        ({"inputs": {"items": ["/etc/passwd"]}}, "not names or addresses"),
        ({"inputs": {"items": {"href": "http://169.254.169.254/"}}}, "is an address"),
        ({"inputs": {"items": [{"type": "Feature"}]}}, ""),
        ({"region": "/etc/passwd"}, "must be GeoJSON"),
        ({"region": {"type": "Polygon", "coordinates": [[[0, 0], [1e9, 0], [1, 1], [0, 0]]]}}, ""),
        ({"crs": 999_999}, ""),
        ({"crs": None}, "crs cannot be"),
        ({"items": [BARE]}, "give crs"),
        ({"resolution": 0.0001}, "more than"),
        ({"resolution": "10; DROP TABLE jobs"}, "resolution cannot be"),
        ({"mask_buffer": -1}, "mask_buffer"),
        ({"nothing": 1}, "no input 'nothing'"),
        ({"period": "2021-13"}, ""),
        ({"title": ["x"]}, "title"),
        ({"collection": "../../x"}, ""),
        ({"search": {"collections": ["x"]}}, "either items"),
        ({"subscriber": {"successUri": "http://169.254.169.254/latest"}}, "may not be told"),
        ({"outputs": {"other": {}}}, "items alone"),
        ({"response": "xml"}, "raw or document"),
        ({"mode": "sync"}, "'mode'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(lab, products, change, sentence):
    body = small(products)
    top = {"inputs", "subscriber", "outputs", "response", "mode"}
    body |= {k: v for k, v in change.items() if k in top}
    body["inputs"] = body["inputs"] | {k: v for k, v in change.items() if k not in top}
    with by("a") as me:
        answer = me.post(f"{lab.ogc}/processes/ndvi/execution", json=body)
        known = answer.json()
        if change == {"collection": "../../x"} and answer.status_code == 201:
            me.delete(answer.headers["Location"])
            pytest.skip("the catalogue checks the name of a collection")
        assert (answer.status_code, known["title"]) == (400, "InvalidParameterValue"), known
        assert sentence in known["detail"]


def test_bodies_are_bounded_and_calls_are_checked(lab, products):
    with by("a") as me:
        execution = f"{lab.ogc}/processes/ndvi/execution"
        assert me.post(execution, content=b"[" * 100_000).status_code == 413
        assert me.post(execution, content=b'{"inputs": NaN}').status_code == 400
        assert me.post(execution, content=b"\xff\xfe").status_code == 400
        assert me.post(execution, content=b"x" * (33 * 2**20)).status_code == 413
        unit = json.dumps({"name": "u", "items": [5]})
        wrong: list[tuple[str, Any]] = [
            ("nothing", {}), ("jobs", []), ("jobs", {"limit": True}), ("job", {"job": "x" * 300}),
            ("add", {"process": "../x"}), ("add", {"process": "ndvi", "request": "[" * 90_000}),
            ("add", {"process": "ndvi", "version": "1", "title": "", "request": "{}", "units": [[unit, "k"]]}),
            ("done", {"owner": "x", "number": 1, "fence": 1, "result": '{"files": [{"path": 1}]}'}),
            ("renew", {"owner": "x", "has": [True]}), ("take", {"owner": 3}), ("progress", {"jobs": "all"}),
        ]  # fmt: skip
        for what, given in wrong:
            answer = me.post(f"{lab.at}/store/{what}", json=given)
            assert answer.status_code == 400, (what, given, answer.text)
            assert answer.json()["detail"]


def test_kernel_of_the_lab_shares_the_list_and_its_code_is_only_its_own(lab, products, monkeypatch):
    @gl.process.define(bands=["red", "nir"])
    def twice(cube, factor: float = 2.0):
        """Twice the red band."""
        return (cube.red * factor).isel(time=0, drop=True).rename("twice")

    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "a")
    with dask.config.set({"geodes_lab.jobs.service": lab.at}):
        job = gl.process("twice", products, region=scenes.region(60), tile=scenes.TILE, collection="")
        assert job.id in {j.id for j in gl.jobs()}
        with by("a") as me:
            assert me.get(f"{lab.ogc}/jobs/{job.id}").json()["status"] == "accepted"
        run(lab)
        assert job.wait(60).status == "successful"
        assert "of 1 units" in repr(job)
        assert len(job.results()) == 1
        job.remove()
        assert job.id not in {j.id for j in gl.jobs()}


def test_subscribers_hear_of_the_end_and_no_redirect_is_followed(lab, products, subscriber):
    for wrong in (
        "https://elsewhere.example/x",
        f"{subscriber}.evil.example/",
        f"{subscriber}@evil.example/",
        "file:///x",
    ):
        with pytest.raises(GeodesError, match=r"may not be told|must be an address"):
            callbacks.checked({"successUri": wrong}, [subscriber])
    with pytest.raises(Refused, match="not a web site"):
        read(Lab, {"jobs": {"callbacks": ["https://x.example/path"]}}, "")
    clock = SimpleNamespace(now=lab.store.clock())
    teller = Callbacks(replace(lab.store, clock=lambda: clock.now), [subscriber])
    uris = {"successUri": f"{subscriber}/well", "failedUri": f"{subscriber}/ill"}
    with by("a") as me:
        body = small(products, collection="") | {"subscriber": uris}
        first = me.post(f"{lab.ogc}/processes/ndvi/execution", json=body).json()["jobID"]
        assert teller.look() == 0
        run(lab)
        assert (teller.look(), teller.look()) == (1, 0)
        (path, told), *_ = Told.heard
        assert path == "/well"
        assert told["items"]["href"] == f"{lab.ogc}/jobs/{first}/items"
        Told.heard.clear()
        second = me.post(f"{lab.ogc}/processes/ndvi/execution", json=body).json()["jobID"]
        me.delete(f"{lab.ogc}/jobs/{second}")
        Told.status = 307
        for _ in range(8):
            clock.now += 7200
            teller.look()
        assert [path for path, _ in Told.heard] == ["/ill"] * 5, "five attempts, and none elsewhere"
        assert Told.heard[0][1]["status"] == "dismissed"
        assert "answers 307" in me.get(f"{lab.ogc}/jobs/{second}/log").json()["log"][-1]["text"]
        Told.heard.clear()
        Told.status = 200
        assert me.post(f"{lab.ogc}/jobs/{second}/retry").json()["status"] == "running"
        assert teller.look() == 0
        run(lab)
        assert (teller.look(), teller.look()) == (1, 0)
        assert [path for path, _ in Told.heard] == ["/well"], "the end after it was tried again"


def test_subscribers_hear_that_a_job_runs_once_and_then_rarely(lab, products, subscriber):
    Told.heard.clear()
    Told.status = 200
    clock = SimpleNamespace(now=lab.store.clock())
    store = replace(lab.store, clock=lambda: clock.now)
    teller = Callbacks(store, [subscriber])
    body = small(products, tile=32, collection="") | {"subscriber": {"inProgressUri": f"{subscriber}/runs"}}
    with by("a") as me:
        place = me.post(f"{lab.ogc}/processes/ndvi/execution", json=body).headers["Location"]
        assert (teller.look(), Told.heard) == (0, []), "it has not begun"
        leases = Leases(store.database, "ada", (), 1e6, clock=store.clock)
        tasks = leases.take_several(9)
        assert len(tasks) > 1
        assert (teller.look(), teller.look()) == (1, 0)
        ((path, told),) = Told.heard
        assert (path, told["status"], told["jobID"], told["progress"]) == (
            "/runs",
            "running",
            place.rpartition("/")[2],
            0,
        )
        clock.now += 3600
        assert teller.look() == 0, "there is nothing new to say"
        for n, task in enumerate(tasks[:-1]):
            leases.done(task, Result([]), 1)
            teller.look()
            clock.now += 3600 if n % 2 else 1
        assert 1 < len(Told.heard) <= 1 + len(tasks) // 2
        many = len(Told.heard)
        me.delete(place)
        clock.now += 3600
        assert teller.look() == 1, "nobody is to be told of the end"
        assert len(Told.heard) == many
        # A site that fails is asked once each time, and the log says so once.
        Told.status = 500
        place = me.post(f"{lab.ogc}/processes/ndvi/execution", json=body).headers["Location"]
        leases.take_several(9)
        teller.look()
        texts = [entry["text"] for entry in me.get(f"{place}/log").json()["log"]]
        assert "could not be told that the job runs: it answers 500." in texts[-1]
        me.delete(place)
        leases.leave()
        Told.status = 200


def test_notebook_of_a_home_is_run_by_its_person_s_runner(lab, tmp_path):
    import nbformat

    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    cells = [
        nbformat.v4.new_code_cell("cloud = 20", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(cloud)"),
    ]
    (lab.home / "work").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.home / "work" / "floods.ipynb")
    execution = f"{lab.ogc}/processes/notebook/execution"
    with by("a") as me:
        inputs = me.get(f"{lab.ogc}/processes/notebook").json()["inputs"]
        assert set(inputs) == {"notebook", "parameters", "kernel", "collection", "readers", "title"}
        for wrong, sentence in (
            ({"notebook": "../x.ipynb"}, "is no notebook of a home"), ({"notebook": "/etc/x.ipynb"}, "of a home"),
            ({}, "needs the input notebook"), ({"notebook": "x.ipynb", "items": []}, "has no input 'items'"),
            ({"notebook": "x.ipynb", "parameters": [1]}, "parameters"), ({"notebook": 3}, "notebook"),
        ):  # fmt: skip
            refused = me.post(execution, json={"inputs": wrong})
            assert (refused.status_code, sentence in refused.json()["detail"]) == (400, True), refused.text
        asked = {"notebook": "work/floods.ipynb", "parameters": {"cloud": 7}, "collection": "", "title": "June"}
        begun = me.post(execution, json={"inputs": asked})
        assert begun.status_code == 201, begun.text
        place = begun.headers["Location"]
        assert me.get(f"{place}/request").json() == {"process": "notebook", "inputs": {**asked, "kernel": ""}}
        assert (
            "is not known before it runs" in me.post(f"{lab.ogc}/processes/notebook/plan", json={"inputs": asked}).text
        )
        run(lab)
        assert me.get(place).json()["status"] == "successful", me.get(f"{place}/log").text
        (item,) = me.get(f"{place}/items").json()["features"]
        executed = nbformat.read(item["assets"]["notebook"]["href"].removeprefix("file://"), 4)
        assert executed.cells[-1].outputs[0].text == "7\n"
        forged = {
            "process": "ndvi",
            "version": "1",
            "title": "",
            "units": [['{"name": "u", "items": [], "tile": null}', "k"]],
        }
        request = json.dumps({"inputs": {}, "items": [], "output": "notebook", "grid": None, "times": []})
        answer = me.post(f"{lab.at}/store/add", json=forged | {"request": request})
        assert (answer.status_code, "by the process notebook" in answer.text) == (400, True), answer.text


def test_plan_is_made_by_the_runner_and_is_its_person_s_alone(lab, products):
    with by("a") as ada, by("b") as bob:
        before = len(ada.get(f"{lab.ogc}/jobs").json()["jobs"])
        first = ada.post(f"{lab.ogc}/processes/ndvi/plan", json=small(products)).headers["Location"]
        place = ada.post(f"{lab.ogc}/processes/ndvi/plan", json=small(products)).headers["Location"]
        assert ada.get(first).status_code == 404, "the last plan alone is kept"
        assert ada.get(place).json() == {"status": "accepted", "message": "", "plan": None}
        run(lab)
        made = ada.get(place).json()
        assert (made["status"], made["plan"]["units"], made["plan"]["products"]) == ("successful", 1, 1)
        assert made["plan"]["bytes"] > 0
        assert bob.get(place).status_code == 404
        assert len(ada.get(f"{lab.ogc}/jobs").json()["jobs"]) == before, "it is in no list"
        unknown = ada.post(f"{lab.ogc}/processes/convert/plan", json={"inputs": {"items": products}})
        assert (unknown.status_code, "is not known before it runs" in unknown.text) == (400, True)
        # What was asked of a job can be asked again.
        body = small(products, period="2021", every="1MS", reduce="mean", title="Mine", collection="")
        job = ada.post(f"{lab.ogc}/processes/ndvi/execution", json=body).headers["Location"]
        again = ada.get(f"{job}/request").json()
        assert again["process"] == "ndvi"
        changed = {name for name, value in body["inputs"].items() if again["inputs"][name] != value}
        assert changed <= {"items", "region"}, "written otherwise, with the same meaning"
        twice = ada.post(f"{lab.ogc}/processes/ndvi/execution", json={"inputs": again["inputs"]}).headers["Location"]
        assert ada.get(f"{twice}/request").json() == again
        assert bob.get(f"{job}/request").status_code == 404
        for one in (job, twice):
            ada.delete(one)


def test_people_without_a_runner_get_one_each(lab, products):
    asked: list[str] = []

    class Hub_:
        def start(self, person: str) -> str:
            asked.append(person)
            return "Your quota is used up." if person == "bob" else ""

    starter = Starter(lab.store, Hub_())
    with by("a") as ada, by("b") as bob:
        places = [
            c.post(f"{lab.ogc}/processes/ndvi/execution", json=small(products)).headers["Location"] for c in (ada, bob)
        ]
        assert starter.look() == ["ada", "bob"]
        assert starter.look() == [], "the hub is not asked again at once"
        assert "Your quota is used up." in bob.get(f"{places[1]}/log").json()["log"][-1]["text"]
        leases = ServedStore(lab.at, "a").leases("ada", (), 60)
        leases.renew([])
        assert starter.without_runner() == ["bob"]
        leases.leave()
        ada.delete(places[0])
        bob.delete(places[1])
    assert starter.without_runner() == []


def test_unfinished_jobs_of_a_person_are_counted(lab, products):
    with by("b") as bob:
        for _ in range(30):
            answer = bob.post(f"{lab.ogc}/processes/ndvi/execution", json=small(products))
            assert answer.status_code == 201
        refused = bob.post(f"{lab.ogc}/processes/ndvi/execution", json=small(products))
        assert (refused.status_code, "which is the limit" in refused.json()["detail"]) == (400, True)
    assert Path(lab.home / "jobs.sqlite").exists()
