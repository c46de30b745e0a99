"""Masks of a season from S3: files of a megabyte or two with many small tiles, whose neighbours come by one request.

``python -m tests.benchmarks.masks`` reads the classes of twenty dates of a whole tile (5490², tiles of 640², as ESA codes
them), for the first time and again, each tile by a request of its own and neighbours together, in turn and three times,
each in a process of its own, from a server with 20 ms added to each request.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio

from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.storage import neighbours
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from tests.benchmarks.data import stage

SIDE, TILE, DATES = 5490, 640, 20
HREF = "s3://bench/masks/{}.jp2"


def write(folder: Path) -> None:
    """Write the file of one date, and the others as links to it."""
    first = folder / "0.jp2"
    if not first.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 12, (SIDE // 30, SIDE // 30)).astype("uint8")
        fine = rng.random((SIDE, SIDE)) < 0.01  # single pixels of another class, as real masks have
        classes = np.where(fine, 7, np.kron(coarse, np.ones((30, 30), "uint8"))).astype("uint8")
        profile = {"driver": "JP2OpenJPEG", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint8", "tiled": True}
        coding = {"QUALITY": "100", "REVERSIBLE": "YES", "RESOLUTIONS": "6", "BLOCKXSIZE": TILE, "BLOCKYSIZE": TILE}
        with rasterio.open(first, "w", **profile, **coding) as file:
            file.write(classes, 1)
    for number in range(1, DATES):
        stage._link(first, folder / f"{number}.jp2")


def read(level: int) -> tuple[float, int, float]:
    """Read all dates; give seconds, requests and MB."""
    tile_cache.forget()
    before, size, began = traffic.requests, traffic.bytes, time.perf_counter()
    side = -(-SIDE // 2**level)
    for number in range(DATES):
        image.Jpeg2000(Index(locate(HREF.format(number)))).read(level, (0, side), (0, side))
    return time.perf_counter() - began, traffic.requests - before, (traffic.bytes - size) / 1e6


def case(how: str) -> None:
    """Measure one side and print its rows."""
    stage.use_server()
    if how == "apart":
        neighbours.Rates.gap = property(lambda self: -1)  # type: ignore[assignment, method-assign]
    rows = [("first", read(3)), ("again, 1/8", read(3)), ("again, all pixels", read(0))]
    print("; ".join(f"{what}|{s:.3f}|{n}|{mb:.1f}" for what, (s, n, mb) in rows))


def main() -> None:
    if len(sys.argv) > 1:
        case(sys.argv[1])
        return
    write(stage.FOLDER / "datalake" / "bench" / "masks")
    told: dict[tuple[str, str], list[list[float]]] = {}
    with stage.Server():
        for _ in range(3):
            for how in ("apart", "together"):
                line = subprocess.check_output([sys.executable, "-m", "tests.benchmarks.masks", how], text=True)
                for row in line.strip().split("; "):
                    what, *numbers = row.split("|")
                    told.setdefault((what, how), []).append([float(n) for n in numbers])
    print("| | each by its own request: s, requests, MB | neighbours together | |\n|---|---|---|---|")
    for what in dict.fromkeys(what for what, _ in told):
        apart, together = (
            [statistics.median(n) for n in zip(*told[what, how], strict=True)] for how in ("apart", "together")
        )
        cells = [f"{s:.2f} s, {n:.0f}, {mb:.1f} MB" for s, n, mb in (apart, together)]
        print(f"| {what} | {' | '.join(cells)} | {apart[0] / together[0]:.2f} × |")


if __name__ == "__main__":
    main()
