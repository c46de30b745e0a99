"""The services that are measured: a lab with its tiler, and TiTiler."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pystac

from hub.services.person import Person
from tests.benchmarks.data import stage
from tests.benchmarks.tiling.product import BANDS, COLLECTION, peers, product, tiles_at
from tests.support.paths import TOP
from tests.support.servers.tiling import serving_tiles

PEOPLE = {str(n): Person(f"p{n}") for n in range(16)}


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

    def settle(self) -> None:
        """Wait until the process has ended what it does behind a picture, so that what is measured next has both cores."""
        before = -1.0
        while before != (before := self._cpu()):
            time.sleep(0.1)

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

    def forget(self) -> None:
        """Remove the overviews that are kept on disk; the indexes of products stay."""
        shutil.rmtree(self.root / "lab" / "cache" / "overview", ignore_errors=True)

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
