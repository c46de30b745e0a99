"""A job in a whole lab: by a search, without a server of the person; the hub starts the runner, as the person."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from hub.demo import Visitor
from hub.lab import Lab

_PATIENCE = 100.0  # seconds; a Dask cluster starts too


# Of the long ones: a whole lab with a runner and a Dask cluster, a minute. tests/hub/services/test_jobs_service.py has
# the same way without a hub.
@pytest.mark.slow
def test_job_runs_as_its_person_without_a_server_of_theirs(tmp_path: Path, sample: Path) -> None:
    with Lab(tmp_path / "lab", sample=sample) as lab:
        visitor = Visitor(lab.url)
        headers = visitor._headers()
        token = visitor.web.post(f"{visitor.api}/tokens", headers=headers, json={"note": "jobs"}).json()["token"]
        visitor.await_server()
        visitor.web.delete(f"{visitor.api}/server", headers=visitor._headers())
        at = f"{visitor.root}/services/jobs/ogc"
        with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60) as me:
            body = {"inputs": {"search": {"collections": ["PEPS_S2_L1C"], "ids": [_one(me, visitor.root)]}}}
            begun = me.post(f"{at}/processes/ndvi/execution", json=body)
            assert begun.status_code == 201, begun.text
            place = begun.headers["location"]
            other = me.post(f"{visitor.api}/servers/mine", json={})
            assert "one for jobs" in other.text, other.text
            job = _ended(me, place)
            assert job["status"] == "successful", (job, me.get(f"{place}/log").text, lab.log.read_text()[-3000:])
            (item,) = me.get(f"{place}/items").json()["features"]
            assert item["properties"]["derived_from"] == body["inputs"]["search"]["ids"]
            found = me.post(f"{visitor.root}/services/catalogue/stac/search", json={"ids": [item["id"]]}).json()
            assert [f["id"] for f in found["features"]] == [item["id"]], "published as the person's own"
            # A notebook of the home, in the lab's own kernel; it has the lab's functions and the person's rights.
            (home,) = (p for p in (tmp_path / "lab").rglob("home") if (p / "notebooks").is_dir())
            lines = ["import os", "print(len(gl.search('PEPS_S2_L1C', limit=1, profile='lab')), os.getcwd(), many)"]
            cells = [
                new_code_cell("many = 1", metadata={"tags": ["parameters"]}),
                new_code_cell("\n".join(lines)),
            ]
            kernel = {"name": "geodes", "display_name": "GEODES", "language": "python"}
            nbformat.write(
                new_notebook(cells=cells, metadata={"kernelspec": kernel}), home / "notebooks" / "mine.ipynb"
            )
            body = {"inputs": {"notebook": "notebooks/mine.ipynb", "parameters": {"many": 3}}}
            place = me.post(f"{at}/processes/notebook/execution", json=body).headers["location"]
            job = _ended(me, place)
            assert job["status"] == "successful", (job, me.get(f"{place}/log").text)
            (item,) = me.get(f"{place}/items").json()["features"]
            executed = nbformat.read(item["assets"]["notebook"]["href"].removeprefix("file://"), 4)
            assert executed.cells[-1].outputs[0].text == f"1 {home / 'notebooks'} 3\n"
            servers = me.get(visitor.api).json()["servers"]
            assert list(servers) == ["jobs"], json.dumps(servers, default=str)


def _one(me: httpx.Client, root: str) -> str:
    search = {"collections": ["PEPS_S2_L1C"], "limit": 1}
    found = me.post(f"{root}/services/catalogue/stac/search", json=search).json()
    return str(found["features"][0]["id"])


def _ended(me: httpx.Client, place: str) -> dict[str, Any]:
    until = time.monotonic() + _PATIENCE
    while True:
        job: dict[str, Any] = me.get(place).json()
        if job.get("status") not in ("accepted", "running") or time.monotonic() > until:
            return job
        time.sleep(1)
