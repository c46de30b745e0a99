"""Tiles of a full Sentinel-2 tile: ours from the zip in place, beside TiTiler on the same zip, and on a COG of the same pixels.

All over HTTP, with 20 ms of latency of S3, each request by a client that waits for it, on two cores that the clients, the
services and the S3 server share. Ours has the lab's whole way: a token, the catalogue, the broker, the tiler. Indexes of
products are warm (on disk), everything else is cold at the first tile. Tiles are drawn once: nothing is asked twice.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
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
    """How tiles are asked for."""

    def __init__(self, name: str, template: str, headers: dict[str, str] | None = None) -> None:
        self.name, self.template = name, template
        self.client = httpx.Client(headers=headers, timeout=200, trust_env=False)

    def get(self, tile: tuple[int, int, int], number: int = 0) -> float:
        z, x, y = tile
        began = time.perf_counter()
        answer = self.client.get(self.template.format(z=z, x=x, y=y, n=number))
        took = time.perf_counter() - began
        assert answer.status_code == 200, (self.name, tile, answer.text[:300])
        return took


@contextlib.contextmanager
def ours(folder: Path, catalog: Path, endpoint: str, items: list[dict[str, Any]], processes: int) -> Iterator[Any]:
    with serving_tiles(folder, catalog, endpoint, PEOPLE, workers=processes) as lab:
        yield lab


def ours_template(url: str, items: list[dict[str, Any]], number: int, query: str) -> str:
    return f"{url}/{COLLECTION}/{items[number]['id']}/tiles/{{z}}/{{x}}/{{y}}.png?{query}"


def percentiles(values: list[float]) -> str:
    return f"{np.median(values):.3f} / {np.percentile(values, 95):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["first", "zooms", "viewers", "peers"])
    options = parser.parse_args()
    sample = next((TOP / "build").glob("sample-*"))
    datalake = stage.FOLDER / "datalake"
    items = product(sample, datalake, 4)
    for band in BANDS:
        for number in range(4):
            stage._link(stage.FOLDER / "original.tif", datalake / "bench" / f"P{number:04d}_{band}.tif")
    query = "&".join((f"bands={','.join(BANDS)}", "rescale=0,0.4", "tilesize=256"))
    peer_query = "&".join((*(f"assets={b}" for b in BANDS), "asset_as_band=true", "rescale=0,4000", "tilesize=256"))
    with stage.Server() as server, tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        catalog = _catalog(root / "catalog", items)
        endpoint = f"http://127.0.0.1:{server.port}"
        with ours(root / "lab", catalog, endpoint, items, options.processes) as lab:
            headers = {"Authorization": "token 1"}
            for number in range(4):  # the index of each product, on disk
                Way("ours", ours_template(lab.url, items, number, query), headers).get(tiles_at(12, 1, 1)[0])
                Way("ours", ours_template(lab.url, items, number, query), headers).get(tiles_at(9, 1, 1)[0])
        print("index made", flush=True)
        if "first" in options.only:
            for zoom in (8, 10, 12, 14):
                shutil.rmtree(root / "lab" / "harvested", ignore_errors=True)
                with ours(root / "lab", catalog, endpoint, items, options.processes) as lab:
                    Way("ours", ours_template(lab.url, items, 3, query), headers).get(
                        tiles_at(13, 1, 1)[0]
                    )  # the process
                    before = server.counts()
                    took = Way("ours", ours_template(lab.url, items, 0, query), headers).get(tiles_at(zoom, 1, 5)[0])
                    after = server.counts()
                    print(f"| first tile of a product, zoom {zoom} | {took:.3f} | {after[0] - before[0]} |", flush=True)
        shutil.rmtree(root / "lab" / "harvested", ignore_errors=True)
        with ours(root / "lab", catalog, endpoint, items, options.processes) as lab:
            way = Way("ours", ours_template(lab.url, items, 0, query), headers)
            way.get(tiles_at(11, 1, 77)[0])
            if "zooms" in options.only:
                for zoom in ZOOMS:
                    took = [way.get(tile) for tile in tiles_at(zoom, 25, 3)]
                    print(f"| next tiles, zoom {zoom} ({len(took)}), median / p95 | {percentiles(took)} |", flush=True)
            if "viewers" in options.only:
                _viewers(options.viewers, lab.url, items, query)
        if "peers" in options.only:
            _peers(root, items, lab_of=(root, catalog, endpoint, options.processes), query=query, peer_query=peer_query)


def _viewers(many: int, url: str, items: list[dict[str, Any]], query: str) -> None:
    took: list[float] = []

    def look(number: int) -> None:
        way = Way("ours", ours_template(url, items, number % 4, query), {"Authorization": f"token {number}"})
        drawn = random.Random(number)
        west, south, east, north = stage.WHOLE.geographic_extent.boundingbox.bbox
        x, y = drawn.uniform(west + 0.2, east - 0.2), drawn.uniform(south + 0.2, north - 0.2)
        for zoom in (9, 10, 11, 12, 13, 14, 13, 12):  # zooms in and out around a place, four tiles each time
            centre = GRID.tile(x, y, zoom)
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                with contextlib.suppress(AssertionError):
                    took.append(way.get((zoom, centre.x + dx, centre.y + dy)))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(many)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    print(
        f"| {many} viewers, {len(took)} tiles, median / p95; a second | {percentiles(took)}; {len(took) / seconds:.1f} |",
        flush=True,
    )


def _peers(root: Path, items: list[dict[str, Any]], lab_of: Any, query: str, peer_query: str) -> None:
    described = root / "peers.json"
    described.write_text(json.dumps(peers(items, stage.FOLDER / "full.zip")))
    tiles = {zoom: tiles_at(zoom, 6, 11) for zoom in (9, 10, 11, 12, 13)}
    rows: dict[str, dict[int, list[float]]] = {}
    for kind in ("vsizip", "cog"):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.tiles_peer", str(described)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = int(process.stdout.readline())  # type: ignore[union-attr]
            for _ in range(200):
                with contextlib.suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/")
                    break
                time.sleep(0.1)
            way = Way(
                kind,
                f"http://127.0.0.1:{port}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?url={kind}-{{n}}&{peer_query}",
            )
            way.get(tiles_at(13, 1, 1)[0], 3)  # the process
            first = way.get(tiles_at(12, 1, 5)[0])
            print(f"| first tile, TiTiler on {kind} | {first:.3f} |", flush=True)
            rows[kind] = {zoom: [way.get(t) for t in several] for zoom, several in tiles.items()}
        finally:
            process.terminate()
            process.wait(10)
    shutil.rmtree(root / "lab" / "harvested", ignore_errors=True)
    where, catalog, endpoint, processes = lab_of
    with ours(where / "lab", catalog, endpoint, items, processes) as lab:
        way = Way("ours", ours_template(lab.url, items, 0, query), {"Authorization": "token 1"})
        way.get(tiles_at(12, 1, 5)[0])
        rows["ours"] = {zoom: [way.get(t) for t in several] for zoom, several in tiles.items()}
    print("| zoom | ours | TiTiler, zip | TiTiler, COG | zip ÷ ours | ours ÷ COG |\n|---|---|---|---|---|---|")
    for zoom in tiles:
        mine, zipped, cog = (float(np.mean(rows[kind][zoom])) for kind in ("ours", "vsizip", "cog"))
        print(
            f"| {zoom} | {mine:.3f} | {zipped:.3f} | {cog:.3f} | {zipped / mine:.1f} | {mine / cog:.2f} |", flush=True
        )
    totals = {kind: sum(sum(v) for v in by.values()) for kind, by in rows.items()}
    print(
        f"| all | {totals['ours']:.2f} | {totals['vsizip']:.2f} | {totals['cog']:.2f} | {totals['vsizip'] / totals['ours']:.1f} | {totals['ours'] / totals['cog']:.2f} |"
    )


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
