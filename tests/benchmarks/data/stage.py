"""What the benchmarks of reading share: full-size products, a slow S3 server, the peers and their best settings.

Full-size bands (10980², ESA's coding, no TLM) in stored zips, and the same pixels as COG, behind an S3 server with 20 ms
added to each request. All use two threads. The peers get band Items (they can read no other) and GDAL's best settings
for them, below. Each measurement is a process of its own, with everything imported and nothing cached.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import distributed  # noqa: F401  (both are imported by the first who needs them)
import imagecodecs
import numpy as np
import odc.stac
import pystac
import rasterio
import rasterio.shutil
import shapely
import shapely.geometry
import stackstac
import tifffile  # noqa: F401
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.formats import tile_cache
from geodes_lab.products import bands
from geodes_lab.raster.source import RasterSource
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2 import l1c
from hub.front import proxy
from tests.support.paths import TOP

FOLDER = TOP / "build" / "bench"
INDEX = FOLDER / "cache"
SIDE = 10_980
BANDS = ("B02", "B04", "B08")
WEST, NORTH = l1c.TILES["31TCJ"]
THREADS = 2
WHOLE = GeoBox((SIDE, SIDE), Affine(10, 0, WEST, 0, -10, NORTH), "EPSG:32631")

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
    "AWS_REGION": "us-east-1",
    "GDAL_NUM_THREADS": "1",
}


def image() -> np.ndarray:
    """A full-size band: the sample's landscape, mirrored and repeated, with noise."""
    piece = l1c.scenes()[0].numbers(3)
    block = np.block([[piece, piece[:, ::-1]], [piece[::-1], piece[::-1, ::-1]]])
    times = -(-SIDE // block.shape[0])
    noise = np.random.default_rng(truth.SEED).integers(0, 40, (SIDE, SIDE), "uint16")
    return np.tile(block, (times, times))[:SIDE, :SIDE] + noise


def _write(zipped: Path, cog: Path) -> None:
    print("encoding a full-size band, once …", file=sys.stderr)
    zipped.parent.mkdir(parents=True, exist_ok=True)
    pixels = image()
    coded = l1c.jpeg2000(pixels[None], (WEST, NORTH), 10, 15)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_STORED) as archive:
        for band in BANDS:
            archive.writestr(f"P.SAFE/IMG_DATA/P_{band}.jp2", coded)
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint16", "nodata": 0}
    with MemoryFile() as memory:
        with memory.open(**profile, crs="EPSG:32631", transform=WHOLE.affine, tiled=True) as file:
            file.write(pixels, 1)
        with memory.open() as file:
            options = {"COMPRESS": "DEFLATE", "PREDICTOR": "2", "BLOCKSIZE": "512", "OVERVIEW_RESAMPLING": "AVERAGE"}
            rasterio.shutil.copy(file, cog, driver="COG", **options)


def items(dates: int, kind: str = "zip") -> list[pystac.Item]:
    """Band Items whose files are there: ``"zip"`` of JPEG 2000, or ``"cog"``."""
    zipped, cog = FOLDER / "original.zip", FOLDER / "original.tif"
    if not zipped.exists() or not cog.exists():
        _write(zipped, cog)
    with zipfile.ZipFile(zipped) as archive:
        places = {i.filename[-7:-4]: (i.header_offset, i.file_size) for i in archive.infolist()}
    (FOLDER / "datalake" / "bench").mkdir(parents=True, exist_ok=True)
    for number in range(dates):
        if kind == "zip":
            _link(zipped, FOLDER / "datalake" / "bench" / f"P{number:04d}.zip")
        else:
            for band in BANDS:
                _link(cog, FOLDER / "datalake" / "bench" / f"P{number:04d}_{band}.tif")
    return described(dates, kind, places)


