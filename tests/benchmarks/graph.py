"""The graph of a cube of many dates, beside stackstac and odc-stac, and how it grows.

What a client does (open, build, optimise, pickle) and what the scheduler does with what it was sent, as distributed does
both: unpickle, expand to tasks, fuse.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import subprocess
import sys
import time
from typing import Any

import cloudpickle
from dask._expr import FinalizeCompute
from dask.base import collections_to_expr
from odc.geo.geobox import GeoBox

from tests.benchmarks.data import stage

DATES = (100, 300, 1000, 3000)
GRID = GeoBox.from_bbox(stage.WHOLE.boundingbox, "EPSG:32631", resolution=10)
BAND = "B04"
MANY = "ours*16"
"""Chunks of sixteen dates."""


def make(who: str, items: list[Any]) -> Any:
    """One band of the whole tile, 121 chunks a date."""
    import odc.stac
    import stackstac

    import geodes_lab as gl

    if who.startswith("ours"):
        chunks = {"y": 1024, "x": 1024, "time": int(who.partition("*")[2] or 1)}
        return gl.open_cube(items, bands=[BAND], geobox=GRID, chunks=chunks)[BAND].data
    if who == "odc-stac":
        return odc.stac.load(items, bands=[BAND], geobox=GRID, chunks={"x": 1024, "y": 1024}, groupby="id")[BAND].data
    plain = [i.to_dict() for i in items]
    for item in plain:
        item["assets"][BAND]["href"] = item["assets"][BAND]["href"].replace("{", "").replace("}", "")
    return stackstac.stack(plain, assets=[BAND], epsg=32631, resolution=10, chunksize=1024, rescale=False).data


def child(who: str, dates: int) -> None:
    items = stage.described(dates)
    make(who, items[:2])  # imports and first uses
    began = time.perf_counter()
    array = make(who, items)
    opened = time.perf_counter()
    data = cloudpickle.dumps(FinalizeCompute(collections_to_expr([array])).optimize())
    sent = time.perf_counter()
    tasks = len(pickle.loads(data).__dask_graph__())
    took, most = time.perf_counter() - sent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(opened - began, sent - opened, took, len(data), tasks, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        child(options.case[0], int(options.case[1]))
        return
    print(
        "| | dates | open, s | build, optimise, pickle, s | MB sent | unpickle, expand, fuse, s | tasks | MiB of the process |"
    )
    print("|---|---|---|---|---|---|---|---|")
    client: dict[tuple[str, int], float] = {}
    both: dict[tuple[str, int], float] = {}
    for who in ("ours", MANY, "stackstac", "odc-stac"):
        for dates in DATES if who == "ours" else (1000, 10_000) if who == MANY else (1000,):
            command = [sys.executable, "-m", __spec__.name, "--case", who, str(dates)]
            opened, sent, expanded, size, tasks, most = map(
                float, subprocess.check_output(command, text=True).split()[-6:]
            )
            client[who, dates], both[who, dates] = opened + sent, opened + sent + expanded
            print(
                f"| {who} | {dates} | {opened:.2f} | {sent:.2f} | {size / 1e6:.2f} | {expanded:.2f} | {tasks:.0f} | {most:.0f} |",
                flush=True,
            )
    print()
    for peer in ("stackstac", "odc-stac"):
        print(
            f"1000 dates: {both['ours', 1000] / both[peer, 1000]:.2f} × {peer} until the tasks are there, "
            f"{client['ours', 1000] / client[peer, 1000]:.2f} × until they are sent"
        )
    for what, found in (("client", client), ("client and scheduler", both)):
        print(f"milliseconds a date, {what}: " + ", ".join(f"{1e3 * found['ours', n] / n:.2f} at {n}" for n in DATES))


if __name__ == "__main__":
    main()
