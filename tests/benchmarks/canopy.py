"""LAI of a Sentinel-2 tile at 20 m, beside reading its eight bands; and its memory, for a quarter and for all.

One product of level 2A, full size, ESA's coding, with angles and footprints of detectors, on disk. Each run is a process
of its own, and the runs take turns; chunks are dropped once computed. ``--share 3`` takes a third of the tile in each direction.
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from geodes_lab.products.sentinel2.bands import BANDS, NUMBERS
from geodes_lab.sample.sentinel2 import l1c, l2a
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml
from geodes_lab.science.canopy.network import ANGLES
from geodes_lab.science.canopy.network import BANDS as INPUTS
from tests.support.paths import TOP

SIDE = 10_980
THREADS = 2


def _mirrored(piece: np.ndarray, side: int) -> np.ndarray:
    block = np.block([[piece, piece[:, ::-1]], [piece[::-1], piece[::-1, ::-1]]])
    times = -(-side // block.shape[0])
    return np.tile(block, (times, times))[:side, :side]


def _band(name: str) -> bytes:
    """Encode a full-size band: the sample's landscape, mirrored and repeated, with noise."""
    resolution = BANDS[NUMBERS[name]].resolution
    side = SIDE * 10 // resolution
    numbers = _mirrored(l2a.products()[0].numbers(NUMBERS[name]), side)
    noise = np.random.default_rng(NUMBERS[name]).integers(0, 40, (side, side), "uint16")
    return l1c.jpeg2000((numbers + noise)[np.newaxis], l1c.TILES["31TCJ"], resolution, 15)


def product() -> Path:
    """Write the product, once."""
    made = l2a.products()[0]
    path = TOP / "build" / "bench" / f"{made.name}.zip"
    if path.exists():
        return path
    print("encoding the bands of a tile, once …", file=sys.stderr)
    scene, small = made.scene, path.with_suffix(".small.zip")
    l2a.write(made, small)
    granule, stem = "", f"T{scene.tile}_{scene.time:%Y%m%dT%H%M%S}"
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(small) as archive:
        for name in archive.namelist():
            if name.endswith("MTD_MSIL2A.xml"):
                members[name] = archive.read(name)
            elif name.endswith("MTD_TL.xml"):
                granule = name.rsplit("/", 1)[0]
                text = archive.read(name).decode()
                for r in (10, 20, 60):
                    text = text.replace(f">{sentinel2_xml.PIXELS * 10 // r}</N", f">{SIDE * 10 // r}</N")
                west, north = l1c.TILES[scene.tile]
                text = re.sub(r"<ULX>\d+", f"<ULX>{west}", text)
                members[name] = re.sub(r"<ULY>\d+", f"<ULY>{north}", text).encode()
    small.unlink()
    with ProcessPoolExecutor(THREADS, mp_context=get_context("spawn")) as pool:
        for name, image in zip(INPUTS, pool.map(_band, INPUTS), strict=True):
            resolution = BANDS[NUMBERS[name]].resolution
            members[f"{granule}/IMG_DATA/R{resolution}m/{stem}_{name}_{resolution}m.jp2"] = image
    col, row = np.meshgrid(np.arange(SIDE // 2), np.arange(SIDE // 2))
    detectors = np.where(row < 2800 + col // 8, 4, 5).astype(np.uint8)
    members[f"{granule}/QI_DATA/MSK_DETFOO_B06.jp2"] = l1c.jpeg2000(
        detectors[np.newaxis], l1c.TILES[scene.tile], 20, bits=8
    )
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    partial.rename(path)
    return path


def run(what: str, share: int) -> None:
    """Compute once, in this process: seconds, seconds of the processor, and the peak of memory in MiB."""
    import dask
    from odc.geo.geobox import GeoBox

    import geodes_lab as gl
    from geodes_lab.sample import truth

    west, north = l1c.TILES["31TCJ"]
    size = SIDE * 10 // share
    box = GeoBox.from_bbox((west, north - size, west + size, north), f"EPSG:{truth.EPSG}", resolution=20)
    area = tuple(box.geographic_extent.boundingbox.bbox) if share > 1 else None
    averaged = {"B03": "average", "B04": "average"}
    if what == "bands":
        data = gl.open_cube(str(product()), bands=[*INPUTS], resolution=20, resampling=averaged, bbox=area)
    elif what == "angles":
        data = gl.open_cube(str(product()), bands=[*INPUTS, *ANGLES], resolution=20, resampling=averaged, bbox=area)
    else:
        names = ["lai"] if what == "lai" else ["lai", "fapar", "fcover", "ccc", "cwc"]
        data = gl.biophysical(str(product()), names, bbox=area)
    dropped = [
        v.data.map_blocks(_corner, dtype=v.dtype, chunks=tuple((1,) * n for n in v.data.numblocks))
        for v in data.values()
    ]
    start, cpu = time.perf_counter(), time.process_time()
    dask.compute(*dropped, scheduler="threads", num_workers=THREADS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.perf_counter() - start, time.process_time() - cpu, peak)


def _corner(block: np.ndarray) -> np.ndarray:
    return block[:, :1, :1].copy()


def _measured(what: str, share: int = 1) -> tuple[float, ...]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.canopy", "--run", what, "--share", str(share)],
        check=True, capture_output=True, text=True, cwd=TOP,
    )  # fmt: skip
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", choices=("bands", "angles", "lai", "all"))
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.share)
        return
    product()
    kinds = ("bands", "angles", "lai", "all")
    runs: dict[str, list[tuple[float, ...]]] = {k: [] for k in kinds}
    for _ in range(given.times):
        for kind in kinds:
            runs[kind].append(_measured(kind, given.share))
    middle = {k: [statistics.median(r[n] for r in several) for n in range(3)] for k, several in runs.items()}
    part = "a tile" if given.share == 1 else f"the {given.share}² th part of a tile"
    print(f"| {part} at 20 m | seconds | core-seconds | peak memory, MiB | speed beside the bands |")
    print("|---|---|---|---|---|")
    for kind, title in zip(kinds, ("its eight bands", "bands and angles", "LAI", "all five variables"), strict=True):
        seconds, cpu, peak = middle[kind]
        ratio = middle["bands"][0] / seconds, middle["bands"][1] / cpu
        print(f"| {title} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} | {ratio[0]:.2f} ({ratio[1]:.2f} by core-seconds) |")
    print(f"\nLAI of a quarter of that: {_measured('lai', 2 * given.share)[2]:.0f} MiB at most.")


if __name__ == "__main__":
    main()
