"""GEODES's own processes through a job, beside a stand-in over real HTTP: known answers, odd ones, hostile ones."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dask
import pytest

import geodes_lab as gl
from geodes_lab.batch import remote
from geodes_lab.batch.running import failing
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.store.leases import Leases, Task
from geodes_lab.errors import GeodesError

KEY = "the-person's-key"


class Portal(BaseHTTPRequestHandler):
    """Answers as the test says; remembers what it was asked."""

    asked: list[tuple[str, str, Any]]
    answers: dict[tuple[str, str], list[tuple[int, dict[str, str], Any]]]

    def _answer(self, verb: str) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.asked.append((verb, self.path, body))
        assert self.headers["x-api-key"] == KEY
        several = self.answers.get((verb, self.path)) or [(404, {}, {"title": "no such thing"})]
        code, headers, document = several.pop(0) if len(several) > 1 else several[0]
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(code)
        for name, value in {"content-length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, *_: Any) -> None:
        pass


BEGIN = ("POST", "/processing/processes/ortho-s1-grd/execution")
JOB, RESULTS = ("GET", "/processing/jobs/7"), ("GET", "/processing/jobs/7/results")
ACCEPTED = (201, {"location": "/processing/jobs/7"}, {"jobID": "7", "status": "accepted"})


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Portal]]:
    one: Any = type("One", (Portal,), {"asked": [], "answers": {}})
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    monkeypatch.setattr(failing, "_ASK", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), one) as server:
        host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        settings = {
            "geodes_lab.catalog.profiles.geodes.portal": f"http://{host}",
            "geodes_lab.download.hosts": [host],
            "geodes_lab.credentials.plain": [host],
        }
        with dask.config.set(settings):
            yield one
        server.shutdown()
        thread.join()


def test_whole_way(portal, products, run):
    portal.answers = {
        BEGIN: [ACCEPTED],
        JOB: [(200, {}, {"status": "running", "progress": 10}), (200, {}, {"status": "successful"})],
        RESULTS: [
            (
                200,
                {},
                {
                    "ortho": {"href": "https://geodes.example/ortho.tif"},
                    "log": "text",
                    "bad": {"href": "file:///etc/passwd"},
                },
            )
        ],
    }
    job = gl.process("ortho-s1-grd", products[0], profile="geodes")
    run()
    assert job.status == "successful", job.failures
    verb, _, body = portal.asked[0]
    assert (verb, body) == (
        "POST",
        {"inputs": {"product-title": "S_2021-06-05", "notif-email": "true", "restoration": False}},
    )
    assert [a[0] for a in portal.asked].count("POST") == 1
    (item,) = job.results()
    assert {n: a.href for n, a in item.assets.items()} == {"ortho": "https://geodes.example/ortho.tif"}
    assert item.properties["derived_from"] == ["S_2021-06-05"]
    assert "says running" in repr(job.log)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({BEGIN: [(400, {}, {"detail": "no such \x1b[31mproduct"})]}, r"refuses ortho-s1-grd \(HTTP 400\): no such \\u001b\[31mproduct"),
        ({BEGIN: [(403, {}, b"<html>")]}, "Make a new key in the portal"),
        ({BEGIN: [(302, {"location": "https://evil.example/"}, {})]}, "does not say where the processing is"),
        ({BEGIN: [(201, {"location": "https://evil.example/jobs/7"}, {})]}, "does not say where the processing is"),
        ({BEGIN: [(500, {}, {})]}, "HTTP 500 and does not say where"),
        ({BEGIN: [ACCEPTED]}, r"does not say the state of a processing \(HTTP 404\)"),
        ({BEGIN: [ACCEPTED], JOB: [(200, {}, [1])]}, "in a way that is not understood"),
        ({BEGIN: [ACCEPTED], JOB: [(200, {}, {"status": "failed", "message": "no orbit"})]}, "says failed of ortho-s1-grd. no orbit"),
        ({BEGIN: [ACCEPTED], JOB: [(200, {}, {"status": "successful"})], RESULTS: [(200, {}, {"type": "Feature", "id": 5})]}, "no STAC Items"),
        ({BEGIN: [ACCEPTED], JOB: [(200, {}, {"status": "successful"})], RESULTS: [(200, {}, {})]}, "name no file that is understood"),
        ({BEGIN: [ACCEPTED], JOB: [(200, {}, b"x" * 5_000_000)]}, "more than 4194304 bytes"),
    ],
)  # fmt: skip
def test_answers_that_are_not_expected(portal, products, run, answers, sentence):
    portal.answers = answers
    job = gl.process("ortho-s1-grd", products[0], profile="geodes")
    run()
    assert job.status == "failed"
    assert re.search(sentence, job.message), job.message
    assert [a[0] for a in portal.asked].count("POST") == 1


def test_unit_that_ends_while_the_next_is_looked_for_is_tried_again(portal, products, run, monkeypatch):
    """The runner saw none that waits, then that none is under way: it ended, and the job ran for ever."""
    portal.answers, ended = {BEGIN: [ACCEPTED]}, threading.Event()
    one, take = Runner._one, Leases.take_several

    def noted(self: Runner, *given: Any) -> None:
        one(self, *given)
        ended.set()

    def late(self: Leases, *given: Any) -> list[Task]:
        if tasks := take(self, *given):
            ended.clear()
        else:
            assert ended.wait(30)
        return tasks

    monkeypatch.setattr(Runner, "_one", noted)
    monkeypatch.setattr(Leases, "take_several", late)
    job = gl.process("ortho-s1-grd", products[0], profile="geodes")
    run()
    assert job.status == "failed"


def test_answer_that_was_not_received_begins_nothing_again(portal, products, run, store, monkeypatch):
    portal.answers = {
        BEGIN: [ACCEPTED],
        JOB: [(200, {}, {"status": "successful"})],
        RESULTS: [(200, {}, {"a": {"href": "https://x.example/a"}})],
    }

    def lost(*_: Any) -> str:
        raise KeyboardInterrupt

    job = gl.process("ortho-s1-grd", products[0], profile="geodes")
    from geodes_lab.batch import places
    from geodes_lab.batch.store.leases import Leases

    dead = Leases(store.database, places.person(), ("portal",), 30.0)
    task = dead.take()
    monkeypatch.setattr(remote, "_address", lost)
    with pytest.raises(KeyboardInterrupt):
        remote.worked(dead, task, store.request(job.id, None), job.record)
    monkeypatch.undo()
    dead.leave()
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    run()
    assert "its answer was not received" in job.message
    assert [a[0] for a in portal.asked].count("POST") == 1
    job.retry()
    run()
    assert job.status == "successful"


def test_refusals(products):
    with pytest.raises(GeodesError, match=r"has no (url|portal)"):
        gl.process("ortho-s1-grd", products[0], profile="local")
    with pytest.raises(GeodesError, match="A process cannot be named"):
        gl.process("../ortho", products[0], profile="geodes")
