"""One page: what people wait for, ours beside the best peer or the bare thing, in one run of at most ten minutes.

``make bench`` prints it and leaves ``build/bench/page.json``; ``make bench-docs`` puts that into the documents.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import start
from tests.benchmarks.data import stage
from tests.benchmarks.page import ratio, table
from tests.support.paths import TOP

RESULT = TOP / "build" / "bench" / "page.json"
KEPT = Path(__file__).with_name("page.json")
PAGE = TOP / "docs" / "reference" / "benchmarks.md"
COMMAND = ".venv/bin/python -m tests.benchmarks.page"
NONE, DATALAKE = "0", "20"  # milliseconds of latency

# What, its case in tests.benchmarks.page.side, latency, the goal, the least and the most pairs, and the first files: those of
# windows have been read before.
READING = [
    ("COG, window of 10 km, 4 dates, 3 bands", "cog-window", DATALAKE, 1.5, 4, 6, 0),
    ("COG, the same without latency", "cog-window", NONE, 1.2, 4, 6, 0),
    ("COG at 1/16, one date", "cog-16", DATALAKE, 1.2, 5, 18, 28),
    ("COG at 1/16, without latency", "cog-16", NONE, 1.2, 5, 18, 28),
    ("JPEG 2000 in zips, window of 10 km, 4 dates", "zip-window", DATALAKE, 5.0, 2, 4, 0),
    ("JPEG 2000 at 1/16, nearest", "zip-16", DATALAKE, 4.0, 5, 12, 20),
    ("JPEG 2000 at 1/8, nearest", "zip-8", DATALAKE, 10.0, 2, 4, 34),
    ("JPEG 2000 at 1/16, average, the mean right", "zip-mean16", DATALAKE, 4.0, 2, 4, 20),
    ("JPEG 2000 at 1/8, average, the mean right", "zip-mean8", DATALAKE, 10.0, 2, 2, 34),
]
LONGEST = 30.0  # seconds of a row after which no pair is begun


class Side:
    """A process that measures; see `tests.benchmarks.page.side`."""

    def __init__(self, who: str, port: int) -> None:
        env = os.environ | {"AWS_S3_ENDPOINT": f"127.0.0.1:{port}"}
        command = [sys.executable, "-m", "tests.benchmarks.page.side", who]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == ["ready"]

    def _line(self) -> list[str]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line, "a side of the benchmark has ended"
        return line

    def ask(self, case: str, number: int) -> list[float]:
        """Measure a case; give its seconds."""
        assert self.process.stdin is not None
        print(case, number, file=self.process.stdin, flush=True)
        return [float(t) for t in self._line()]

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def row(
    what: str, measured: ratio.Measured, goal: float, peer: str, limit: float | None = None, wanted: str = ""
) -> dict[str, Any]:
    """A row of the result: the medians, the ratio, its interval, and whether it is what is wanted."""
    low, high = measured.interval
    made = {
        "what": what, "ours": statistics.median(measured.ours), "theirs": statistics.median(measured.theirs),
        "peer": peer, "limit": limit, "ratio": measured.ratio, "low": low, "high": high, "pairs": len(measured.ours),
        "goal": wanted or f"≥ {goal:g} ×", "met": measured.met(goal),
    }  # fmt: skip
    print(table.row(made), flush=True)
    return made


def reading() -> list[dict[str, Any]]:
    """All that reads, by two sides for each latency."""
    rows = []
    servers: dict[str, stage.Server] = {}
    for latency in (DATALAKE, NONE):
        os.environ["BENCH_DELAY"] = latency
        servers[latency] = stage.Server()
    sides = {(late, who): Side(who, s.port) for late, s in servers.items() for who in ("ours", "odc-stac")}
    try:
        for what, case, latency, goal, least, most, at in READING:
            pair = sides[latency, "ours"], sides[latency, "odc-stac"]
            before = [side.ask(case, at)[0] for side in pair]  # what a process does but once; see the rows of workers
            assert all(before)
            calls = [lambda n, s=side, c=case, first=at + 1: s.ask(c, first + n)[0] for side in pair]
            rows.append(row(what, ratio.in_turn(*calls, goal, least, most, LONGEST), goal, "odc-stac"))
        ours, peer = sides[DATALAKE, "ours"], sides[DATALAKE, "odc-stac"]
        band = ratio.in_turn(lambda n: ours.ask("band", n)[0], lambda n: peer.ask("band", n)[0], 0.85, 2, 3, LONGEST)
        codec = statistics.median(band.theirs)
        rows.append(row("JPEG 2000, a whole band", band, 0.85, "the codec from memory", codec, "≥ 0.85 of the limit"))
        firsts: dict[str, list[list[float]]] = {"ours": [], "odc-stac": []}
        for number in range(3):
            for who in firsts:
                firsts[who].append(sides[DATALAKE, who].ask("cluster", number))
        for step, which in ((0, "first"), (1, "second")):
            measured = ratio.Measured(*([t[step] for t in firsts[who]] for who in ("ours", "odc-stac")))
            rows.append(row(f"COG at 1/16 in a new worker process, the {which} time", measured, 1.2, "odc-stac"))
        before_, times = servers[DATALAKE].counts(), [ours.ask("open", 0)[0] for _ in range(5)]
        asked = servers[DATALAKE].counts()[0] - before_[0]
        rows.append(alone(f"1 000 Items with COGs opened, {asked} requests", times, 0.5))
    finally:
        for side in sides.values():
            side.end()
        for server in servers.values():
            server.__exit__()
    return rows


def alone(what: str, times: list[float], most: float) -> dict[str, Any]:
    """A row without a peer: at most so many seconds."""
    made = {"what": what, "ours": statistics.median(times), "theirs": None, "peer": "", "limit": None, "ratio": None}
    made |= {"low": None, "high": None, "pairs": len(times), "goal": f"≤ {most:g} s"}
    made["met"] = "yes" if max(times) <= most else "in doubt" if min(times) <= most else "no"
    print(table.row(made), flush=True)
    return made


def starting() -> list[dict[str, Any]]:
    """What people wait for first; the bare thing must be at least so much of ours."""
    beside: list[tuple[str, Callable[[bool], float], str, float]] = [
        ("kernel to the first result", lambda ours: start.kernel("geodes" if ours else "python3"), "ipykernel", 1.5),
        ("gl.attach()", start.cluster, "LocalCluster(security=True)", 1.5),
    ]
    rows = []
    for what, call, bare, most in beside:
        measured = ratio.in_turn(
            lambda _, c=call: c(True), lambda _, c=call: c(False), 1 / most, 3, 5, LONGEST
        )  # fmt: skip
        rows.append(row(what, measured, 1 / most, bare, None, f"≤ {most:g} × the time"))
    imports = [start.script("import geodes_lab") for _ in range(5)]
    rows.append(alone("import geodes_lab", imports, 0.5))
    return rows


def result() -> dict[str, Any]:
    """Measure all, and say where and when."""
    load = os.getloadavg()[0]
    print(table.HEAD)
    rows = [*reading(), *starting()]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count(), "machine": platform.machine(),
        "python": platform.python_version(), "load": [load, os.getloadavg()[0]], "command": COMMAND, "rows": rows,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="measure nothing; put the last result into the documents")
    if parser.parse_args().docs:
        found = json.loads(RESULT.read_text())
        KEPT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(table.into(PAGE.read_text(), found))
        return
    for kind in ("zip", "cog"):
        stage.items(48, kind)
    found = result()
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{sum(r['met'] == 'yes' for r in found['rows'])} of {len(found['rows'])} goals are met.")


if __name__ == "__main__":
    main()
