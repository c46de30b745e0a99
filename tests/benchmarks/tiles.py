"""Tiles of a full Sentinel-2 tile: ours from the zip in place, beside TiTiler on the same zip, and on a COG of the same pixels.

All over HTTP, with 20 ms of latency of S3, each request by a client that waits for it, on two cores that the clients, the
services and the S3 server share. Ours has the lab's whole way: a token, the catalogue, the broker, the tiler. Indexes of
products are warm (on disk), everything else is cold at the first tile. No tile is asked for twice. CPU-seconds are those of
the process that draws: where others work on the same cores, they tell more than seconds.

All is measured in rounds, in turn. A row has the median and the 95th percentile of all rounds, its goal, and whether it is
met. The first run on a machine makes the full product, which takes some minutes more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pystac
from morecantile import tms

from hub.services.person import Person
from tests.benchmarks.data import stage
from tests.support.paths import TOP
from tests.support.servers.tiling import serving_tiles

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
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peers.tiles_peer", str(described)]
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


class Table:
    """All that was measured, by row: seconds and CPU-seconds of every run."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, float]]] = {}
        self.ratios: dict[str, list[float]] = {}

    def add(self, row: str, *measured: tuple[float, float]) -> None:
        """Add measurements, and say them: whoever stops the benchmark has them."""
        self.rows.setdefault(row, []).extend(measured)
        print(f"# {row}: {', '.join(f'{s:.2f}' for s, _ in measured)} s", file=sys.stderr, flush=True)

    def show(self, goals: dict[str, float], wanted: dict[str, tuple[str, float]]) -> None:
        """Print each row with its goal; the last word is whether it is met."""
        print("| | number | s, median | s, p95 | CPU-s, median | goal, p95 | |\n|---|---|---|---|---|---|---|")
        for row, several in self.rows.items():
            seconds, cpu = np.array(several).T
            late = float(np.percentile(seconds, 95))
            goal = next((g for start, g in goals.items() if row.startswith(start)), None)
            told = f"≤ {goal:.1f} s | {'met' if late <= goal else 'missed'}" if goal else " | "
            middle = float(np.median(cpu))
            middles = f"{np.median(seconds):.2f} | {late:.2f} | {'' if np.isnan(middle) else f'{middle:.2f}'}"
            print(f"| {row} | {len(several)} | {middles} | {told} |")
        print("\n| | of each run | median | wanted | |\n|---|---|---|---|---|")
        for row, ratios in self.ratios.items():
            middle = float(np.median(ratios))
            sign, limit = wanted[row]
            is_met = middle >= limit if sign == "≥" else middle <= limit
            each = ", ".join(f"{r:.2f}" for r in ratios)
            print(f"| {row} | {each} | {middle:.2f} | {sign} {limit:g} | {'met' if is_met else 'missed'} |")


def first(bench: Bench, table: Table, zooms: Sequence[int], seed: int) -> None:
    """The first tile of a product that this process has never seen."""
    for zoom in zooms:
        with bench.ours() as way:
            way("1", 3).get(tiles_at(13, 1, 1)[0])  # the process
            table.add(f"first tile of a product, zoom {zoom}", way("1").get(tiles_at(zoom, 1, seed)[0]))


def following(way: Callable[..., Way], table: Table, number: int, seed: int) -> None:
    """Next tiles at each zoom, at random places of the first product."""
    one = way("1")
    one.get(tiles_at(11, 1, 77)[0])
    for zoom in ZOOMS:
        table.add(f"next tiles, zoom {zoom}", *(one.get(tile) for tile in tiles_at(zoom, number, seed)))


