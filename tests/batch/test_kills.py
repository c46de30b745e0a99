"""Runners that die at any moment, and databases too: the job ends with the same bytes, and little is computed twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.running.outputs import CUBE
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.tables import units
from geodes_lab.batch.store.writing import Store
from geodes_lab.util import faults
from tests.support.batch import scenes
from tests.support.dying import KILLED
from tests.support.paths import TOP
from tests.support.servers.postgresql import serving

SLOTS = 2
JUNE = {"region": scenes.region(), "period": "2021-06", "tile": scenes.TILE}


@contextlib.contextmanager
def runners(lease: float = 30.0, address: dict[str, Any] | None = None) -> Iterator[Callable[..., int]]:
    """Gives a function that runs a runner until it dies at a point, or is killed after some seconds; its result is the exit code."""
    names = ("jobs.store", "jobs.results", "jobs.runner", "cache.folder")
    settings = {f"geodes_lab.{n}": dask.config.get(f"geodes_lab.{n}") for n in names}
    given = json.dumps({"dask": settings, "lease": lease, "address": address})
    command = [sys.executable, "-m", "tests.support.batch.runner_that_dies", given]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:

        def run(point: str = "none", number: int = 1, seconds: float | None = None) -> int:
            parent.stdin.write(f"{point} {number}\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            if seconds is not None and not select.select([parent.stdout], [], [], seconds)[0]:
                os.kill(child, signal.SIGKILL)
            return int(parent.stdout.readline())

        yield run
        parent.stdin.close()
        assert parent.wait(60) == 0


def end_leases(store: Store) -> None:
    """The dead runner's leases end: by the clock of the rows, not by waiting."""
    with store.database.change() as c:
        c.execute(sa.update(units).values(until=sa.case((units.c.until > 0, 1.0), else_=0.0)))


def content(job: Any) -> dict[str, str]:
    """The checksum of each file of a cube."""
    cube = places.folder_of(job.record.folder) / CUBE
    files = sorted(p for p in cube.rglob("*") if p.is_file())
    return {p.relative_to(cube).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def computed(store: Store, job: Any) -> int:
    with store.database.change() as c:
        return int(c.execute(sa.select(sa.func.sum(units.c.computed)).where(units.c.job == job.id)).scalar())


def alone(products: list[dict[str, Any]], how: dict[str, Any]) -> dict[str, str]:
    """The same job, left alone, of a store of its own."""
    job = gl.process.prepare("ndvi", products, **how).start(store=Store(tables.opened(Path.home() / "alone.sqlite")))
    Runner(job._store, Here(2), person=places.person()).run(idle=0)
    assert job.status == "successful", job.failures
    return content(job)


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.slow)])  # a second and a half for each point
def test_killed_at_each_point(products, store, step):
    expected = alone(products, JUNE)
    job = gl.process("ndvi", products, **JUNE)
    deaths = [(point, 1) for point in faults.JOBS if point != "end.published"][::step]
    with runners() as run:
        for death in deaths:
            assert run(*death) == KILLED, death
            end_leases(store)
            assert job.status in ("accepted", "running")
            for name, sum_ in content(job).items():  # whatever can be seen is whole
                assert name.endswith(".partial") or sum_ == expected[name], name
        assert run() == 0
    assert job.status == "successful"
    assert content(job) == expected
    assert 4 <= computed(store, job) <= 4 + SLOTS * len(deaths)


@pytest.mark.slow  # test_killed_at_each_point tries a sample
@pytest.mark.timeout(1800)
def test_two_hundred_units_with_fifty_deaths_of_runners_and_database(tmp_path):
    """60 % of the deaths are the runner's, the others are the database's, while a runner works."""
    dates = [str(d.date()) for d in gl_dates(50)]
    products = scenes.items(tmp_path, dates)
    how = {"region": scenes.region(), "period": f"{dates[0]}/{dates[-1]}", "every": "1D", "tile": scenes.TILE}
    expected, numbers = alone(products, how), random.Random(7)
    with serving() as server:
        place = server.place
        address = {
            "drivername": "postgresql+psycopg2", "username": place["user"], "host": place["host"], "port": place["port"],
            "database": place["database"],
        }  # fmt: skip
        store = Store(tables.opened(URL.create(**address)))
        job = gl.process.prepare("ndvi", products, **how).start(store=store)
        assert job.progress.total == 200
        deaths = 0
        with runners(5.0, address) as run:
            while deaths < 50 and job.status not in ("successful", "failed"):
                if numbers.random() < 0.6:
                    deaths += run(seconds=numbers.uniform(0.2, 1.5)) == -signal.SIGKILL
                else:
                    deaths += 1
                    run_while(run, lambda: (time.sleep(numbers.uniform(0, 0.5)), server.die(), server.start()), numbers)
                end_leases(store)
            assert run() == 0
        assert job.status == "successful", job.failures
        assert content(job) == expected
        twice = computed(store, job) - 200
        print(f"{deaths} deaths, {twice} units computed twice")
        assert twice <= SLOTS * deaths


def run_while(run: Callable[..., int], what: Callable[[], Any], numbers: random.Random) -> None:
    import threading

    beside = threading.Thread(target=what)
    beside.start()
    run(seconds=numbers.uniform(0.5, 1.5))
    beside.join()


def gl_dates(many: int) -> Any:
    import pandas as pd

    return pd.date_range("2021-01-01", periods=many, freq="D")
