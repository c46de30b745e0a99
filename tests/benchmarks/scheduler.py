"""A scheduler with all tasks of a large cube run: 10 000 dates of a whole tile, whose reads give zeros at once.

``python -m tests.benchmarks.scheduler`` starts a scheduler of Dask and two workers, each a process of its own, sends the
graph of a cube with sixteen dates a chunk (121 chunks a date), and waits until every chunk has been asked for and their
sum is there. Only the reading is left out: what the scheduler holds and does for each task is real. It prints its CPU
time for each task and the most memory that it had. ``--dates`` and ``--each`` ask for others.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import psutil
from dask._expr import FinalizeCompute
from dask.base import collections_to_expr
from distributed import Client

from tests.benchmarks import graph
from tests.benchmarks.data import stage

# What a worker imports before it starts: a read gives zeros of the right shape, which take no memory.
ZEROS = """
import numpy
from geodes_lab.cube import mosaic

def read(self, time, y, x):
    return numpy.broadcast_to(numpy.float32(0), (len(self.dates(time)), *self.window(y, x).shape)), None

mosaic.Mosaic.read = read
"""


def corner(block):  # type: ignore[no-untyped-def]
    """Return one number of a chunk, so that nothing large is computed."""
    return block[:1, :1, :1] + 1


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[psutil.Process, str]]:
    """Start a scheduler and its workers; give the scheduler's process and the file that tells its address."""
    told, zeros = folder / "scheduler.json", folder / "zeros.py"
    zeros.write_text(ZEROS)
    near = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = [["scheduler", *near, "--port", "0", "--scheduler-file", str(told)]]
    each = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--preload", str(zeros)]
    commands += [["worker", *near, *each, "--scheduler-file", str(told)]] * workers
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen([sys.executable, "-m", "dask", *command], stderr=subprocess.DEVNULL))
        yield psutil.Process(started[0].pid), str(told)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def most(process: psutil.Process) -> float:
    """Return the most memory that a process has had, in MB (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found, "the benchmark needs Linux"
    return int(found[1]) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=16, help="dates of a chunk")
    options = parser.parse_args()
    numbers = graph.make(f"ours*{options.each}", stage.described(options.dates))
    ones = numbers.map_blocks(corner, chunks=tuple((1,) * len(c) for c in numbers.chunks), dtype="float32").sum()
    tasks = len(FinalizeCompute(collections_to_expr([ones])).optimize().__dask_graph__())
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Path(folder), 2) as (process, told),
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        Client(scheduler_file=told) as client,
    ):
        client.wait_for_workers(2)
        first, held, began = process.cpu_times(), process.memory_info().rss / 1e6, time.perf_counter()
        found = float(ones.compute())
        took, last = time.perf_counter() - began, process.cpu_times()
        total = numbers.npartitions
        assert found == total, "every chunk was read once"
        work = last.user + last.system - first.user - first.system
        print("| dates | chunks read | tasks | s | scheduler's CPU, ms a task | its memory before, MB | the most, MB |")
        print("|---|---|---|---|---|---|---|")
        cells = [f"{options.dates} by {options.each}", total, tasks, f"{took:.0f}", f"{1e3 * work / tasks:.2f}"]
        print(f"| {' | '.join(map(str, cells))} | {held:.0f} | {most(process):.0f} |")


if __name__ == "__main__":
    main()
