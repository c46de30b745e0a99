"""What goes wrong around a job: a full disk, an expired token, a database that is away, workers that die."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pystac
import pytest

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.running import computing, faults, outputs
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here, OnCluster
from geodes_lab.errors import GeodesError
from geodes_lab.processing import registry
from geodes_lab.util.database import Database, DatabaseUnusable
from tests.support.batch import scenes

ONE = {"region": scenes.region(), "period": "2021-06", "tile": 128}


def test_full_disk_waits_for_room(products, run, monkeypatch):
    tries = []
    put = outputs._put

    def full(*given: Any) -> Any:
        tries.append(1)
        if len(tries) < 6:  # more often than a unit is tried that fails
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(*given)

    monkeypatch.setattr(outputs, "_put", full)
    job = gl.process("ndvi", products, **ONE)
    run()
    assert (job.status, len(tries)) == ("successful", 6)
    assert "the disk is full" in repr(job.log)


def test_expired_token_fails_the_job_with_whole_results_and_goes_on(products, run):
    def expired(item: pystac.Item, record: Any, request: Any) -> pystac.Item:
        raise GeodesError("The catalogue refuses the token (HTTP 403).")

    job = gl.process("ndvi", products, collection="ndvi", **ONE)
    run(publisher=expired)
    assert job.status == "failed"
    assert "could not be published: The catalogue refuses the token" in job.message
    assert len(job.results()) == 1
    done = []
    job.retry()
    run(publisher=lambda item, record, request: done.append(item.id) or item)
    assert (job.status, len(done), job.progress.done) == ("successful", 1, 1)
    # Nobody else's runner publishes in a person's name.
    job = gl.process("ndvi", products, reduce="mean", collection="ndvi", **ONE)
    run()
    assert "publishes for nobody" in job.message


def test_database_that_is_away_for_a_while(products, store, monkeypatch):
    job = gl.process("ndvi", products, **ONE)
    change, away, reached = Database.change, threading.Event(), threading.Event()

    def gone(self: Database) -> Any:
        if away.is_set():
            reached.set()
            raise DatabaseUnusable("The store of jobs cannot be used (it is away): see to the database.")
        return change(self)

    def then_away(point: str) -> None:
        if point == "unit.begun" and not reached.is_set():
            away.set()

    monkeypatch.setattr(Database, "change", gone)
    monkeypatch.setattr(faults, "on_reach", then_away)
    runner = Runner(store, Here(1), person=places.person(), lease=30.0)
    thread = threading.Thread(target=runner.run, kwargs={"idle": 0})
    thread.start()
    assert reached.wait(60)
    away.clear()
    thread.join(60)
    assert job.status == "successful"


def test_cancelled_while_a_unit_is_computed(products, store, monkeypatch):
    inside, go = threading.Event(), threading.Event()
    lazy = computing.lazy

    def slowly(*given: Any, loads: bool = False) -> Any:
        inside.set()
        assert go.wait(60)
        return lazy(*given, loads=loads)

    monkeypatch.setattr(computing, "lazy", slowly)
    job = gl.process("ndvi", products, collection="ndvi", **ONE)
    runner = Runner(store, Here(1), person=places.person(), lease=0.9, publisher=pytest.fail)
    thread = threading.Thread(target=runner.run, kwargs={"idle": 0})
    thread.start()
    assert inside.wait(60)
    job.cancel()
    thread.join(60)
    assert not thread.is_alive()
    go.set()
    assert (job.status, job.progress.dismissed, job.progress.done) == ("dismissed", 1, 0)


def test_two_runners_on_a_cluster(products, store):
    from distributed import Client, LocalCluster

    job = gl.process("ndvi", products, region=scenes.region(), period="2021", every="1MS", tile=scenes.TILE)
    with (
        LocalCluster(2, processes=False, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        both(store, client)
    assert job.status == "successful", job.failures
    results = [r for u, r in store.results(job.id, None) if not u.is_end]
    assert sum(len(r.files) for r in results) == 8


@pytest.mark.slow  # test_two_runners_on_a_cluster computes on one whose workers live
def test_worker_that_dies(products, store, tmp_path):
    from distributed import Client, LocalCluster

    dead = tmp_path / "dead"

    @gl.process.define(bands=["red"])
    def dies(cube, mark: str):
        """Kills its worker, once."""
        import os
        from pathlib import Path

        if not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), 9)
        return cube.red.max("time")

    registry.forget("dies")
    job = gl.process(dies, products, region=scenes.region(), tile=scenes.TILE, mark=str(dead))
    with LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        both(store, client)
    assert dead.exists()
    assert job.status == "successful", job.failures


def both(store, client):
    """Two runners beside each other."""
    several = [Runner(store, OnCluster(client, 2), person=places.person(), lease=30.0) for _ in range(2)]
    threads = [threading.Thread(target=one.run, kwargs={"idle": 0}) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
