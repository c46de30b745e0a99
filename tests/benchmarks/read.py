"""From a zipped JPEG 2000 or a COG on S3 to numbers: ours beside odc-stac and stackstac on GDAL, and the limit, in one run."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import imagecodecs
import rasterio

import geodes_lab as gl
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.formats.jpeg2000 import openjpeg
from geodes_lab.products import bands
from geodes_lab.storage.location import place_of
from tests.benchmarks.data import stage

PEERS = ("odc-stac", "stackstac")
EODAG = ("eodag-cube==0.9.1", "s3fs==2026.9.0")


def make(case: str, dates: int) -> Any:
    """One measured thing, lazy: ``who what``."""
    who, what = case.split()
    kind, _, what = what.rpartition("-")
    some = stage.items(dates if what in ("window", "lambert93", "year") else 1, kind or "zip")
    if what == "one":
        return gl.open_cube(some, bands=["B04"], geobox=stage.window())
    if what == "band":
        return gl.open_cube(some, bands=["B04"]).B04.data.map_blocks(lambda block: block[:1, :1, :1])  # made, not kept
    if what == "window":
        return stage.cube(who, some, stage.window())
    if what == "lambert93":
        return stage.cube(who, some, stage.warped())
    if what == "year":
        return stage.cube(who, some, stage.window()).groupby("time.month").median()
    return stage.cube(
        who, some, stage.coarse(int(what.removeprefix("mean"))), "average" if "mean" in what else "nearest"
    )


def part(some: Any, band: str = "B04", area: Any = None) -> tuple[Any, list[tuple[int, Any]]]:
    """The image of a band, and its tiles with the area that a grid needs of each."""
    source = bands.source(some, band)
    place = place_of(source.href.removeprefix("/vsizip/{").partition("}/")[0])
    image = jpeg2000_image.open(place, source.stored, 0)
    useful = source.spans(area) if area is not None else None
    high, wide = image.index.header.tile
    down, across = image.index.header.grid
    wanted = []
    for r in range(down):
        for c in range(across):
            inside = useful is None or (
                useful[0][0] < (r + 1) * high and useful[0][1] > r * high and
                useful[1][0] < (c + 1) * wide and useful[1][1] > c * wide
            )  # fmt: skip
            if inside:
                wanted.append((r * across + c, image._area(0, r * high, c * wide, (high, wide), useful)))
    return image, wanted


def eodag(server: stage.Server) -> float | None:
    """Seconds of EODAG-cube for the window of one band of one date, in an environment of its own; None if it has none."""
    home, uv = stage.FOLDER / "eodag", Path(sys.prefix) / "bin" / "uv"
    python = home / "bin" / "python"
    make_ = [[uv, "venv", "-q", "--allow-existing", home], [uv, "pip", "install", "-q", "--python", python, *EODAG]]
    if any(subprocess.run(command).returncode for command in make_):
        return None
    source = bands.source(stage.items(1)[0], "B04")
    archive, _, member = source.href.removeprefix("/vsizip/{/vsis3/").partition("}/")
    asked = {"box": list(stage.window().boundingbox.bbox), "members": [[archive, member]]}
    asked["endpoint"] = f"http://127.0.0.1:{server.port}"
    before = server.counts()
    script = str(Path(__file__).with_name("peers") / "eodag_way.py")
    took = float(subprocess.check_output([python, script, json.dumps(asked)], text=True).split()[-1])
    after = server.counts()
    print(f"| EODAG-cube one | {took:.2f} | {after[0] - before[0]} | {(after[1] - before[1]) / 1e6:.1f} |", flush=True)
    return took


def decoded(streams: list[bytes]) -> None:
    """Decode code-streams from memory by the codec alone, with as many threads."""
    with ThreadPoolExecutor(stage.THREADS) as pool:
        list(pool.map(openjpeg.decode, streams))


def limit(dates: int, area: Any = None, names: tuple[str, ...] = ("B04",)) -> tuple[float, float]:
    """Seconds of the codec alone from memory with as many threads, and of the transfer alone."""
    decode = transfer = 0.0
    with ThreadPoolExecutor(stage.THREADS) as pool:
        for item in stage.items(dates):
            for band in names:
                image, wanted = part(item, band, area)
                parts = image.index.parts([n for n, _ in wanted])
                began = time.perf_counter()
                data = [f.result() for f in image.index.place.fetch(parts)]
                transfer += time.perf_counter() - began
                streams = [(image.index.header.alone(n, d, 0), a) for (n, a), d in zip(wanted, data, strict=True)]
                began = time.perf_counter()
                list(pool.map(lambda s: openjpeg.decode(*s), streams))
                decode += time.perf_counter() - began
    return decode, transfer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=["window", "eodag", "overview", "accuracy", "band", "cog", "year"])
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case and options.only == ["accuracy"]:
        stage.use_server()
        with rasterio.Env(**stage.GDAL), dask.config.set(scheduler="threads", num_workers=stage.THREADS):
            found = make(options.case, 1).isel(time=0).values
        print(*stage.accuracy(found[0], int(options.case.split()[1].removeprefix("mean"))))
        return
    if options.case:
        stage.measure(lambda: make(options.case, 73 if options.case.endswith("year") else options.dates))
        return
    stage.items(options.dates), stage.items(options.dates, "cog")
    ratios: list[str] = []
    with stage.Server() as server:
        print(
            f"{stage.THREADS} threads, {len(stage.BANDS)} bands, {options.dates} dates, Python {sys.version.split()[0]}"
        )
        print(f"imagecodecs {imagecodecs.__version__}, OpenJPEG for areas: {openjpeg.library() is not None}\n")
        print("| | s | requests | MB |\n|---|---|---|---|")

        def clock(case: str, label: str = "") -> tuple[float, int, int, int]:
            return server.clock(__spec__.name, case, label)

        def best(what: str) -> float:
            return min(clock(f"{who} {what}")[0] for who in options.peers)

        if "window" in options.only:
            shutil.rmtree(stage.INDEX, ignore_errors=True)
            cold, warm = clock("ours window", ", cold index"), clock("ours window", ", warm index")
            peer = best("window")
            image, wanted = part(stage.items(1)[0], area=stage.window())
            tiles = sum(length for _, length in image.index.parts([n for n, _ in wanted]))
            tiles *= len(stage.BANDS) * options.dates
            ratios.append(f"window: {peer / warm[0]:.1f} × the best peer warm, {peer / cold[0]:.1f} × cold")
            ratios.append(
                f"window: {warm[1]} requests for {warm[3]} tiles, {warm[2] / tiles:.2f} × the bytes of the tiles"
            )
        if "eodag" in options.only:
            clock("ours one", ", cold index")
            mine, theirs = clock("ours one", ", warm index"), eodag(server)
            ratios.append(
                f"window of one band and date: {theirs / mine[0]:.1f} × EODAG-cube" if theirs else "no EODAG-cube"
            )
        if "accuracy" in options.only:
            print("| | rms, of the standard deviation | metres aside |\n|---|---|---|")
            for what in ("16", "mean16", "8", "mean8"):
                for who in ("ours", *options.peers):
                    rms, aside = subprocess.check_output(
                        [sys.executable, "-m", __spec__.name, "--case", f"{who} {what}", "--only", "accuracy"],
                        text=True,
                    ).split()[-2:]
                    print(f"| {who} {what} | {float(rms):.3f} | {float(aside):.0f} |", flush=True)
        if "overview" in options.only:
            whole = sum(s[1] for s in (bands.source(stage.items(1)[0], b).stored for b in stage.BANDS))
            for times in (16, 8):
                clock(f"ours {times}", ", cold index")
                mine = clock(f"ours {times}", ", warm index")
                mean = clock(f"ours mean{times}", ", warm index")
                ratios.append(f"whole tile at 1/{times}, average: {best(f'mean{times}') / mean[0]:.1f} × the best peer")
                ratios.append(
                    f"whole tile at 1/{times}: {best(str(times)) / mine[0]:.1f} × the best peer, "
                    f"{100 * mine[2] / whole:.1f} % of the bytes"
                )
        if "band" in options.only:
            clock("ours band", ", cold index")
            floor = limit(1)[0]
            print(f"| the codec from memory, whole band | {floor:.2f} | | |")
            mine = clock("ours band", ", warm index")
            again = limit(1)[0]
            ratios.append(
                f"whole band: {(floor + again) / 2 / mine[0]:.2f} of the decode limit; {mine[3]} tiles decoded"
            )
        if "cog" in options.only:
            for what in ("cog-window", "cog-16", "cog-lambert93", "lambert93"):
                mine = clock(f"ours {what}")
                ratios.append(f"{what}: {best(what) / mine[0]:.1f} × the best peer")
        if "year" in options.only:
            stage.items(73)
            clock("ours year", ", cold index")
            mine = clock("ours year", ", warm index")
            decode, transfer = limit(73, stage.window(), stage.BANDS)
            print(f"| decode alone, transfer alone | {decode:.2f} + {transfer:.2f} | | |")
            ratios.append(f"year to monthly median: {mine[0] / (decode + transfer):.2f} × the floor, 73 dates")
            ratios.append(f"year to monthly median: {best('year') / mine[0]:.1f} × the best peer")
    print("\n" + "\n".join(ratios))


if __name__ == "__main__":
    main()
