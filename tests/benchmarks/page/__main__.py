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
import time
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
]
# What, its case, the goal, and the first files. GDAL takes the wavelet's samples in an overview for means, which they are not: the
# goal is beside its mean of all pixels. Errors are in standard deviations of the true means, which stage.accuracy computes.
MEANS = [
    ("JPEG 2000 at 1/16, average of a band", "16", 4.0, 20),
    ("JPEG 2000 at 1/8, average of a band", "8", 10.0, 34),
]
# What, its case in a worker process of a cluster, and the goal.
WORKERS = [("COG at 1/16", "cog-16", 1.2), ("COG, window of 10 km, 4 dates, 3 bands,", "cog-window", 1.5)]
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
    what: str, measured: ratio.Measured, goal: float | None, peer: str, limit: float | None = None, wanted: str = ""
) -> dict[str, Any]:
    """A row of the result: the medians, the ratio, its interval, and whether it is what is wanted; without a goal, beside something else."""
    low, high = measured.interval
    made = {
        "what": what, "ours": statistics.median(measured.ours), "theirs": statistics.median(measured.theirs),
        "peer": peer, "limit": limit, "ratio": measured.ratio, "low": low, "high": high, "pairs": len(measured.ours),
        "goal": wanted or (f"≥ {goal:g} ×" if goal else "none"), "met": measured.met(goal) if goal else "–",
    }  # fmt: skip
    print(table.row(made), flush=True)
    return made


def reading(only: str) -> list[dict[str, Any]]:
    """All that reads, by two sides for each latency; ``only`` rows with this text."""
    rows = []
    servers: dict[str, stage.Server] = {}
    for latency in (DATALAKE, NONE):
        os.environ["BENCH_DELAY"] = latency
        servers[latency] = stage.Server()
    sides = {(late, who): Side(who, s.port) for late, s in servers.items() for who in ("ours", "odc-stac")}
    try:
        for what, case, latency, goal, least, most, at in READING:
            if only not in what:
                continue
            pair = sides[latency, "ours"], sides[latency, "odc-stac"]
            before = [side.ask(case, at)[0] for side in pair]  # what a process does but once; see the rows of workers
            assert all(before)
            calls = [lambda n, s=side, c=case, first=at + 1: s.ask(c, first + n)[0] for side in pair]
            rows.append(row(what, ratio.in_turn(*calls, goal, least, most, LONGEST), goal, "odc-stac"))
        ours, peer = sides[DATALAKE, "ours"], sides[DATALAKE, "odc-stac"]
        for what, times, goal, at in MEANS:
            if only in what:
                rows += means(what, times, goal, at, ours, peer)
        if only:
            return rows
        band = ratio.in_turn(lambda n: ours.ask("band", n)[0], lambda n: peer.ask("band", n)[0], 0.85, 2, 3, LONGEST)
        codec = statistics.median(band.theirs)
        rows.append(row("JPEG 2000, a whole band", band, 0.85, "the codec from memory", codec, "≥ 0.85 of the limit"))
        for what, case, wanted in WORKERS:
            rows += workers(what, case, wanted, ours, peer)
        asked, _, after = (servers[DATALAKE].counts()[0], ours.ask("open", 0), servers[DATALAKE].counts()[0])
        what = f"1 000 Items with COGs opened, {after - asked} requests"
        rows.append(alone(what, lambda: ours.ask("open", 0)[0], 0.5))
    finally:
        for side in sides.values():
            side.end()
        for server in servers.values():
            server.__exit__()
    return rows


def means(what: str, times: str, goal: float, at: int, ours: Side, peer: Side) -> list[dict[str, Any]]:
    """The rows of a mean: beside a peer that gives it too, and beside the peer's own average of overviews; each with its error."""
    rows = []
    for case, said, wanted in (
        (f"zip-full{times}", "odc-stac of all pixels", goal),
        (f"zip-mean{times}", "odc-stac of overviews, no mean", None),
    ):
        # Measuring the errors is also what a process does but once.
        mine, theirs = (side.ask(f"{c}-error", at)[0] for side, c in ((ours, f"zip-mean{times}"), (peer, case)))
        measured = ratio.in_turn(
            lambda n: ours.ask(f"zip-mean{times}", at + 1 + n)[0], lambda n, c=case: peer.ask(c, at + 1 + n)[0],
            wanted or 1.0, 2, 4, LONGEST,
        )  # fmt: skip
        rows.append(row(f"{what}: {mine:.3f} σ off", measured, wanted, f"{said}: {theirs:.3f} σ off"))
    return rows


def workers(what: str, case: str, goal: float, ours: Side, peer: Side) -> list[dict[str, Any]]:
    """What a new worker process of a cluster needs, until both ratios are known well enough."""
    began, firsts = time.monotonic(), [list[list[float]](), list[list[float]]()]
    for number in range(6):
        for side, times in zip((ours, peer), firsts, strict=True):
            times.append(side.ask(f"cluster-{case}", number))
        both = [ratio.Measured(*([t[step] for t in times] for times in firsts)) for step in (0, 1)]
        enough = all(m.is_tight(goal) for m in both) or time.monotonic() - began > LONGEST
        if number >= 3 and enough:
            break
    return [
        row(f"{what} in a new worker process, the {which} time", measured, goal, "odc-stac")
        for which, measured in zip(("first", "second"), both, strict=True)
    ]


def alone(what: str, call: Callable[[], float], most: float) -> dict[str, Any]:
    """A row without a peer: at most so many seconds, by the median, measured until that is clear."""
    times = [call() for _ in range(5)]
    while (met := ratio.Measured(times, [most] * len(times)).met(1.0)) == "in doubt" and len(times) < 25:
        times.append(call())
    made = {"what": what, "ours": statistics.median(times), "theirs": None, "peer": "", "limit": None, "ratio": None}
    made |= {"low": None, "high": None, "pairs": len(times), "goal": f"≤ {most:g} s", "met": met}
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
    rows.append(alone("import geodes_lab", lambda: start.script("import geodes_lab"), 0.5))
    return rows


def result(only: str) -> dict[str, Any]:
    """Measure all, and say where and when; ``only`` reads whose row has this text."""
    load = os.getloadavg()[0]
    print(table.HEAD)
    rows = [*reading(only), *([] if only else starting())]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "cores": os.cpu_count(), "machine": platform.machine(),
        "python": platform.python_version(), "load": [load, os.getloadavg()[0]], "command": COMMAND, "rows": rows,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="measure nothing; put the last result into the documents")
    parser.add_argument("--only", default="", help="measure the reads with this text in their row, and keep nothing")
    options = parser.parse_args()
    if options.docs:
        found = json.loads(RESULT.read_text())
        KEPT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        PAGE.write_text(table.into(PAGE.read_text(), found))
        return
    for kind in ("zip", "cog"):
        stage.items(48, kind)
    found = result(options.only)
    if options.only:
        return
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(
        f"\n{sum(r['met'] == 'yes' for r in found['rows'])} of {sum(r['met'] != '–' for r in found['rows'])} goals are met."
    )


if __name__ == "__main__":
    main()
