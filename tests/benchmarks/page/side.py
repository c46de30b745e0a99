"""One side of a comparison: a process that stays, and measures one case at a time as the page asks.

It reads ``case number`` from its input and answers with seconds. Each number means files that this process has not read.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dask
import imagecodecs
import odc.stac
import pystac
import rasterio
from distributed import Client, LocalCluster

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.formats import tile_cache
from tests.benchmarks import read
from tests.benchmarks.data import stage

DATES = 48
GRIDS = {
    "window": (stage.window, "nearest"),
    "16": (lambda: stage.coarse(16), "nearest"),
    "8": (lambda: stage.coarse(8), "nearest"),
    "mean16": (lambda: stage.coarse(16), "average"),
    "mean8": (lambda: stage.coarse(8), "average"),
    "full16": (lambda: stage.coarse(16), "average"),
    "full8": (lambda: stage.coarse(8), "average"),
}


def told(count: int) -> list[pystac.Item]:
    """Items of another catalogue that tell grid and numbers of their COGs; the files need not be there."""
    grid = {
        "proj:code": "EPSG:32631",
        "proj:shape": [stage.SIDE] * 2,
        "proj:transform": [10, 0, 300_000, 0, -10, 4_900_020],
    }
    band = {"data_type": "uint16", "nodata": 0, "scale": 1e-4, "offset": -0.1}
    corners = [[0.5, 43.2], [1.8, 43.2], [1.8, 44.2], [0.5, 44.2], [0.5, 43.2]]
    made = []
    for number in range(count):
        when = datetime(2001, 1, 1, 10, 50, tzinfo=UTC) + timedelta(days=5 * number)
        asset = {
            "href": f"s3://bench/I{number}/red.tif", "type": "image/tiff; application=geotiff", "roles": ["data"],
            "eo:bands": [{"name": "red", "common_name": "red"}], "raster:bands": [band], **grid,
        }  # fmt: skip
        made.append(pystac.Item.from_dict({
            "type": "Feature", "stac_version": "1.0.0", "id": f"I{number}", "links": [], "collection": "C",
            "geometry": {"type": "Polygon", "coordinates": [corners]}, "bbox": [0.5, 43.2, 1.8, 44.2],
            "properties": {"datetime": when.isoformat(), "platform": "x"}, "assets": {"red": asset},
        }))  # fmt: skip
    return made


def opened(who: str, count: int) -> Callable[[], Any]:
    """What opens a thousand such Items, without a pixel."""
    items = told(count)
    if who == "ours":
        return lambda: gl.open_cube(items, bands=["red"])
    return lambda: odc.stac.load(items, bands=["red"], chunks={"x": 1024, "y": 1024}, crs="EPSG:32631", resolution=10)


def made(who: str, case: str, number: int) -> Callable[[], Any]:
    """What computes a case, opening included; what comes before it is not measured."""
    if case == "open":
        return opened(who, 1000)
    if case == "band":
        items, threads = stage.items(DATES)[number : number + 1], []
        if who != "ours":
            image, wanted = read.part(items[0])
            data = [f.result() for f in image.index.place.fetch(image.index.parts([n for n, _ in wanted]))]
            threads = [image.index.header.alone(n, d, 0) for (n, _), d in zip(wanted, data, strict=True)]
            return lambda: read.decoded(threads)
        return lambda: gl.open_cube(items, bands=["B04"]).B04.data.map_blocks(lambda block: block[:1, :1, :1]).compute()
    kind, _, what = case.rpartition("-")
    per = 4 if what == "window" else 1
    some = stage.items(DATES, kind)[number * per :][:per]
    if who == "ours" and kind == "zip":
        for item in some:  # the index of a product is there since it was first opened, perhaps years ago
            for band in stage.BANDS:
                image, wanted = read.part(item, band)
                image.index.parts([n for n, _ in wanted])
    grid, how = GRIDS[what][0](), GRIDS[what][1]
    if how == "average":  # all bands are alike, and a mean of all pixels takes the peer long
        if what.startswith("full"):
            return lambda: stage.of_all_pixels(some, grid).compute()
        return lambda: stage.cube(who, some, grid, how, stage.BANDS[:1]).compute()
    return lambda: stage.cube(who, some, grid, how).compute()


def in_cluster(who: str, case: str, number: int) -> tuple[float, float]:
    """Seconds of the first and of the second computation of a case in a worker process, each of other products."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=stage.THREADS, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.submit(abs, -1).result()
        times = []
        for step in (0, 1):
            begin = made(who, case, number * 2 + step)
            began = time.perf_counter()
            begin()
            times.append(time.perf_counter() - began)
    return times[0], times[1]


def main() -> None:
    who = sys.argv[1]
    stage.use_server()
    os.environ |= stage.GDAL  # for workers, which inherit it
    imagecodecs.jpeg2k_version()
    list(products.families().values())
    _ = gl.open_cube
    with rasterio.Env(**stage.GDAL), dask.config.set(num_workers=stage.THREADS):
        print("ready", flush=True)
        for line in sys.stdin:
            case, number = line.split()
            if case.startswith("cluster-"):
                print(*in_cluster(who, case.removeprefix("cluster-"), int(number)), flush=True)
                continue
            call = made(who, case.removesuffix("-error"), int(number))
            began = time.perf_counter()
            with dask.config.set(scheduler="threads"):
                found = call()
            took = time.perf_counter() - began
            if case.endswith("-error"):
                print(
                    stage.accuracy(
                        found.isel(time=0).values[0], int(re.sub(r"\D", "", case.rpartition("-")[0].rpartition("-")[2]))
                    )[0],
                    flush=True,
                )
            else:
                print(took, flush=True)
            del found
            tile_cache.forget()


if __name__ == "__main__":
    main()
