"""Radiometric terrain correction of a Sentinel-2 tile at 20 m, beside sarsen: time, time of the processor, memory; and how far both agree.

The real annotations of an image over Rome, with speckle for pixels (ESA's coding), over hills of which the steepest slopes
are about 35°, on a terrain model of 20 m in the output's grid, which sarsen needs. Both read the same files, resample to the
nearest pixel, use two threads and write the same TIFF. ``--share 3`` takes a third of the tile in each direction.
``--chunks`` are sarsen's (its default is 1024): for each of them it opens the product and computes the geometry anew, so that larger ones are quicker
and need more memory. A run that takes longer than ``--limit`` seconds is ended, and said to be not finished. ``--agree``
compares the numbers instead, at 10 m, over level ground, hills and mountains.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from tests.benchmarks.peers.peak import peak
from tests.support.paths import TOP
from tests.support.products import rome

FOLDER = TOP / "build" / "bench" / "rtc"
PEER = "sarsen==0.9.6"
WEST, SOUTH, SIDE = 325_000, 4_577_000, 109_800
LINES = 1_500, 16_000
SMALL = GeoBox.from_bbox((289_000, 4_646_000, 297_000, 4_654_000), rome.CRS, resolution=10)
THREADS = 2
GOAL = 2  # times sarsen's speed


def peer() -> Path:
    """The Python of an environment with sarsen."""
    home, uv = FOLDER / "peer", Path(sys.prefix) / "bin" / "uv"
    if not (home / "bin" / "python").exists():
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, home], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", home / "bin" / "python", PEER, "rioxarray"], check=True)
    return home / "bin" / "python"


def product(name: str, numbers: rome.Lines, lines: tuple[int, int] = LINES) -> Path:
    """Write a product, once."""
    folder = FOLDER / name
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rome.product(folder, numbers, lines)
        (folder / "made").touch()
    return next(folder.glob("*.SAFE"))


def speckle(line: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    power = np.random.default_rng(int(line[0, 0])).gamma(4.4, 1 / 4.4, (line.size, pixel.size)).astype(np.float32)
    return np.maximum(np.sqrt(power) * 300, 1)


def tile(share: int) -> tuple[GeoBox, Path]:
    """The grid of the tile, or of a part of it, and a terrain model that is 5 km wider."""
    grid = GeoBox.from_bbox((WEST, SOUTH, WEST + SIDE // share, SOUTH + SIDE // share), rome.CRS, resolution=20)
    path = FOLDER / f"hills-{share}.tif"
    if not path.exists():
        around = grid.pad(250, 250)
        rome.relief(path, around, rome.hills(around, 0.7))
    return grid, path


def ours(safe: Path, dem: Path, grid: GeoBox, out: Path) -> None:
    """Correct once, in this process."""
    import dask
    import rasterio

    import geodes_lab as gl

    began, cpu = time.perf_counter(), time.process_time()
    # Written chunk by chunk; GDAL's own cache would keep what is written, up to a twentieth of the machine's memory.
    with dask.config.set(scheduler="threads", num_workers=THREADS), rasterio.Env(GDAL_CACHEMAX=64):
        cube = gl.open_cube([safe], bands=["gamma0_rtc_vv"], geobox=grid, dem=dem, dem_heights="ellipsoid")
        cube.gamma0_rtc_vv.isel(time=0).rio.to_raster(
            out, tiled=True, blockxsize=1024, blockysize=1024, compress="ZSTD", num_threads="ALL_CPUS",
            lock=threading.Lock(),
        )  # fmt: skip
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak()]))


def run(who: str, share: int, chunks: int, limit: float) -> list[float] | None:
    """Measure in a process of its own: seconds, seconds of the processor, MiB at most; None: not in time; []: failed."""
    safe, out = product("speckle", speckle), FOLDER / f"{who}.tif"
    _, dem = tile(share)
    if who == "ours":
        command = [sys.executable, "-m", "tests.benchmarks.rtc", "--case", str(share)]
    else:
        command = [
            peer(),
            Path(__file__).with_name("peers") / "rtc_peer.py",
            safe,
            dem,
            out,
            who,
            "nearest",
            str(chunks),
        ]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=TOP, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError as error:
        print(
            f"{who} ended with {error.returncode}: {error.stderr[-300:]}", flush=True
        )  # -9: killed, for want of memory
        return []
    return json.loads(done.stdout.splitlines()[-1])


def agree() -> None:
    """Compare numbers with sarsen's: where, by how much, and how far pixels are apart."""
    import rasterio

    import geodes_lab as gl

    around, lines = SMALL.pad(300, 300), (6_800, 9_900)
    patterns = {
        "wave": lambda line, pixel: 300 + 80 * np.sin(line / 60) + 80 * np.cos(pixel / 75),
        "pixel": lambda line, pixel: pixel + 1 + 0 * line,
        "line": lambda line, pixel: line + 1 + 0 * pixel,
    }
    reliefs = {
        "level": np.full(around.shape, 60.0), "hills": rome.hills(around, 0.5), "mountains": rome.hills(around, 1.0)
    }  # fmt: skip

    def both(pattern: str, dem: Path, bands: list[str], how: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        safe, out = product(pattern, patterns[pattern], lines), FOLDER / "agree.tif"
        cube = gl.open_cube(
            [safe], bands=bands, geobox=SMALL, dem=dem, dem_heights="ellipsoid", resampling="bilinear"
        ).isel(time=0).compute(scheduler="sync")  # fmt: skip
        script = Path(__file__).with_name("peers") / "rtc_peer.py"
        subprocess.run([peer(), script, safe, dem, out, how, "linear", "1024"], check=True, capture_output=True)
        with rasterio.open(out) as file:
            theirs = file.read(1)[:: -1 if file.transform.e > 0 else 1]
        return {b: cube[b].values for b in bands}, theirs[300:-300, 300:-300]

    def say(name: str, difference: np.ndarray, unit: str) -> None:
        known = difference[np.isfinite(difference)]
        far = np.percentile(np.abs(known), 95) if known.size else np.nan
        print(f"| {name} | {np.median(known):+.3f} {unit} | {far:.3f} {unit} | {known.size} |", flush=True)

    print("| ours / sarsen | median | 95 % within | pixels |\n|---|---|---|---|")
    for name, height in reliefs.items():
        dem = rome.relief(FOLDER / f"{name}.tif", around, height)
        found, theirs = both(
            "wave",
            dem,
            ["gamma0_vv", "gamma0_rtc_vv", "local_incidence_angle", "layover_shadow_mask"],
            "gamma_bilinear",
        )
        rtc, mask, angle = (found[b] for b in ("gamma0_rtc_vv", "layover_shadow_mask", "local_incidence_angle"))
        ratio = 10 * np.log10(rtc / theirs)
        if name == "level":
            say("level ground: ours beside γ0 on the ellipsoid", 10 * np.log10(rtc / found["gamma0_vv"]), "dB")
            say("level ground: sarsen beside γ0 on the ellipsoid", 10 * np.log10(theirs / found["gamma0_vv"]), "dB")
        for low, high in ((0, 20), (20, 60), (60, 75), (75, 90)):
            there = (mask == 0) & (angle >= low) & (angle < high)
            if there.sum() > 1000:
                say(f"{name}: no layover or shadow, {low}° to {high}°", ratio[there], "dB")
        for number, what in ((2, "layover"), (1, "shadow")):
            if (mask & number > 0).any():
                say(f"{name}: {what}", ratio[mask & number > 0], "dB")
    for pattern in ("pixel", "line"):
        found, theirs = both(pattern, FOLDER / "hills.tif", ["beta0_vv"], "none")
        # The table of beta nought is one number in the whole image.
        say(f"hills: {pattern}", 474.0 * (np.sqrt(found["beta0_vv"]) - np.sqrt(theirs)), "pixel")


def beside(name: str) -> None:
    """Say how far our map and that of a peer's run agree, in linear power of both."""
    import rasterio
    from rasterio.windows import from_bounds

    with rasterio.open(FOLDER / "ours.tif") as own, rasterio.open(FOLDER / f"{name}.tif") as other:
        data = own.read(1)
        theirs = other.read(1, window=from_bounds(*own.bounds, other.transform)) if other.transform.e < 0 else None
        if theirs is None:  # sarsen writes south first
            whole = other.read(1)[::-1]
            top = round(
                (other.bounds.top if other.bounds.top > other.bounds.bottom else other.bounds.bottom) - own.bounds.top
            )
            left = round(own.bounds.left - other.bounds.left)
            step = round(own.transform.a)
            theirs = whole[top // step :, left // step :][: data.shape[0], : data.shape[1]]
    with np.errstate(all="ignore"):
        ratio = 10 * np.log10(data / theirs)
    known = ratio[np.isfinite(ratio)]
    print(
        f"{name}: ours / sarsen {np.median(known):+.2f} dB, 95 % within {np.percentile(np.abs(known), 95):.2f} dB, {known.size} pixels"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--chunks", type=int, default=1024)
    parser.add_argument("--limit", type=float, default=7200)
    parser.add_argument("--peers", nargs="*", default=["gamma_bilinear", "gamma_nearest"])
    parser.add_argument("--agree", action="store_true")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if given.case:
        ours(product("speckle", speckle), tile(given.case)[1], tile(given.case)[0], FOLDER / "ours.tif")
        return
    if given.agree:
        agree()
        return
    names = ["ours"] if given.only_ours else ["ours", *given.peers]
    runs: dict[str, list[list[float]]] = {name: [] for name in names}
    late: set[str] = set()
    for _ in range(given.rounds):
        for name in names:
            measured = run(name, given.share, given.chunks, given.limit)
            if measured is None:
                late.add(name)
            elif measured:
                runs[name].append(measured)
                print(name, [round(v, 1) for v in measured], flush=True)
    print("| | s | CPU s | MiB |\n|---|---|---|---|")
    middle = {n: [statistics.median(v) for v in zip(*several, strict=True)] for n, several in runs.items() if several}
    for name in names:
        if name not in middle and name not in late:
            print(f"| {name} | failed | | |")
        elif name not in middle:
            print(f"| {name if name == 'ours' else f'sarsen, {name}'} | not finished after {given.limit:.0f} s | | |")
            if "ours" in middle:
                ratio = given.limit / middle["ours"][0]
                more = f"; at least {GOAL} ×: {'met' if ratio >= GOAL else 'not known'}"
                print(f"speed beside sarsen, {name}: more than {ratio:.1f} × by time{more}")
    for name, (wall, cpu, most) in middle.items():
        print(f"| {name if name == 'ours' else f'sarsen, {name}'} | {wall:.0f} | {cpu:.0f} | {most:.0f} |")
    for name in (n for n in names[1:] if n in middle and "ours" in middle):
        beside(name)
        ratios = [middle[name][n] / middle["ours"][n] for n in (0, 1)]
        print(
            f"speed beside sarsen, {name}: {ratios[0]:.1f} × by time, {ratios[1]:.1f} × by CPU; at least {GOAL} ×: {'met' if min(ratios) >= GOAL else 'missed'}"
        )


if __name__ == "__main__":
    main()
