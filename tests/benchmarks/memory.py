"""Does a worker keep to its plan? The median over many dates of a Sentinel-2 tile, in two workers of 2 GiB.

Zipped JPEG 2000 on a slow S3 server. The peak of a worker is the kernel's own count of its resident memory (VmHWM); what
it was made of is looked at every 50 ms. With 60 dates of the whole tile this decodes 7 GPixel: ``--side`` takes a corner.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

import dask
from dask.utils import format_bytes
from distributed import Client, LocalCluster, SchedulerPlugin, WorkerPlugin

WORKERS, MEMORY = 2, "2GiB"
EVERY = 0.05  # seconds


class Watch(WorkerPlugin):
    """Looks at the memory of its worker, from a thread, and remembers the moment when it was largest."""

    name = "watch"

    def setup(self, worker: Any) -> None:
        self.worker = worker
        self.largest = (0, 0, 0)
        self.done = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def teardown(self, worker: Any) -> None:
        self.done.set()

    def _now(self) -> tuple[int, int, int]:
        """Resident; of it dask's data; and our tiles."""
        from geodes_lab.formats import tile_cache

        resident = self.worker.monitor.proc.memory_info().rss
        # Made by the first task: a thread of no worker's would make it as large as elsewhere.
        held = tile_cache.shared()._held if tile_cache._shared.cache_info().currsize else 0
        return resident, int(self.worker.data.fast.total_weight), held

    def _look(self) -> None:
        while not self.done.wait(EVERY):
            self.largest = max(self.largest, self._now())


class Count(SchedulerPlugin):
    """Counts the workers that come once all are there: those that the nanny had to start anew."""

    came = 0

    def add_worker(self, *_: Any, **__: Any) -> None:
        self.came += 1


def found(dask_worker: Any) -> tuple[int, ...]:
    """Of a worker: its peak; dask's data and our tiles at that time; bytes spilled; tiles decoded."""
    from geodes_lab.formats import tile_cache

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, (_, data, kept) = int(status["VmHWM"].split()[0]) * 1024, dask_worker.plugins["watch"].largest
    spilled = dask_worker.data.cumulative_metrics["disk-write", "bytes"]
    return peak, data, kept, int(spilled), tile_cache.shared().decoded


def main() -> None:
    import geodes_lab as gl
    from tests.benchmarks.data import stage

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--side", type=int, default=stage.SIDE, help="pixels of the corner of the tile")
    options = parser.parse_args()
    items = stage.items(options.dates)
    staff = {"n_workers": WORKERS, "threads_per_worker": 1, "memory_limit": MEMORY, "processes": True}
    count = Count()
    with (
        stage.Server(),
        # Where a lab's worker writes; the settings that the server made go to the workers with the configuration.
        dask.config.set({"temporary-directory": str(stage.FOLDER / "spilled")}),
        LocalCluster(**staff, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(Watch())
        cluster.scheduler.add_plugin(count)
        cube = gl.open_cube(items, bands=["B04"], geobox=stage.WHOLE[: options.side, : options.side])
        result = cube.B04.median("time").mean()  # a number comes back, not half a gigabyte
        plan = gl.plan(result)
        print(
            f"{options.dates} dates of {options.side}² pixels, chunks of {cube.B04.data.chunksize}, CPUs: {os.cpu_count()}\n"
        )
        began = time.perf_counter()
        result.compute()
        took = time.perf_counter() - began
        seen = list(client.run(found).values())
        restarts = count.came
    print("| worker | peak | of it dask's data | of it our tiles | spilled | tiles decoded |")
    print("|---|---|---|---|---|---|")
    for number, (*sizes, decoded) in enumerate(seen):
        print(f"| {number} | {' | '.join(map(format_bytes, sizes))} | {decoded} |")
    peak, spilled, decoded = max(s[0] for s in seen), sum(s[3] for s in seen), sum(s[4] for s in seen)
    print(f"\npeak: {peak / plan.memory:.2f} × the plan ({format_bytes(peak)} of {format_bytes(plan.memory)})")
    print(f"spilled to disk: {format_bytes(spilled)}; restarts: {restarts}")
    print(f"tiles: {decoded / plan.tiles:.2f} × the plan ({plan.tiles})")
    print(f"time: {took / plan.seconds:.2f} × the plan ({took:.0f} s of {plan.seconds:.0f} s)")


if __name__ == "__main__":
    main()
