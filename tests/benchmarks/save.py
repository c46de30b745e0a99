"""gl.save, and reading what it saved, beside plain zarr-python: the same numbers, shards, chunks, codec and threads.

The cube is in memory, in chunks of 1024 pixels as a cube of products has them, so that only the writing is timed. Each
measurement is a process of its own, in turn; the files come from the page cache and go to it, for both. Wall and CPU
seconds: where others work on the same cores, the second tells more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr

import geodes_lab as gl

THREADS = 2
CHUNKS, SHARDS = (1, 512, 512), (1, 2048, 2048)  # those of gl.save
# By shards: opened in chunks of whole shards, rather than in what xarray takes by itself.
WHO = {"write": ["ours", "raw"], "read": ["ours", "bare open_zarr", "raw"]}


def numbers(dates: int, side: int) -> np.ndarray:
    """Reflectance as a satellite has it: a smooth landscape with noise, in steps of 1e-4."""
    rng = np.random.default_rng(5)
    y, x = np.ogrid[:side, :side]
    ground = 3000 + 1500 * np.sin(x / 300) * np.cos(y / 200) + 400 * np.sin(x / 17 + y / 23)
    made = np.empty((dates, side, side), "float32")
    for date in made:
        date[:] = (ground + rng.integers(0, 40, (side, side))).astype("uint16") * np.float32(1e-4)
    return made


def places(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """The window of each shard."""
    starts = product(*(range(0, size, shard) for size, shard in zip(shape, SHARDS, strict=True)))
    return [tuple(slice(a, a + n) for a, n in zip(start, SHARDS, strict=True)) for start in starts]


def measure(who: str, what: str, path: Path, dates: int, side: int) -> tuple[float, float]:
    """Wall and CPU seconds of one writing or reading, after a small one."""
    values = numbers(dates, side)
    with tempfile.TemporaryDirectory() as folder:  # imports and first uses
        once(who, "write", Path(folder) / "x.zarr", values[:1, :2048, :2048])
        once(who, "read", Path(folder) / "x.zarr", values[:1, :2048, :2048])
    return once(who, what, path, values)


class Held:
    """The numbers in memory, which dask is not to look into."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def same(block: np.ndarray, values: Held, block_info: Any = None) -> np.ndarray:
    """Whether a block is what was written."""
    place = tuple(slice(*span) for span in block_info[0]["array-location"])
    return np.array([[[np.array_equal(block, values.values[place])]]])


def once(who: str, what: str, path: Path, values: np.ndarray) -> tuple[float, float]:
    """Wall and CPU seconds of one writing, or reading: block by block, each held against what was written."""
    began = time.perf_counter(), time.process_time()
    with dask.config.set(scheduler="threads", num_workers=THREADS), ThreadPoolExecutor(THREADS) as pool:
        if who != "raw" and what == "write":
            lazy = da.from_array(values, chunks=(1, 1024, 1024), name=False)
            gl.save(xr.DataArray(lazy, dims=("time", "y", "x"), name="ndvi"), path)
        elif who != "raw":
            # As gl.save opens what it wrote; or as a bare open_zarr does.
            chunks = {"y": SHARDS[1], "x": SHARDS[2]} if who == "ours" else "auto"
            stored = xr.open_zarr(path, consolidated=False, chunks=chunks).ndvi.data
            checked = stored.map_blocks(same, values=Held(values), name="checked", dtype=bool, chunks=(1, 1, 1))
            assert checked.all().compute()
        elif what == "write":
            array: Any = zarr.open_group(path, mode="w", zarr_format=3).create_array(
                "ndvi", shape=values.shape, dtype="float32", chunks=CHUNKS, shards=SHARDS, fill_value=np.nan
            )
            list(pool.map(lambda place: array.__setitem__(place, values[place]), places(values.shape)))
        else:
            array = zarr.open_group(path, mode="r")["ndvi"]
            assert all(pool.map(lambda place: np.array_equal(array[place], values[place]), places(values.shape)))
    return time.perf_counter() - began[0], time.process_time() - began[1]


def layout(path: Path) -> Any:
    """How an array is stored, as its own metadata say it."""
    known = json.loads((path / "ndvi" / "zarr.json").read_text())
    return {k: known[k] for k in ("shape", "data_type", "chunk_grid", "codecs")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=4)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to write; what was written is deleted")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        who, what, path = options.case
        print(*measure(who, what, Path(path), options.dates, options.side))
        return
    size = options.dates * options.side**2 * 4
    print(
        f"{options.dates} × {options.side}² float32 ({size / 1e9:.2f} GB), {THREADS} threads, zarr {zarr.__version__}\n"
    )
    print("| | s, by round | median, MB/s | CPU s, median |\n|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = {who: Path(folder) / ("raw.zarr" if who == "raw" else "ours.zarr") for who in WHO["read"]}
        for what, everyone in WHO.items():
            took: dict[str, list[tuple[float, float]]] = {who: [] for who in everyone}
            for number in range(options.rounds):
                for who in everyone[:: -1 if number % 2 else 1]:
                    if what == "write":
                        shutil.rmtree(paths[who], ignore_errors=True)
                    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--case", who, what, str(paths[who])]
                    wall, cpu = map(float, subprocess.check_output(command, text=True).split()[-2:])
                    took[who].append((wall, cpu))
            middle = {who: [statistics.median(t) for t in zip(*all_, strict=True)] for who, all_ in took.items()}
            for who, (wall, cpu) in middle.items():
                rounds = " ".join(f"{t[0]:.2f}" for t in took[who])
                print(f"| {who} {what} | {rounds} | {size / wall / 1e6:.0f} | {cpu:.2f} |", flush=True)
                if who != "raw":
                    wall, cpu = (a / b for a, b in zip(middle["raw"], (wall, cpu), strict=True))
                    ratios.append(f"{who} {what}: {wall:.2f} × the rate of plain zarr; by CPU {cpu:.2f} ×")
            if what == "write":
                assert layout(paths["ours"]) == layout(paths["raw"]), "not the same layout"
    print("\n" + "\n".join(ratios))


if __name__ == "__main__":
    main()
