"""A job beside the same by hand: 60 tiles of monthly NDVI composites on two workers; and what a small job costs.

By hand is what a notebook does: ``open_cube``, ``resample``, ``gl.save``. Both compute on the same two workers of one
thread each, in turn, each time with a new cluster, so that neither finds the other's decoded tiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from distributed import Client, LocalCluster
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here, OnCluster
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store

TILE = 512
ROWS, COLUMNS = 6 * TILE, 10 * TILE
BOX = GeoBox((ROWS, COLUMNS), Affine(10, 0, 512_000, 0, -10, 4_812_800), "EPSG:32631")
DATES = ("2021-06-05", "2021-06-20", "2021-07-05", "2021-07-20")


def product(folder: Path, date: str) -> dict[str, Any]:
    """A product of two bands: deflated GeoTIFF in blocks of 512, with noise as a landscape has it."""
    rng, assets = np.random.default_rng(int(date.replace("-", ""))), {}
    y, x = np.ogrid[:ROWS, :COLUMNS]
    ground = 3000 + 1500 * np.sin(x / 300) * np.cos(y / 200)
    for band in ("red", "nir"):
        path = folder / f"{date}-{band}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=ROWS, width=COLUMNS, dtype="uint16", crs="EPSG:32631",
            transform=BOX.affine, tiled=True, blockxsize=512, blockysize=512, nodata=0, compress="deflate", predictor=2,
        ) as file:  # fmt: skip
            file.write((ground + rng.integers(1, 60, (ROWS, COLUMNS))).astype("uint16"), 1)
        assets[band] = {
            "href": path.as_uri(), "type": "image/tiff; application=geotiff", "roles": ["data"],
            "bands": [{"name": band, "data_type": "uint16", "nodata": 0, "raster:scale": 1e-4}],
            "proj:code": "EPSG:32631", "proj:shape": [ROWS, COLUMNS], "proj:transform": list(BOX.affine)[:6],
        }  # fmt: skip
    shape = BOX.extent.to_crs("EPSG:4326")
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": f"S_{date}", "geometry": dict(shape.json),
        "bbox": list(shape.boundingbox.bbox), "links": [], "assets": assets,
        "properties": {"datetime": f"{date}T10:50:31Z", "proj:code": "EPSG:32631"},
    }  # fmt: skip


def cores(client: Client) -> tuple[float, float]:
    """CPU-seconds so far: of this process, which has scheduler and runner, and of the workers."""
    return time.process_time(), sum(client.run(time.process_time).values())


def by_hand(items: list[dict[str, Any]], client: Client, folder: Path) -> tuple[float, xr.Dataset]:
    began = time.perf_counter()
    cube = gl.open_cube(items, bands=["red", "nir"])
    month = ((cube.nir - cube.red) / (cube.nir + cube.red)).resample(time="1MS").median()
    made = gl.save(month.rename("ndvi"), folder / "by-hand.zarr", overwrite=True)
    return time.perf_counter() - began, made


def by_job(items: list[dict[str, Any]], client: Client, store: Store) -> tuple[float, xr.Dataset]:
    began = time.perf_counter()
    region = dict(BOX.extent.buffer(-400).to_crs("EPSG:4326").json)
    draft = gl.process.prepare("ndvi", items, region=region, period="2021-06/2021-07", every="1MS", tile=TILE)
    job = draft.start(store=store)
    assert job.progress.total == 120, job
    Runner(store, OnCluster(client), person=places.person()).run(idle=0)
    took = time.perf_counter() - began
    assert job.status == "successful", job.failures
    return took, job.cube()


def overhead(store: Store, folder: Path) -> float:
    """Seconds from ``gl.process`` to the end of a job whose unit does nothing, with a runner that is alive."""
    import threading

    @gl.process.define(gives="items")
    def nothing(items):
        """Nothing."""
        return []

    runner = Runner(store, Here(1), person=places.person())
    thread = threading.Thread(target=runner.run)
    thread.start()
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "x",
        "geometry": None,
        "links": [],
        "assets": {},
        "properties": {"datetime": "2021-06-05T00:00:00Z"},
    }
    times = []
    for number in range(8):
        began = time.perf_counter()
        job = gl.process.prepare(nothing, [item | {"id": f"x{number}"}]).start(store=store)
        while job.status not in ("successful", "failed"):
            time.sleep(0.01)
        times.append(time.perf_counter() - began)
        assert job.status == "successful", job.failures
    runner.stop()
    thread.join()
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "build") as place:
        folder = Path(place)
        dask.config.set({"geodes_lab.jobs.results": str(folder / "jobs"), "geodes_lab.jobs.runner": "none"})
        items = [product(folder, date) for date in DATES]
        times: dict[str, list[float]] = {"by hand": [], "job": []}
        cpu: dict[str, list[tuple[float, float]]] = {"by hand": [], "job": []}
        for number in range(rounds):
            for who in sorted(times, reverse=bool(number % 2)):
                store = Store(tables.opened(folder / f"{number}.sqlite"))
                with (
                    LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
                    Client(cluster) as client,
                ):
                    client.run(lambda: __import__("geodes_lab").open_cube)  # both find what is imported
                    client.run(lambda: __import__("geodes_lab.batch.running.computing"))
                    before = cores(client)
                    took, made = by_job(items, client, store) if who == "job" else by_hand(items, client, folder)
                    times[who].append(took)
                    here, there = (round(b - a, 1) for a, b in zip(before, cores(client), strict=True))
                    cpu[who].append((here, there))
                    print(f"{who}: {took:.1f} s, CPU {here} s here and {there} s in the workers", flush=True)
                    if who == "job":
                        job = made.ndvi
                    else:
                        hand = made.ndvi
            difference = float(abs(job.values - hand.transpose("time", "y", "x").values).max())
            assert difference < 1e-6, difference
        small = overhead(Store(tables.opened(folder / "small.sqlite")), folder)
    middle = {who: statistics.median(several) for who, several in times.items()}
    # Where other programs use the cores too, this is what can be compared.
    cores_of = {who: statistics.median(map(sum, several)) for who, several in cpu.items()}
    figures = {"seconds": times, "ratio": round(middle["by hand"] / middle["job"], 2), "overhead": round(small, 3)}
    print(json.dumps(figures | {"CPU": cpu, "ratio of CPU": round(cores_of["by hand"] / cores_of["job"], 2)}))


if __name__ == "__main__":
    main()
