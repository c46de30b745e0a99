"""Tiles of a full Sentinel-2 tile: ours from the zip in place, beside TiTiler on the same zip, and on a COG of the same pixels.

All over HTTP, with 20 ms of latency of S3, each request by a client that waits for it, on two cores that the clients, the
services and the S3 server share. Ours has the lab's whole way: a token, the catalogue, the broker, the tiler. Indexes of
products are warm (on disk), everything else is cold at the first tile. No tile is asked for twice. CPU-seconds are those of
the process that draws: where others work on the same cores, they tell more than seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pystac
from morecantile import tms

from hub.services.person import Person
from tests.benchmarks import stage
from tests.support.paths import TOP
from tests.support.tiling import serving_tiles

COLLECTION = "PEPS_S2_L1C"
BANDS = ("B04", "B08", "B02")  # the bands that are full size
PEOPLE = {str(n): Person(f"p{n}") for n in range(16)}
GRID = tms.get("WebMercatorQuad")
ZOOMS = range(8, 15)


def product(sample: Path, folder: Path, copies: int) -> list[dict[str, Any]]:
    """Items of a product of full size, as the catalogue has them; their zips are there."""
    stage.items(1), stage.items(1, "cog")
    catalog = sample / "catalog" / COLLECTION
    document = json.loads(next(p for p in sorted(catalog.glob("S2A*N0301*T31TCJ*.json"))).read_text())
    name = document["properties"]["identifier"]
    place = next((sample / "datalake").rglob(f"{name}.zip"))
    target = stage.FOLDER / "full.zip"
    if not target.exists():
        _write(place, target)
    made = []
    for number in range(copies):
        copy = json.loads(json.dumps(document))
        # Another product of the same tile: the time is in its name.
        other = name.replace("T125936", f"T1259{number:02d}")
        path = folder / "bench" / "tiles" / f"{other}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        stage._link(target, path)
        text = json.dumps(copy).replace(name, other)
        copy = json.loads(text)
        copy["properties"]["proj:shape"] = [stage.SIDE, stage.SIDE]
        around = stage.WHOLE.geographic_extent.boundingbox.bbox
        copy["bbox"], copy["id"] = list(around), other
        west, south, east, north = around
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        copy["geometry"] = {"type": "Polygon", "coordinates": [ring]}
        copy["assets"] = {
            "product": {
                "href": f"https://s3.datalake.cnes.fr/bench/tiles/{other}.zip",
                "type": "application/zip",
                "roles": ["data"],
            }
        }
        copy["links"] = []
        made.append(copy)
    return made


def _write(source: Path, target: Path) -> None:
    """The sample's product with its 10 m bands, and what its metadata say of their size, at full size."""
    with zipfile.ZipFile(stage.FOLDER / "original.zip") as original:
        band = original.read("P.SAFE/IMG_DATA/P_B04.jp2")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith("MTD_TL.xml"):
                for resolution in (10, 20, 60):
                    side = 10 * stage.SIDE // resolution
                    pattern = rf'(<Size resolution="{resolution}">\s*<NROWS>)\d+(</NROWS>\s*<NCOLS>)\d+'
                    data = re.sub(pattern.encode(), rf"\g<1>{side}\g<2>{side}".encode(), data)
                for axis, number in (("X", stage.WEST), ("Y", stage.NORTH)):
                    data = re.sub(rf"(<UL{axis}>)\d+".encode(), rf"\g<1>{int(number)}".encode(), data)
            if re.search(r"IMG_DATA/.*_B(02|03|04|08)\.jp2$", info.filename):
                data = band
            new.writestr(info.filename, data)


def peers(items: list[dict[str, Any]], zipped: Path) -> dict[str, dict[str, Any]]:
    """Items that rio-tiler's reader opens: the zip by GDAL, and the COG."""
    with zipfile.ZipFile(zipped) as archive:
        members = {n[-7:-4]: n for n in archive.namelist() if "IMG_DATA/" in n}
    made = {}
    for kind in ("vsizip", "cog"):
        for number, item in enumerate(items):
            archive_name = Path(item["assets"]["product"]["href"]).name
            assets = {}
            for band in BANDS:
                href = (
                    f"/vsizip//vsis3/bench/tiles/{archive_name}/{members[band]}"
                    if kind == "vsizip"
                    else f"/vsis3/bench/P{number:04d}_{band}.tif"
                )
                assets[band] = {"href": href, "type": "image/tiff", "roles": ["data"]}
            made[f"{kind}-{number}"] = {**item, "assets": assets, "stac_extensions": []}
    return made


