"""What is measured: one function for each row or pair of rows."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.benchmarks.data import stage
from tests.benchmarks.tiling.bench import Bench, Way
from tests.benchmarks.tiling.product import GRID, tiles_at
from tests.benchmarks.tiling.table import Table

ZOOMS = range(8, 15)
ZIP, COG = "TiTiler on the zip ÷ ours", "ours ÷ TiTiler on a COG"


def first(bench: Bench, table: Table, zooms: Sequence[int], seed: int) -> None:
    """The first tile of a product that this process has never seen."""
    for zoom in zooms:
        bench.forget()
        with bench.ours() as way:
            way("1", 3).get(tiles_at(13, 1, 1)[0])  # the process
            table.add(f"first tile of a product, zoom {zoom}", way("1").get(tiles_at(zoom, 1, seed)[0]))


def following(bench: Bench, table: Table, number: int, seed: int) -> None:
    """Next tiles at each zoom, at random places of the first product; then those of whole products again, after a restart."""
    bench.forget()
    for name, zooms in (("next tiles", ZOOMS), ("next tiles, overview kept", (6, 7, 8, 9))):
        with bench.ours() as way:
            one = way("1")
            one.get(tiles_at(11, 1, 77)[0])
            for zoom in zooms:
                table.add(f"{name}, zoom {zoom}", *(one.get(tile) for tile in tiles_at(zoom, number, seed)))


def looks(number: int, seed: int) -> Iterator[tuple[int, int, int]]:
    """What one of several people looks at, who zooms in around a place: four tiles each time."""
    west, south, east, north = stage.WHOLE.geographic_extent.boundingbox.bbox
    drawn = random.Random(100 * seed + number)
    x, y = drawn.uniform(west + 0.2, east - 0.2), drawn.uniform(south + 0.2, north - 0.2)
    for zoom in (10, 12, 14):
        centre = GRID.tile(x, y, zoom)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            yield zoom, centre.x + dx, centre.y + dy


def around(seed: int) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """Screens of 5 by 3 tiles around a place, by zoom."""
    drawn, (west, south, east, north) = random.Random(seed), stage.WHOLE.geographic_extent.boundingbox.bbox
    x, y = drawn.uniform(west + 0.4, east - 0.4), drawn.uniform(south + 0.3, north - 0.3)
    for zoom in (11, 12, 13, 14):
        centre = GRID.tile(x, y, zoom)
        yield zoom, [(zoom, centre.x + dx, centre.y + dy) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)]


def viewers(bench: Bench, table: Table, many: int, seed: int) -> None:
    """Several people, each of whom zooms in around a place."""
    took: list[tuple[float, float]] = []
    with bench.ours() as way:

        def look(number: int) -> None:
            one = way(str(number), number % len(bench.items))
            for tile in looks(number, seed):
                took.append(one.get(tile))

        threads = [threading.Thread(target=look, args=(n,)) for n in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # CPU-seconds of one request have those of others in them: they are not told.
    table.add(f"{many} viewers at once", *((seconds, float("nan")) for seconds, _ in took))


def beside(bench: Bench, way: Callable[..., Way], table: Table, number: int, seed: int) -> None:
    """Ours and TiTiler, tile by tile in turn, of the second product."""
    names = ("ours", "TiTiler, zip", "TiTiler, COG")
    totals = np.zeros(3)
    with bench.peers() as others:
        ways = [way("1", 1), others["vsizip"], others["cog"]]
        for tile in (t for zoom in (9, 10, 11, 12, 13, 14) for t in tiles_at(zoom, number, seed)):
            measured = []
            for one in ways:
                measured.append(one.get(tile, 1))
                one.settle()
            totals += [seconds for seconds, _ in measured]
            for name, one in zip(names, measured, strict=True):
                table.add(f"beside, {name}", one)
    table.ratios.setdefault(ZIP, []).append(totals[1] / totals[0])
    table.ratios.setdefault(COG, []).append(totals[0] / totals[2])


def screens(bench: Bench, way: Callable[..., Way], table: Table, seed: int) -> None:
    """Ours and TiTiler, of the third product: what a person sees who zooms in, 5 by 3 tiles at each zoom, six at once."""
    totals, cpu = np.zeros(3), np.zeros(3)
    with bench.peers() as others:
        for _, tiles in around(seed):
            for n, (name, one) in enumerate(
                (("ours", way("1", 2)), ("TiTiler, zip", others["vsizip"]), ("TiTiler, COG", others["cog"]))
            ):
                began, before = time.perf_counter(), one._cpu()
                with ThreadPoolExecutor(6) as pool:
                    list(pool.map(lambda tile, one=one: one.get(tile, 2), tiles))
                took = time.perf_counter() - began
                totals[n] += took
                cpu[n] += one._cpu() - before
                table.add(f"a screen of {len(tiles)} tiles, {name}", (took, one._cpu() - before))
    table.ratios.setdefault(f"screens, {ZIP}", []).append(totals[1] / totals[0])
    table.ratios.setdefault(f"screens, {COG}", []).append(totals[0] / totals[2])
    table.ratios.setdefault(f"screens by CPU, {ZIP}", []).append(cpu[1] / cpu[0])
    table.ratios.setdefault(f"screens by CPU, {COG}", []).append(cpu[0] / cpu[2])
    table.zipped[seed] = cpu[1]
