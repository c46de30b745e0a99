"""The catalogue's service with many clients at once, beside stac-fastapi-pgstac, each in one process and with the same Items.

``python -m tests.benchmarks.services.catalogue --items 300000``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from geodes_lab.catalog.harvested.snapshot import Snapshot
from tests.benchmarks.catalogue import FOLDER, TOP, body, searches
from tests.benchmarks.data import synthetic
from tests.benchmarks.peers import pgstac

CLIENTS = 32


async def clients(url: str, seconds: float) -> tuple[int, int, np.ndarray]:
    """Ask with many clients at once; gives the answers, the errors and the times."""
    lines, times, errors, end = [body(a) for a in searches(2)], [], [0], time.perf_counter() + seconds

    async def one(number: int) -> None:
        rng = random.Random(number)
        async with httpx.AsyncClient(timeout=60) as client:
            while time.perf_counter() < end:
                begin = time.perf_counter()
                try:
                    answer = await client.post(
                        url, content=rng.choice(lines), headers={"Content-Type": "application/json"}
                    )
                    answer.raise_for_status().json()
                except httpx.HTTPError:
                    errors[0] += 1
                times.append((time.perf_counter() - begin) * 1e3)

    await asyncio.gather(*(one(n) for n in range(CLIENTS)))
    return len(times), errors[0], np.array(times)


def burnt(others: Path | None = None) -> float:
    """CPU seconds of the servers so far: all that this process started, and a database whose folder is given."""
    servers = psutil.Process().children(recursive=True)
    if others is not None:
        main = psutil.Process(int((others / "postmaster.pid").read_text().split()[0]))
        servers += [main, *main.children(recursive=True)]
    times = 0.0
    for server in servers:
        with contextlib.suppress(psutil.NoSuchProcess):
            times += sum(server.cpu_times()[:4])  # its own, and those of children that have ended
    return times


def load(name: str, url: str, seconds: float, database: Path | None = None) -> tuple[float, float]:
    """Print what many clients meet; gives the answers a second, and CPU milliseconds of each."""
    for _ in range(200):  # until it answers
        try:
            httpx.post(
                url, content=body(searches()[0]), headers={"Content-Type": "application/json"}, timeout=60
            ).raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    else:
        raise RuntimeError(f"{name} does not answer at {url}")
    asyncio.run(clients(url, seconds / 4))  # warm
    before = burnt(database)
    number, errors, times = asyncio.run(clients(url, seconds))
    cost = (burnt(database) - before) * 1e3 / number
    middle, high = np.percentile(times, [50, 99])
    print(
        f"  {name:42} {number / seconds:7.1f} a second   p50 {middle:6.0f} ms   p99 {high:6.0f} ms   {errors} errors   "
        f"{cost:.1f} CPU-ms each",
        flush=True,
    )
    return number / seconds, cost


def serving(items: int, seconds: float) -> None:
    """Print what many clients get from our service and from pgstac's, each alone, in turn and twice."""
    print(f"The service: {CLIENTS} clients at once for {seconds:.0f} s, {items:,} Items", flush=True)
    snapshot = synthetic.write(FOLDER / str(items), items)
    if pgstac.reason():
        print(f"  {pgstac.reason()}", flush=True)
        with service(snapshot) as url:
            load("geodes_lab", url, seconds)
        return
    with pgstac.database(snapshot) as database:
        rates: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
        for turn in ("ours", "theirs", "theirs", "ours"):
            if turn == "ours":
                with service(snapshot) as url:
                    rates[turn].append(load("geodes_lab", url, seconds))
            else:
                with pgstac.api(database) as url:
                    rates[turn].append(load("stac-fastapi-pgstac", f"{url}/search", seconds, Path(database["PGDATA"])))
        (ours, our_cost), (theirs, their_cost) = (np.mean(rates[k], axis=0) for k in ("ours", "theirs"))
        print(
            f"  requests per second, ours / theirs: {ours / theirs:.2f}; CPU time of each, theirs / ours: "
            f"{their_cost / our_cost:.2f}",
            flush=True,
        )


def several(items: int, seconds: float, rounds: int) -> None:
    """Print what many clients get from our service as one process and as two, each alone, in turn."""
    print(f"One process and two: {CLIENTS} clients at once for {seconds:.0f} s, {items:,} Items", flush=True)
    snapshot = synthetic.write(FOLDER / str(items), items)
    ratios = []
    for turn in range(rounds):
        rates = {}
        for processes in (1, 2) if turn % 2 == 0 else (2, 1):
            with service(snapshot, processes) as url:
                rates[processes], _ = load(f"geodes_lab, processes: {processes}", url, seconds)
        ratios.append(rates[2] / rates[1])
    print(f"  two / one: {', '.join(f'{r:.2f}' for r in ratios)}; median {np.median(ratios):.2f}", flush=True)


@contextmanager
def service(snapshot: Snapshot, processes: int = 1) -> Iterator[str]:
    """Our service, in one process as theirs; gives the address of its search."""
    number = pgstac.port()
    lab = FOLDER / f"processes-{processes}.yaml"
    lab.write_text(f"catalogue: {{processes: {processes}}}\n")
    command = [
        sys.executable,
        "-m",
        "hub.services.catalogue",
        str(snapshot.folder),
        str(FOLDER / "results"),
        "--public",
    ]
    environment = {"PYTHONPATH": str(TOP), "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{number}"}
    environment["GEODES_LAB_SETTINGS"] = str(lab)
    with subprocess.Popen(command, env=environment) as server:
        yield f"http://127.0.0.1:{number}/stac/search"
        server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", action="store_true", help="one process beside two, without pgstac")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    if options.processes:
        several(options.items, options.seconds, options.rounds)
        return
    serving(options.items, options.seconds)


if __name__ == "__main__":
    main()