def tiles_at(zoom: int, number: int, seed: int) -> list[tuple[int, int, int]]:
    """Random tiles inside the product, as many as there are at most."""
    west, south, east, north = stage.WHOLE.geographic_extent.boundingbox.bbox
    inset = 0.1
    every = [(t.z, t.x, t.y) for t in GRID.tiles(west + inset, south + inset, east - inset, north - inset, [zoom])]
    random.Random(seed).shuffle(every)
    return every[:number]


class Way:
    """How tiles are asked for, and what they cost.

    Parameters
    ----------
    template
        The address, with ``{z}``, ``{x}``, ``{y}`` and ``{n}``, the number of the product.
    pid
        Of the process that draws.
    """

    def __init__(self, template: str, pid: int, headers: dict[str, str] | None = None) -> None:
        self.template, self.process = template, psutil.Process(pid)
        self.client = httpx.Client(headers=headers, timeout=200, trust_env=False)

    def get(self, tile: tuple[int, int, int], number: int = 0) -> tuple[float, float]:
        """Seconds, and CPU-seconds."""
        z, x, y = tile
        before, began = self._cpu(), time.perf_counter()
        answer = self.client.get(self.template.format(z=z, x=x, y=y, n=number))
        took = time.perf_counter() - began
        assert answer.status_code == 200, (self.template, tile, answer.text[:300])
        return took, self._cpu() - before

    def _cpu(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


class Bench:
    """What all measurements share."""

    def __init__(self, root: Path, server: stage.Server, copies: int) -> None:
        sample = next((TOP / "build").glob("sample-*"))
        self.items = product(sample, stage.FOLDER / "datalake", copies)
        for band in BANDS:
            for number in range(copies):
                stage._link(
                    stage.FOLDER / "original.tif", stage.FOLDER / "datalake" / "bench" / f"P{number:04d}_{band}.tif"
                )
        self.root, self.server = root, server
        self.catalog = _catalog(root / "catalog", self.items)
        self.endpoint = f"http://127.0.0.1:{server.port}"
        self.names = [item["id"] for item in self.items]

    @contextlib.contextmanager
    def ours(self) -> Iterator[Callable[..., Way]]:
        """A fresh lab; its index of products stays on disk."""
        shutil.rmtree(self.root / "lab" / "harvested", ignore_errors=True)
        with serving_tiles(self.root / "lab", self.catalog, self.endpoint, PEOPLE) as lab:
            httpx.get(
                f"{lab.url}/{COLLECTION}/{self.names[-1]}/info", headers={"Authorization": "token 0"}, timeout=200
            )
            query = f"bands={','.join(BANDS)}&rescale=0,0.4&tilesize=256"

            def way(person: str, number: int = 0) -> Way:
                address = f"{lab.url}/{COLLECTION}/{self.names[number]}/tiles/{{z}}/{{x}}/{{y}}.png?{query}"
                return Way(address, lab.workers[0]._process.pid, {"Authorization": f"token {person}"})

            yield way

    @contextlib.contextmanager
    def peers(self) -> Iterator[dict[str, Way]]:
        """TiTiler on the zip, and on the COG, a process each."""
        described = self.root / "peers.json"
        described.write_text(json.dumps(peers(self.items, stage.FOLDER / "full.zip")))
        query = "&".join((*(f"assets={b}" for b in BANDS), "asset_as_band=true", "rescale=0,4000", "tilesize=256"))
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.tiles_peer", str(described)]
        processes = {kind: subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for kind in ("vsizip", "cog")}
        try:
            ways = {}
            for kind, process in processes.items():
                assert process.stdout is not None
                at = f"http://127.0.0.1:{int(process.stdout.readline())}"
                while process.poll() is None:
                    with contextlib.suppress(httpx.HTTPError):
                        httpx.get(at)
                        break
                    time.sleep(0.1)
                address = f"{at}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?url={kind}-{{n}}&{query}"
                ways[kind] = Way(address, process.pid)
                ways[kind].get(tiles_at(13, 1, 1)[0], 3)  # the process
            yield ways
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(10)


def first(bench: Bench, zooms: Sequence[int]) -> None:
    """The first tile of a product that this process has never seen."""
    print("| first tile of a product, zoom | s | CPU-s | requests |\n|---|---|---|---|")
    for zoom in zooms:
        with bench.ours() as way:
            way("1", 3).get(tiles_at(13, 1, 1)[0])  # the process
            before = bench.server.counts()
            took, cpu = way("1").get(tiles_at(zoom, 1, 5)[0])
            print(f"| {zoom} | {took:.2f} | {cpu:.2f} | {bench.server.counts()[0] - before[0]} |", flush=True)


def following(bench: Bench, number: int) -> None:
    """Next tiles at each zoom, at random places."""
    print("| next tiles, zoom | number | s, median and p95 | CPU-s, median and p95 |\n|---|---|---|---|")
    with bench.ours() as way:
        one = way("1")
        one.get(tiles_at(11, 1, 77)[0])
        for zoom in ZOOMS:
            several = np.array([one.get(tile) for tile in tiles_at(zoom, number, 3)])
            middle, late = np.median(several, axis=0), np.percentile(several, 95, axis=0)
            print(
                f"| {zoom} | {len(several)} | {middle[0]:.2f} {late[0]:.2f} | {middle[1]:.2f} {late[1]:.2f} |",
                flush=True,
            )


def viewers(bench: Bench, many: int) -> None:
    """Several people, each of whom zooms in and out around a place, four tiles each time."""
    took: list[tuple[float, float]] = []
    west, south, east, north = stage.WHOLE.geographic_extent.boundingbox.bbox
    with bench.ours() as way:

        def look(number: int) -> None:
            one, drawn = way(str(number), number % len(bench.items)), random.Random(number)
            x, y = drawn.uniform(west + 0.2, east - 0.2), drawn.uniform(south + 0.2, north - 0.2)
            for zoom in (10, 11, 12, 13, 14, 12):
                centre = GRID.tile(x, y, zoom)
                for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    took.append(one.get((zoom, centre.x + dx, centre.y + dy)))

        threads = [threading.Thread(target=look, args=(n,)) for n in range(many)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    times = [t for t, _ in took]
    print(
        f"{many} viewers: {len(took)} tiles, median {np.median(times):.2f} s, p95 {np.percentile(times, 95):.2f} s, "
        f"{len(took) / seconds:.1f} tiles a second", flush=True,
    )  # fmt: skip


def beside(bench: Bench, number: int) -> None:
    """Ours and TiTiler, tile by tile in turn."""
    print("| zoom | | ours | TiTiler, zip | TiTiler, COG | zip ÷ ours | ours ÷ COG |\n|---|---|---|---|---|---|---|")
    totals = np.zeros((3, 2))
    with bench.ours() as way, bench.peers() as others:
        ways = [way("1"), others["vsizip"], others["cog"]]
        firsts = [one.get(tiles_at(12, 1, 5)[0]) for one in ways]
        _row("first, 12", np.array(firsts))
        for zoom in (9, 10, 11, 12, 13, 14):
            each = np.array([[one.get(tile) for one in ways] for tile in tiles_at(zoom, number, 11)])
            _row(str(zoom), each.mean(axis=0))
            totals += each.sum(axis=0)
    _row("all", totals)


def _row(name: str, values: Any) -> None:
    for column, what in ((0, "s"), (1, "CPU-s")):
        mine, zipped, cog = values[:, column]
        print(
            f"| {name} | {what} | {mine:.2f} | {zipped:.2f} | {cog:.2f} | {zipped / max(mine, 1e-3):.1f} | "
            f"{mine / max(cog, 1e-3):.1f} |", flush=True,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--tiles", type=int, default=20, help="at each zoom")
    parser.add_argument("--only", nargs="*", default=["first", "next", "viewers", "peers"])
    options = parser.parse_args()
    with stage.Server() as server, tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), server, 4)
        with bench.ours() as way:
            for number in range(4):  # the index of each product, on disk
                way("1", number).get(tiles_at(12, 1, 1)[0])
                way("1", number).get(tiles_at(9, 1, 1)[0])
        if "peers" in options.only:
            beside(bench, max(options.tiles // 5, 2))
        if "first" in options.only:
            first(bench, (8, 10, 12, 14))
        if "next" in options.only:
            following(bench, options.tiles)
        if "viewers" in options.only:
            viewers(bench, options.viewers)


def _catalog(folder: Path, items: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    catalogue = pystac.Catalog("bench", "Benchmark")
    box = items[0]["bbox"]
    extent = pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[None, None]]))
    collection = pystac.Collection(COLLECTION, "Sentinel-2", extent)
    catalogue.add_child(collection)
    for item in items:
        collection.add_item(pystac.Item.from_dict(item))
    catalogue.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


if __name__ == "__main__":
    main()
