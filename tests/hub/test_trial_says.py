"""What the trial says where something does not work: the step, what the cluster tells of its pods, and what the catalogue lacks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import dask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import geodes_lab as gl
from geodes_lab.surroundings.kubernetes import Kubernetes
from hub import events, trial
from hub.trialcode import PRODUCT
from tests.support.servers.served import served

SINCE = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(name: str, when: str, message: str, **more: object) -> dict[str, object]:
    return {
        "metadata": {"name": f"{name}.1", "creationTimestamp": "2026-11-27T11:00:00Z"},
        "involvedObject": {"kind": "Pod", "name": name},
        "reason": "FailedScheduling",
        "message": message,
        "type": "Warning",
        "lastTimestamp": when,
        **more,
    }


EVENTS = [
    event("of-yesterday", "2026-11-26T12:00:00Z", "old"),
    event("dask-scheduler-1", "2026-11-27T12:01:00Z", "0/1 nodes are available: 1 node(s) had volume node affinity conflict."),
    event("dask-scheduler-1", "2026-11-27T12:02:00Z", "0/1 nodes are available: 1 Insufficient cpu."),
    event("robot", None, "of the newer API", series={"lastObservedTime": "2026-11-27T12:03:00.000000Z", "count": 2}),
]  # fmt: skip


@pytest.fixture
def account(tmp_path) -> Path:
    for name, text in {"token": "secret", "namespace": "lab", "ca.crt": ""}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def cluster() -> str:
    async def listed(request: Request) -> Response:
        if request.headers["Authorization"] != "Bearer secret":
            return JSONResponse({"message": "Unauthorized"}, 401)
        assert request.query_params["fieldSelector"] == "type=Warning"
        return JSONResponse({"items": EVENTS})

    with served(Starlette(routes=[Route("/api/v1/namespaces/lab/events", listed)])) as address:
        yield address


def test_warnings_of_the_cluster_since_the_step_began(account, cluster):
    kubernetes = Kubernetes(cluster, account)
    assert events.warnings(SINCE, kubernetes) == [
        "Pod robot: FailedScheduling: of the newer API",
        "Pod dask-scheduler-1: FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.",
    ]
    (account / "token").write_text("another")
    (sentence,) = events.warnings(SINCE, kubernetes)
    assert sentence.startswith(
        "Kubernetes did not answer /api/v1/namespaces/lab/events (Client error '401 Unauthorized'"
    )
    assert events.warnings(SINCE) == [], "this is no pod"


@pytest.mark.parametrize("error", [TimeoutError("Timeout waiting for reply"), trial.TrialError("TimeoutError in: …")])
def test_a_step_that_fails_is_named_with_what_the_cluster_says(monkeypatch, error):
    monkeypatch.setattr(trial, "warnings", lambda since: ["Pod x: FailedScheduling: 1 Insufficient cpu."])
    with pytest.raises(trial.TrialError) as caught, trial.step("A cluster of one worker"):
        raise error
    assert str(caught.value) == (
        f"A cluster of one worker failed: {error}\nThe cluster reports: Pod x: FailedScheduling: 1 Insufficient cpu."
    )


@pytest.fixture
def empty(tmp_path):
    """A catalogue without a product."""
    root = {"type": "Catalog", "stac_version": "1.1.0", "id": "empty", "description": "Nothing yet.", "links": []}
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    profile = {"url": str(tmp_path / "catalog.json")}
    with dask.config.set({"geodes_lab.catalog.profiles.empty": profile, "geodes_lab.catalog.profile": "empty"}):
        yield


def test_product_of_the_sample_is_read_where_the_catalogue_has_none(empty, capsys):
    exec(PRODUCT.format(collection=""), {"gl": gl})
    assert capsys.readouterr().out.startswith("of the sample, since the catalogue has no product yet: S2")


def test_collection_that_has_no_product_is_named(empty):
    with pytest.raises(LookupError, match=r"no product of PEPS_S2_L1C \(.*\): harvest it .*cronjob/harvest"):
        exec(PRODUCT.format(collection="PEPS_S2_L1C"), {"gl": gl})
