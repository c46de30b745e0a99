"""Tiles of a full Sentinel-2 tile: ours from the zip in place, beside TiTiler on the same zip, and on a COG of the same pixels.

All over HTTP, with 20 ms of latency of S3, each request by a client that waits for it, on two cores that the clients, the
services and the S3 server share. Ours has the lab's whole way: a token, the catalogue, the broker, the tiler. Indexes of
products are warm (on disk), everything else is cold at the first tile. No tile is asked for twice. CPU-seconds are those of
the process that draws: where others work on the same cores, they tell more than seconds.

All is measured in rounds, in turn. A row has the median and the 95th percentile of all rounds, its goal, and whether it is
met. The first run on a machine makes the full product, which takes some minutes more.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks.data import stage
from tests.benchmarks.tiling.bench import Bench
from tests.benchmarks.tiling.codec import alone
from tests.benchmarks.tiling.measurements import COG, ZIP, beside, first, following, screens, viewers
from tests.benchmarks.tiling.product import tiles_at
from tests.benchmarks.tiling.table import Table

GOALS = {"first tile": 1.5, "next tiles": 0.3, "8 viewers": 0.3}
WANTED = {ZIP: ("≥", 10.0), COG: ("≤", 1.5)}
WANTED |= {f"screens, {name}": limit for name, limit in WANTED.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="all is measured so often, in turn")
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--tiles", type=int, default=6, help="at each zoom, of each round")
    parser.add_argument("--only", nargs="*", default=["first", "next", "viewers", "peers", "screens", "codec"])
    options = parser.parse_args()
    table = Table()
    with stage.Server() as server, tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), server, 4)
        with bench.ours() as way:
            for number in range(4):  # the index of each product, on disk
                for tile in tiles_at(8, 6, 1):
                    way("1", number).get(tile)
        began = time.perf_counter()
        for turn in range(options.rounds):
            if "first" in options.only:
                first(bench, table, (8, 10, 12, 14), 5 + turn)
            if "next" in options.only:
                following(bench, table, options.tiles, 30 + turn)
            if {"peers", "screens"} & set(options.only):
                bench.forget()
                with bench.ours() as way:
                    if "peers" in options.only:
                        beside(bench, way, table, 1, 11 + turn)
                    if "screens" in options.only:
                        screens(bench, way, table, 50 + turn)
            if "viewers" in options.only:
                viewers(bench, table, options.viewers, turn)
            if "codec" in options.only:
                alone(bench, table, options.viewers, turn)
        table.show(GOALS, WANTED)
        print(f"\nMeasured in {time.perf_counter() - began:.0f} s, with a load of {os.getloadavg()[0]:.1f} at the end.")


if __name__ == "__main__":
    main()
