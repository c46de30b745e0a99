"""A Sentinel-2 tile of full size, its Items for our catalogue and for TiTiler, and places to look at in it."""

from __future__ import annotations

import json
import random
import re
import zipfile
from pathlib import Path
from typing import Any

from morecantile import tms

from tests.benchmarks.data import stage

COLLECTION = "PEPS_S2_L1C"
BANDS = ("B04", "B08", "B02")  # the bands that are full size
GRID = tms.get("WebMercatorQuad")


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