def viewers(bench: Bench, table: Table, many: int, seed: int) -> None:
    """Several people, each of whom zooms in and out around a place, four tiles each time."""
    took: list[tuple[float, float]] = []
    west, south, east, north = stage.WHOLE.geographic_extent.boundingbox.bbox
    with bench.ours() as way:

        def look(number: int) -> None:
            one, drawn = way(str(number), number % len(bench.items)), random.Random(100 * seed + number)
            x, y = drawn.uniform(west + 0.2, east - 0.2), drawn.uniform(south + 0.2, north - 0.2)
            for zoom in (10, 12, 14):
                centre = GRID.tile(x, y, zoom)
                for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    took.append(one.get((zoom, centre.x + dx, centre.y + dy)))

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
            measured = [one.get(tile, 1) for one in ways]
            totals += [seconds for seconds, _ in measured]
            for name, one in zip(names, measured, strict=True):
                table.add(f"beside, {name}", one)
    table.ratios.setdefault(_ZIP, []).append(totals[1] / totals[0])
    table.ratios.setdefault(_COG, []).append(totals[0] / totals[2])


def screens(bench: Bench, way: Callable[..., Way], table: Table, seed: int) -> None:
    """Ours and TiTiler, of the third product: what a person sees who zooms in, 5 by 3 tiles at each zoom, six at once."""
    drawn, (west, south, east, north) = random.Random(seed), stage.WHOLE.geographic_extent.boundingbox.bbox
    x, y = drawn.uniform(west + 0.4, east - 0.4), drawn.uniform(south + 0.3, north - 0.3)
    totals = np.zeros(3)
    with bench.peers() as others:
        for zoom in (11, 12, 13, 14):
            centre = GRID.tile(x, y, zoom)
            around = [(zoom, centre.x + dx, centre.y + dy) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)]
            for n, (name, one) in enumerate(
                (("ours", way("1", 2)), ("TiTiler, zip", others["vsizip"]), ("TiTiler, COG", others["cog"]))
            ):
                began, before = time.perf_counter(), one._cpu()
                with ThreadPoolExecutor(6) as pool:
                    list(pool.map(lambda tile, one=one: one.get(tile, 2), around))
                took = time.perf_counter() - began
                totals[n] += took
                table.add(f"a screen of {len(around)} tiles, {name}", (took, one._cpu() - before))
    table.ratios.setdefault(f"screens, {_ZIP}", []).append(totals[1] / totals[0])
    table.ratios.setdefault(f"screens, {_COG}", []).append(totals[0] / totals[2])


_ZIP, _COG = "TiTiler on the zip ÷ ours", "ours ÷ TiTiler on a COG"
GOALS = {"first tile": 1.5, "next tiles": 0.3, "8 viewers": 0.3}
WANTED = {_ZIP: ("≥", 10.0), _COG: ("≤", 1.5)}
WANTED |= {f"screens, {name}": limit for name, limit in WANTED.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="all is measured so often, in turn")
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--tiles", type=int, default=6, help="at each zoom, of each round")
    parser.add_argument("--only", nargs="*", default=["first", "next", "viewers", "peers", "screens"])
    options = parser.parse_args()
    table = Table()
    with stage.Server() as server, tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), server, 4)
        with bench.ours() as way:
            for number in range(4):  # the index of each product, on disk
                way("1", number).get(tiles_at(12, 1, 1)[0])
                way("1", number).get(tiles_at(9, 1, 1)[0])
        began = time.perf_counter()
        for turn in range(options.rounds):
            if "first" in options.only:
                first(bench, table, (8, 10, 12, 14), 5 + turn)
            if {"next", "peers", "screens"} & set(options.only):
                with bench.ours() as way:
                    if "next" in options.only:
                        following(way, table, options.tiles, 30 + turn)
                    if "peers" in options.only:
                        beside(bench, way, table, 1, 11 + turn)
                    if "screens" in options.only:
                        screens(bench, way, table, 50 + turn)
            if "viewers" in options.only:
                viewers(bench, table, options.viewers, turn)
        table.show(GOALS, WANTED)
        print(f"\nMeasured in {time.perf_counter() - began:.0f} s, with a load of {os.getloadavg()[0]:.1f} at the end.")


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
