"""The graph of a cube of many dates: open, build, optimise and pickle, beside stackstac and odc-stac, and how it grows."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import time
from typing import Any

import dask
import stage
from odc.geo.geobox import GeoBox

DATES = (100, 300, 1000, 3000)
GRID = GeoBox.from_bbox(stage.WHOLE.boundingbox, "EPSG:32631", resolution=10)
BAND = "B04"


def make(who: str, items: list[Any]) -> Any:
    """One band of the whole tile, 121 chunks a date."""
    import odc.stac
    import stackstac

    import geodes_lab as gl

    if who == "ours":
        return gl.open_cube(items, bands=[BAND], geobox=GRID, chunks=1024)[BAND].data
    if who == "odc-stac":
        return odc.stac.load(items, bands=[BAND], geobox=GRID, chunks={"x": 1024, "y": 1024}, groupby="id")[BAND].data
    plain = [i.to_dict() for i in items]
    for item in plain:
        item["assets"][BAND]["href"] = item["assets"][BAND]["href"].replace("{", "").replace("}", "")
    return stackstac.stack(plain, assets=[BAND], epsg=32631, resolution=10, chunksize=1024, rescale=False).data


def child(who: str, dates: int) -> None:
    items = stage.described(dates)
    make(who, items[:2])  # imports and first uses
    dask.config.set(scheduler="sync")
    began = time.perf_counter()
    array = make(who, items)
    opened = time.perf_counter() - began
    (optimized,) = dask.optimize(array)
    graph = optimized.__dask_graph__()
    size = len(pickle.dumps(graph))
    sent = time.perf_counter() - began
    began = time.perf_counter()
    tasks = len(dict(graph))
    print(opened, sent, size, time.perf_counter() - began, tasks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        child(options.case[0], int(options.case[1]))
        return
    print("| | dates | open, s | open, build, optimise, pickle, s | pickled, MB | expand to tasks, s | tasks |")
    print("|---|---|---|---|---|---|---|")
    found: dict[tuple[str, int], float] = {}
    for who in ("ours", "stackstac", "odc-stac"):
        for dates in DATES if who == "ours" else (1000,):
            command = [sys.executable, __file__, "--case", who, str(dates)]
            text = subprocess.check_output(
                command, text=True, stderr=subprocess.DEVNULL if os.environ.get("Q") else None
            )
            opened, sent, size, expand, tasks = map(float, text.split()[-5:])
            found[who, dates] = sent
            print(
                f"| {who} | {dates} | {opened:.2f} | {sent:.2f} | {size / 1e6:.2f} | {expand:.2f} | {tasks:.0f} |",
                flush=True,
            )
    print(f"\n1000 dates: {found['ours', 1000] / found['stackstac', 1000]:.2f} × stackstac, ", end="")
    print(f"{found['ours', 1000] / found['odc-stac', 1000]:.3f} × odc-stac")
    print("milliseconds a date: " + ", ".join(f"{1e3 * found['ours', n] / n:.2f} at {n}" for n in DATES))


if __name__ == "__main__":
    main()
