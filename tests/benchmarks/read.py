"""From a zipped JPEG 2000 on S3 to numbers: ours beside odc-stac and stackstac on GDAL, and the limit, in one run.

Full-size bands (10980², ESA's coding, no TLM) in stored zips behind an S3 server with 20 ms added to each request. All
use two threads. The peers get band Items (they can read no other) and GDAL's best settings for them, below.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import imagecodecs
import numpy as np
import odc.stac
import pystac
import rasterio
import shapely
import shapely.geometry
import stackstac
from affine import Affine
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab import tiles
from geodes_lab.datalake import place_of
from geodes_lab.products import bands
from geodes_lab.sample import sentinel2, truth
from geodes_lab.source import Source

TOP = Path(__file__).resolve().parents[2]
SIDE = 10_980
BANDS = ("B02", "B04", "B08")
WEST, NORTH = sentinel2.TILES["31TCJ"]
KEY, SECRET = "bench", "bench-secret"
THREADS = 2

# As the projects advise for COG and zip on S3: no listing, merged and cached ranges, large chunks of the cache.
GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MULTIRANGE": "YES",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "VSI_CACHE": "TRUE",
    "CPL_VSIL_CURL_CHUNK_SIZE": "131072",
    "CPL_VSIL_CURL_CACHE_SIZE": str(256 * 2**20),
    "AWS_VIRTUAL_HOSTING": "FALSE",
    "AWS_HTTPS": "NO",
    "GDAL_NUM_THREADS": "1",
}


def make(folder: Path, dates: int) -> list[pystac.Item]:
    """Write one full-size product, link it for each date, and describe its bands."""
    original = folder / "original.zip"
    if not original.exists():
        print("encoding a full-size band …", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        piece = sentinel2.scenes()[0].numbers(3)
        block = np.block([[piece, piece[:, ::-1]], [piece[::-1], piece[::-1, ::-1]]])
        times = -(-SIDE // block.shape[0])
        noise = np.random.default_rng(truth.SEED).integers(0, 40, (SIDE, SIDE), "uint16")
        image = sentinel2.jpeg2000((np.tile(block, (times, times))[:SIDE, :SIDE] + noise)[None], (WEST, NORTH), 10, 15)
        with zipfile.ZipFile(original, "w", zipfile.ZIP_STORED) as archive:
            for band in BANDS:
                archive.writestr(f"P.SAFE/IMG_DATA/P_{band}.jp2", image)
    with zipfile.ZipFile(original) as archive:
        places = {i.filename[-7:-4]: (i.filename, (i.header_offset, i.file_size)) for i in archive.infolist()}
    items = []
    around = GeoBox((SIDE, SIDE), Affine(10, 0, WEST, 0, -10, NORTH), "EPSG:32631").geographic_extent.boundingbox.bbox
    for number in range(dates):
        name = f"P{number:03d}.zip"
        path = folder / "datalake" / "bench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(original, path)
        when = datetime(2021, 1, 1, 10, 50, tzinfo=UTC) + timedelta(days=5 * number)
        item = pystac.Item(f"P{number:03d}", shapely.geometry.mapping(shapely.box(*around)), list(around), when, {})
        item.properties |= {"grid:code": f"MGRS-{number}", "product:type": "S2MSI1C", "identifier": item.id}
        for band, (member, stored) in places.items():
            source = Source(
                f"/vsizip/{{/vsis3/bench/{name}}}/{member}", item.id, band, truth.EPSG, (10, 0, WEST, 0, -10, NORTH),
                (SIDE, SIDE), scale=1e-4, nodata=0, stored=stored,
            )  # fmt: skip
            item.add_asset(
                band, bands.asset(source, common_name=None, wavelength=None, title=band, media_type="image/jp2")
            )
        items.append(item)
    return items


class Server:
    """The slow S3 server, and what it has counted."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [
            sys.executable,
            str(Path(__file__).with_name("slow_s3.py")),
            str(folder / "datalake"),
            str(self.port),
        ]
        self.process = subprocess.Popen(
            command, env={**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
        )
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)

    def counts(self) -> tuple[int, int]:
        """Requests and bytes served so far."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/counts").read()
        requests, size = map(int, text.split())
        return requests, size


def ours(items: list[pystac.Item], **grid: Any) -> Any:
    """Our cube."""
    return gl.open_cube(items, bands=list(BANDS), **grid).to_dataarray().data


def odc_stac(items: list[pystac.Item], box: tuple[float, float, float, float], resolution: float) -> Any:
    """Their cube, numbers as they are in the files."""
    x, y = (box[0], box[2]), (box[1], box[3])
    options = {"crs": "EPSG:32631", "resolution": resolution, "x": x, "y": y, "chunks": {"x": 1024, "y": 1024}}
    return odc.stac.load(items, bands=list(BANDS), **options).to_dataarray().data


def their_stackstac(items: list[pystac.Item], box: tuple[float, float, float, float], resolution: float) -> Any:
    """Their cube, with the old spellings that their own `stack` needs."""
    plain = [i.to_dict() for i in items]
    env = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL | {"AWS_S3_ENDPOINT": os.environ["AWS_S3_ENDPOINT"]})
    options = {"epsg": 32631, "resolution": resolution, "bounds": box, "gdal_env": env, "chunksize": 1024}
    return stackstac.stack(plain, assets=list(BANDS), **options, rescale=False, dtype="float64").data


def clock(server: Server, name: str, build: Callable[[], Any]) -> tuple[float, int, float]:
    """Seconds, requests and megabytes of building and computing."""
    before = server.counts()
    began = time.perf_counter()
    with rasterio.Env(**GDAL), dask.config.set(scheduler="threads", num_workers=THREADS):
        build().sum().compute()
    took = time.perf_counter() - began
    after = server.counts()
    row = took, after[0] - before[0], (after[1] - before[1]) / 1e6
    print(f"| {name} | {row[0]:.2f} | {row[1]} | {row[2]:.1f} |", flush=True)
    return row


def forget(folder: Path | None = None) -> None:
    """Begin as a new process would; with the index too if its folder is given."""
    tiles.shared.cache_clear()
    tiles.index_of.cache_clear()
    if folder:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dates", type=int, default=20)
    options = parser.parse_args()
    folder = TOP / "build" / "bench"
    items = make(folder, options.dates)
    server = Server(folder)
    endpoint = f"127.0.0.1:{server.port}"
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_S3_ENDPOINT": endpoint, **{k: v for k, v in GDAL.items() if k.startswith("AWS")}}
    index = folder / "cache"
    settings = {"datalake.endpoint": f"http://{endpoint}", "datalake.mirror": None, "cache.folder": str(index)}
    dask.config.set({f"geodes_lab.{k}": v for k, v in settings.items()})
    try:
        print(f"{THREADS} threads, {len(BANDS)} bands, {options.dates} dates, Python {sys.version.split()[0]}\n")
        print("| | s | requests | MB |\n|---|---|---|---|")
        box = (WEST + 45_000.0, NORTH - 55_000.0, WEST + 55_000.0, NORTH - 45_000.0)  # 10 km, across tiles
        compare(server, items, box, index)
        full(server, items, index)
    finally:
        server.process.terminate()
        server.process.wait(10)


def compare(server: Server, items: list[pystac.Item], box: tuple[float, float, float, float], index: Path) -> None:
    """A window of 10 km on all dates, cold and warm; a whole tile from overviews, one date."""
    window = GeoBox.from_bbox(box, "EPSG:32631", resolution=10)
    forget(index)
    cold = clock(server, "window 10 km, ours, cold index", lambda: ours(items, geobox=window))
    forget()
    warm = clock(server, "window 10 km, ours, warm index", lambda: ours(items, geobox=window))
    touched = tiles.shared().decoded
    peer = clock(server, "window 10 km, odc-stac", lambda: odc_stac(items, box, 10))
    other = clock(server, "window 10 km, stackstac", lambda: their_stackstac(items, box, 10))
    best = min(peer[0], other[0])
    print(
        f"\nwindow: {best / warm[0]:.1f} × the best peer warm, {best / cold[0]:.1f} × cold; {warm[1]} requests for {touched} tiles\n"
    )
    whole = (WEST, NORTH - 10.0 * SIDE, WEST + 10.0 * SIDE, float(NORTH))
    print("| | s | requests | MB |\n|---|---|---|---|")
    for level in (4, 3):
        size = 10 * 2**level
        grid = GeoBox.from_bbox(
            (whole[0], NORTH - size * -(-SIDE * 10 // size), WEST + size * -(-SIDE * 10 // size), whole[3]),
            "EPSG:32631",
            resolution=size,
        )
        forget()
        mine = clock(server, f"whole tile at 1/{2**level}, ours", lambda grid=grid: ours(items[:1], geobox=grid))
        theirs = clock(
            server, f"whole tile at 1/{2**level}, odc-stac", lambda size=size: odc_stac(items[:1], whole, size)
        )
        print(f"\n1/{2**level}: {theirs[0] / mine[0]:.1f} × odc-stac\n")


def full(server: Server, items: list[pystac.Item], index: Path) -> None:
    """A whole band at full resolution, beside the codec decoding the same tiles from memory with as many threads."""
    source = bands.source(items[0], "B04")
    place = place_of(source.href.removeprefix("/vsizip/{").partition("}/")[0])
    known = tiles.index_of(place, source.stored, 0)
    count = known.header.grid[0] * known.header.grid[1]
    streams = [known.header.alone(n, data, 0) for n, data in enumerate(place.read_many(known.parts(range(count))))]
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda s: imagecodecs.jpeg2k_decode(s, numthreads=1), streams))
    limit = time.perf_counter() - began
    forget()
    print("| | s | requests | MB |\n|---|---|---|---|")
    print(f"| whole band, the codec from memory | {limit:.2f} | 0 | 0 |")
    mine = clock(server, "whole band, ours", lambda: gl.open_cube(items[:1], bands=["B04"]).B04.data)
    print(
        f"\nwhole band: {limit / mine[0]:.2f} of the decode limit, {tiles.shared().decoded} tiles decoded of {count}\n"
    )


if __name__ == "__main__":
    main()