def described(dates: int, kind: str = "zip", places: dict[str, tuple[int, int]] | None = None) -> list[pystac.Item]:
    """Band Items of one product for each date, every five days; their files need not be there."""
    around = WHOLE.geographic_extent.boundingbox.bbox
    footprint = shapely.geometry.mapping(shapely.box(*around))
    made = []
    for number in range(dates):
        when = datetime(2001, 1, 1, 10, 50, tzinfo=UTC) + timedelta(days=5 * number)
        item = pystac.Item(f"P{number:04d}", footprint, list(around), when, {})
        item.properties |= {"grid:code": f"MGRS-{number}", "product:type": "S2MSI1C", "identifier": item.id}
        item.properties["geodes:source"] = (
            f"s3://bench/{item.id}.zip"  # as a family leaves an Item that it made of a product
        )
        for band in BANDS:
            path = f"/vsis3/bench/P{number:04d}"
            source = RasterSource(
                f"/vsizip/{{{path}.zip}}/P.SAFE/IMG_DATA/P_{band}.jp2" if kind == "zip" else f"{path}_{band}.tif",
                item.id, band, truth.EPSG, tuple(WHOLE.affine)[:6], (SIDE, SIDE), scale=1e-4, nodata=0,
                stored=(places or {}).get(band, (0, 96_000_000)) if kind == "zip" else None,
                tile=(1024, 1024) if kind == "zip" else (512, 512), overviews=4,
            )  # fmt: skip
            media = "image/jp2" if kind == "zip" else "image/tiff"
            item.add_asset(band, bands.asset(source, common_name=None, wavelength=None, title=band, media_type=media))
        made.append(item)
    return made


def _link(original: Path, path: Path) -> None:
    if not path.exists():
        os.link(original, path)


class Server:
    """The slow S3 server, what it has counted, and the settings to reach it."""

    def __init__(self) -> None:
        node = proxy.node()
        assert node, "the benchmark's server needs Node"
        command = [node[0], str(Path(__file__).parents[1] / "peers" / "slow_s3.mjs"), str(FOLDER / "datalake")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
        os.environ |= {k: v for k, v in GDAL.items() if "AWS" in k} | {"AWS_S3_ENDPOINT": f"127.0.0.1:{self.port}"}
        use_server()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def counts(self) -> tuple[int, int]:
        """Requests and bytes served so far."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/counts").read()
        requests, size = map(int, text.split())
        return requests, size

    def clock(self, script: str, case: str, label: str = "") -> tuple[float, int, int, int]:
        """Run a case in a process of its own and print its row; give seconds, requests, bytes, tiles decoded."""
        before = self.counts()
        command = [sys.executable, "-m", script, *sys.argv[1:], "--case", case]
        took, decoded = subprocess.check_output(command, text=True).split()[-2:]
        after = self.counts()
        requests, size = after[0] - before[0], after[1] - before[1]
        print(f"| {case}{label} | {float(took):.2f} | {requests} | {size / 1e6:.1f} |", flush=True)
        return float(took), requests, size, int(decoded)


def use_server() -> None:
    """Settings of this process for the server that the environment names."""
    endpoint = f"http://{os.environ['AWS_S3_ENDPOINT']}"
    settings = {"datalake.endpoint": endpoint, "datalake.mirror": None, "cache.folder": str(INDEX)}
    dask.config.set({f"geodes_lab.{k}": v for k, v in settings.items()})


def measure(make: Callable[[], Any]) -> None:
    """Compute what ``make`` gives, opening included; print its seconds, and how many tiles we decoded."""
    use_server()
    imagecodecs.jpeg2k_version()
    list(products.families().values())  # as of the peers, all is imported
    _ = gl.open_cube
    began = time.perf_counter()
    with rasterio.Env(**GDAL), dask.config.set(scheduler="threads", num_workers=THREADS):
        make().compute()
    print(time.perf_counter() - began, tile_cache.shared().decoded)


def cube(who: str, some: list[pystac.Item], grid: GeoBox, how: str = "nearest", names: Sequence[str] = BANDS) -> Any:
    """A cube (band, time, y, x) as each library makes it."""
    return {"ours": ours, "odc-stac": odc_stac, "stackstac": their_stackstac}[who](some, grid, how, names)


def ours(some: list[pystac.Item], grid: GeoBox, how: str, names: Sequence[str]) -> Any:
    """Our cube."""
    return gl.open_cube(some, bands=list(names), geobox=grid, resampling=how, dtype="float32").to_dataarray()


def odc_stac(some: list[pystac.Item], grid: GeoBox, how: str, names: Sequence[str]) -> Any:
    """Their cube, and then the reflectance that it is about: theirs are the numbers of the files."""
    raw = odc.stac.load(
        some, bands=list(names), geobox=grid, chunks={"x": 1024, "y": 1024}, resampling=how
    ).to_dataarray()
    return raw.where(raw != 0).astype("float32") * np.float32(1e-4)


def of_all_pixels(some: list[pystac.Item], grid: GeoBox) -> Any:
    """Odc-stac's mean of a band without overviews, in chunks of whole tiles, so that each is decoded once and both threads have work."""
    side = 5 * 1024 * 10 // round(grid.resolution.x)
    raw = odc.stac.load(
        some, bands=list(BANDS[:1]), geobox=grid, chunks={"x": side, "y": side}, resampling="average",
        use_overviews=False,
    ).to_dataarray()  # fmt: skip
    return raw.where(raw != 0).astype("float32") * np.float32(1e-4)


def their_stackstac(some: list[pystac.Item], grid: GeoBox, how: str, names: Sequence[str]) -> Any:
    """Their cube of reflectance (float64: it refuses to scale to less), with the old spellings that it needs."""
    plain = [i.to_dict() for i in some]
    for item in plain:
        for asset in item["assets"].values():  # its timer cannot print a brace; GDAL opens .zip without them
            asset["href"] = asset["href"].replace("{", "").replace("}", "")
    env = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL | {"AWS_S3_ENDPOINT": os.environ["AWS_S3_ENDPOINT"]})
    options = {"epsg": grid.crs.epsg, "resolution": grid.affine.a, "bounds": grid.boundingbox.bbox, "gdal_env": env}
    options["resampling"] = Resampling[how]
    return stackstac.stack(plain, assets=list(names), **options, chunksize=1024)


