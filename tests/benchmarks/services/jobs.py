"""A status of the service of jobs while 1 000 jobs of 20 people wait, beside a bare FastAPI answer; who is next of them.

``python -m tests.benchmarks.services.jobs``: milliseconds at the median and the 99th percentile, of 10 clients at once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from fastapi import FastAPI

from geodes_lab.batch.request import Request, Unit
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.leases import Leases
from geodes_lab.batch.store.records import New
from geodes_lab.batch.store.writing import Store
from geodes_lab.policy.lab import Lab
from hub.services.jobs.app import made
from hub.services.person import Hub, Person
from tests.support.servers.served import served

PEOPLE, EACH, ASKED, CLIENTS = 20, 50, 1000, 10


class Known(Hub):
    """Each token is a name."""

    def who(self, token: str, session: str = "") -> Person:
        return Person(token)


def filled(store: Store) -> list[tuple[str, str]]:
    """Write the jobs, ten units each; person and id of each."""
    request = Request({}, [], "items")
    written = []
    for person in (f"p{n:02d}" for n in range(PEOPLE)):
        for job in range(EACH):
            units = [(Unit(f"u{n}", [], file=f"u{n}"), f"{person}-{job}-{n}") for n in range(10)]
            written.append((person, store.add(New(person, "ndvi", "1", "", request, units))))
    return written


def measured(paths: list[tuple[str, str]]) -> tuple[float, float]:
    """Ask for each address; milliseconds at the median and the 99th percentile."""

    def several(mine: list[tuple[str, str]]) -> list[float]:
        times = []
        with httpx.Client() as client:
            for person, url in mine:
                began = time.perf_counter()
                client.get(url, headers={"Authorization": f"token {person}"}).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)
        return times

    with ThreadPoolExecutor(CLIENTS) as pool:
        every = [t for part in pool.map(several, [paths[n::CLIENTS] for n in range(CLIENTS)]) for t in part]
    return float(np.median(every)), float(np.percentile(every, 99))


def main() -> None:
    os.environ["JUPYTERHUB_SERVICE_PREFIX"] = "/services/jobs/"
    bare = FastAPI()

    @bare.get("/status")
    def status() -> dict[str, str]:
        return {"status": "accepted"}

    with tempfile.TemporaryDirectory() as folder:
        store = Store(tables.opened(Path(folder) / "jobs.sqlite"))
        written = (filled(store) * (ASKED // (PEOPLE * EACH) + 1))[:ASKED]
        with served(made(Lab(), store, Known())) as at, served(bare) as plain:
            ours = measured([(p, f"{at}/services/jobs/ogc/jobs/{n}") for p, n in written])
            theirs = measured([(p, f"{plain}/status") for p, _ in written])
        leases = Leases(store.database, None, (), 60)
        order = [task.person for _ in range(2 * PEOPLE) if (task := leases.take()) is not None]
    print(
        f"status          median {ours[0]:6.1f} ms   p99 {ours[1]:6.1f} ms   ({PEOPLE * EACH} jobs of {PEOPLE} people)"
    )
    print(f"bare FastAPI    median {theirs[0]:6.1f} ms   p99 {theirs[1]:6.1f} ms")
    print(f"of the first {len(order)} units each person has {sorted(set(Counter(order).values()))}")


if __name__ == "__main__":
    main()
