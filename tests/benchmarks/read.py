"""From a zipped JPEG 2000 on S3 to numbers: ours beside odc-stac and stackstac on GDAL, and the limit, in one run.

Full-size bands (10980², ESA's coding, no TLM) in stored zips behind an S3 server with 20 ms added to each request. All
use two threads. The peers get band Items (they can read no other) and GDAL's best settings for them, below.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
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
    for item in plain:
        for asset in item["assets"].values():  # its timer cannot print a brace; GDAL opens .zip without them
            asset["href"] = asset["href"].replace("{", "").replace("}", "")
    env = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL | {"AWS_S3_ENDPOINT": os.environ["AWS_S3_ENDPOINT"]})
    options = {"epsg": 32631, "resolution": resolution, "bounds": box, "gdal_env": env, "chunksize": 1024}
    return stackstac.stack(plain, assets=list(BANDS), **options, rescale=False, dtype="float64").data


def window() -> tuple[float, float, float, float]:
    """10 km, across four tiles."""
    return (WEST + 45_000.0, NORTH - 55_000.0, WEST + 55_000.0, NORTH - 45_000.0)


def whole(size: float) -> tuple[float, float, float, float]:
    """The tile, in pixels of a size."""
    side = size * -(-SIDE * 10 // size)
    return (WEST, NORTH - side, WEST + side, float(NORTH))


def case(name: str, items: list[pystac.Item]) -> Any:
    """One measured thing, lazy."""
    who, what = name.split()
    box, size, some = (window(), 10.0, items) if what == "window" else (whole(float(what)), float(what), items[:1])
    if what == "10":
        return gl.open_cube(some, bands=["B04"]).B04.data
    if who == "ours":
        return ours(some, geobox=GeoBox.from_bbox(box, "EPSG:32631", resolution=size))
    return {"odc-stac": odc_stac, "stackstac": their_stackstac}[who](some, box, size)


def child(name: str, items: list[pystac.Item]) -> None:
    """Compute one case in this fresh process, everything imported, nothing cached; print its seconds."""
    imagecodecs.jpeg2k_version()
    began = time.perf_counter()
    with rasterio.Env(**GDAL), dask.config.set(scheduler="threads", num_workers=THREADS):
        case(name, items).sum().compute()
    print(time.perf_counter() - began, tiles.shared().decoded)


def clock(server: Server, name: str, dates: int, label: str = "") -> tuple[float, int, int]:
    """Run a case in a process of its own; print seconds, requests and megabytes; give seconds, requests, tiles."""
    before = server.counts()
    command = [sys.executable, __file__, "--dates", str(dates), "--case", name]
    took, decoded = subprocess.check_output(command, text=True).split()[-2:]
    after = server.counts()
    print(
        f"| {name}{label} | {float(took):.2f} | {after[0] - before[0]} | {(after[1] - before[1]) / 1e6:.1f} |",
        flush=True,
    )
    return float(took), after[0] - before[0], int(decoded)


def limit(items: list[pystac.Item]) -> float:
    """Seconds of the codec alone for a whole band, from memory, with as many threads."""
    source = bands.source(items[0], "B04")
    place = place_of(source.href.removeprefix("/vsizip/{").partition("}/")[0])
    known = tiles.index_of(place, source.stored, 0)
    parts = known.parts(range(known.header.grid[0] * known.header.grid[1]))
    streams = [known.header.alone(n, data, 0) for n, data in enumerate(place.read_many(parts))]
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda s: imagecodecs.jpeg2k_decode(s, numthreads=1), streams))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = TOP / "build" / "bench"
    items = make(folder, options.dates)
    index = folder / "cache"
    if options.case:
        settings = {"endpoint": f"http://{os.environ['AWS_S3_ENDPOINT']}", "mirror": None}
        dask.config.set({f"geodes_lab.datalake.{k}": v for k, v in settings.items()})
        dask.config.set({"geodes_lab.cache.folder": str(index)})
        child(options.case, items)
        return
    server = Server(folder)
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_S3_ENDPOINT": f"127.0.0.1:{server.port}", **{k: v for k, v in GDAL.items() if "AWS" in k}}
    dask.config.set(
        {"geodes_lab.datalake.endpoint": f"http://127.0.0.1:{server.port}", "geodes_lab.datalake.mirror": None}
    )
    dask.config.set({"geodes_lab.cache.folder": str(index)})
    try:
        print(
            f"{THREADS} threads, {len(BANDS)} bands, window on {options.dates} dates, Python {sys.version.split()[0]}\n"
        )
        print("| | s | requests | MB |\n|---|---|---|---|")
        shutil.rmtree(index, ignore_errors=True)
        cold = clock(server, "ours window", options.dates, ", cold index")
        warm = clock(server, "ours window", options.dates, ", warm index")
        best = min(clock(server, f"{who} window", options.dates)[0] for who in ("odc-stac", "stackstac"))
        ratios = [
            f"window: {best / warm[0]:.1f} × the best peer warm, {best / cold[0]:.1f} × cold; {warm[1]} requests for {warm[2]} tiles"
        ]
        for size in (160, 80):
            clock(server, f"ours {size}", 1, " m, cold index")
            mine = clock(server, f"ours {size}", 1, " m, warm index")
            peer = min(clock(server, f"{who} {size}", 1, " m")[0] for who in ("odc-stac", "stackstac"))
            ratios.append(f"whole tile at 1/{size // 10}: {peer / mine[0]:.1f} × the best peer")
        floor = limit(items)
        print(f"| the codec from memory, whole band | {floor:.2f} | | |")
        mine = clock(server, "ours 10", 1, " m, whole band")
        ratios.append(f"whole band: {floor / mine[0]:.2f} of the decode limit; {mine[2]} tiles decoded")
        print("\n" + "\n".join(ratios))
    finally:
        server.process.terminate()
        server.process.wait(10)


if __name__ == "__main__":
    main()
