"""What a coarse cube costs in CPU-seconds, requests and bytes, and how near a mean is: for a machine that others use too."""

from __future__ import annotations

import argparse
import os
import time

import dask
import rasterio

from geodes_lab.formats import tile_cache
from tests.benchmarks import read
from tests.benchmarks.data import stage

CASES = (("average", 8, 1), ("average", 16, 1), ("nearest", 8, 3), ("nearest", 16, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("BENCH_DELAY", "20")
    print("| | s | CPU-s | requests | MB | error, σ | metres aside |\n|---|---|---|---|---|---|---|")
    items = stage.items(1 + len(CASES) * rounds)
    with (
        stage.Server() as server,
        rasterio.Env(**stage.GDAL),
        dask.config.set(scheduler="threads", num_workers=stage.THREADS),
    ):
        stage.ours(items[:1], stage.coarse(16), "average", stage.BANDS[:1]).compute()  # what a process does but once
        for number, item in enumerate(items[1:]):
            how, times, bands = CASES[number % len(CASES)]
            for band in stage.BANDS[:bands]:
                image, wanted = read.part(item, band)
                image.index.parts([n for n, _ in wanted])
            before, cpu, began = server.counts(), time.process_time(), time.perf_counter()
            found = stage.ours([item], stage.coarse(times), how, stage.BANDS[:bands]).compute()
            took, used, after = time.perf_counter() - began, time.process_time() - cpu, server.counts()
            off, aside = stage.accuracy(found[0, 0].values, times)
            print(f"| 1/{times}, {how}, {bands} | {took:.2f} | {used:.2f} | {after[0] - before[0]} | "
                  f"{(after[1] - before[1]) / 1e6:.1f} | {off:.5f} | {aside:.0f} |", flush=True)  # fmt: skip
            tile_cache.forget()


if __name__ == "__main__":
    main()