def window() -> GeoBox:
    """10 km, across four tiles."""
    box = (WEST + 45_000.0, NORTH - 55_000.0, WEST + 55_000.0, NORTH - 45_000.0)
    return GeoBox.from_bbox(box, "EPSG:32631", resolution=10)


def warped() -> GeoBox:
    """The same place in Lambert 93, the CRS of France."""
    return GeoBox.from_bbox(window().extent.to_crs("EPSG:2154").boundingbox, "EPSG:2154", resolution=10)


def coarse(times: int) -> GeoBox:
    """The whole tile in larger pixels."""
    return WHOLE.zoom_out(times) if SIDE % times == 0 else GeoBox(
        (-(-SIDE // times), -(-SIDE // times)), WHOLE.affine * Affine.scale(times), WHOLE.crs
    )  # fmt: skip


def accuracy(found: np.ndarray, times: int) -> tuple[float, float]:
    """How far a coarse band is from the mean of the ground, in its standard deviations; and how many metres aside it lies."""
    side = 128 * times
    fine = image()[: side + 2 * times, : side + 2 * times].astype(float) * 1e-4

    def mean(aside: int) -> np.ndarray:
        part = fine[times + aside : times + aside + side, times + aside : times + aside + side]
        return part.reshape(128, times, 128, times).mean(axis=(1, 3))

    got, want = found[1:129, 1:129].astype(float), mean(0)
    known = np.isfinite(got)
    alike = {s: np.corrcoef(got[known], mean(s)[known])[0, 1] for s in range(-times, times + 1)}
    return float(np.sqrt(np.mean((got - want)[known] ** 2)) / want.std()), 10.0 * max(alike, key=lambda s: alike[s])
