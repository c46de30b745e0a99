"""The yardstick year (73 dates to monthly medians) on 4, 8 and 16 workers: **a simulation**, from rates of its own run.

Measured here: the codec and the transfer of a date's tiles, one after the other in one thread, and the median of a
month. Assumed: one thread a worker on a core of its own, latency as given, one link to the server that all share, and
0.17 ms of the scheduler for each task, one after the other (measured, see the benchmarks' page). Not in it: stragglers,
workers that steal, spilling, the network between workers.
"""

from __future__ import annotations

import heapq
import os
import statistics
import time

import numpy as np

from tests.benchmarks import read
from tests.benchmarks.data import stage

DATES, MONTHS, SAMPLES = 73, 12, 3
SCHEDULER = 0.17e-3  # CPU-seconds a task
LATENCY = 0.020
WORKERS = (1, 2, 4, 8, 16)
LINKS = (None, 125e6, 1.25e9)  # bytes a second: as measured here, one and ten gigabit


def measured() -> tuple[float, float, float, int, float]:
    """CPU-seconds of the codec for a tile, bytes a second, seconds of a month's median for a tile, tiles of a date, bytes of one."""
    codec, rates, tiles = list[float](), list[float](), 0
    with stage.Server():
        for item in stage.items(SAMPLES):
            tiles = 0
            for band in stage.BANDS:
                image, wanted = read.part(item, band, stage.window())
                parts = image.index.parts([n for n, _ in wanted])
                began = time.perf_counter()
                data = [f.result() for f in image.index.place.fetch(parts)]
                rates.append(sum(map(len, data)) / max(time.perf_counter() - began - LATENCY, 1e-3))
                for (number, area), some in zip(wanted, data, strict=True):
                    began = time.thread_time()
                    read.openjpeg.decode(image.index.header.alone(number, some, 0), area)
                    codec.append(time.thread_time() - began)
                tiles += len(wanted)
            size = sum(length for _, length in parts) / len(parts)
    month = np.random.default_rng(1).random((DATES // MONTHS, 512, 512), np.float32)
    began = time.thread_time()
    np.nanmedian(month, axis=0)
    return statistics.median(codec), statistics.median(rates), time.thread_time() - began, tiles, size


def simulated(workers: int, codec: float, rate: float, median: float, tiles: int, size: float) -> float:
    """Seconds until the last median is there: each tile of a date is a task, each tile of a month another."""
    free, link, scheduler = [0.0] * workers, 0.0, 0.0
    months: dict[tuple[int, int], float] = {}
    for date in range(DATES):
        for tile in range(tiles):
            scheduler += SCHEDULER
            begins = max(heapq.heappop(free), scheduler)
            link = max(link, begins + LATENCY) + size / rate
            ends = link + codec
            heapq.heappush(free, ends)
            key = date * MONTHS // DATES, tile
            months[key] = max(months.get(key, 0.0), ends)
    for ready in sorted(months.values()):
        begins = max(heapq.heappop(free), ready)
        heapq.heappush(free, begins + median)
    return max(free)


def main() -> None:
    os.environ["BENCH_DELAY"] = str(round(LATENCY * 1000))
    codec, rate, median, tiles, size = measured()
    print(__doc__)
    print(f"codec {codec * 1e3:.0f} ms a tile, {size / 1e6:.2f} MB a tile, link {rate / 1e6:.0f} MB/s, median of a "
          f"month {median * 1e3:.0f} ms, {tiles} tiles a date, load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print("| workers | " + " | ".join(f"{(link or rate) / 1e6:.0f} MB/s" for link in LINKS) + " |")
    print("|---" * (len(LINKS) + 1) + "|")
    for workers in WORKERS:
        times = [simulated(workers, codec, link or rate, median, tiles, size) for link in LINKS]
        print(f"| {workers} | " + " | ".join(f"{t:.1f} s" for t in times) + " |")


if __name__ == "__main__":
    main()
