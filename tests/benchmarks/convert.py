"""gl.convert of a band of a full Sentinel-2 tile from inside the zip, beside rio-cogeo from the extracted file.

Both write a COG with the same profile (deflate, predictor 2, blocks of 512, overviews by average) with two threads. Ours
also compares each pixel with the source and takes the file's SHA-256; rio-cogeo does neither, and its file is extracted
before the clock starts. The same band to a Zarr cube is a row of its own. Each measurement is a process of its own, with
everything imported, in turn. Wall and CPU seconds: where others work on the same cores, the second tells more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.benchmarks.data import stage

PEER = "rio-cogeo==7.0.4"
WHO = ("ours", "rio-cogeo", "cube")


def clocks() -> tuple[float, float]:
    """Wall and CPU seconds."""
    return time.perf_counter(), time.process_time()


def sources() -> tuple[Path, Path]:
    """The zip, and one band of it extracted, both made once."""
    zipped, extracted = stage.FOLDER / "original.zip", stage.FOLDER / "original.jp2"
    if not zipped.exists():
        stage.items(0)
    if not extracted.exists():
        with zipfile.ZipFile(zipped) as archive:
            extracted.write_bytes(archive.read("P.SAFE/IMG_DATA/P_B04.jp2"))
    return zipped, extracted


def ours(target: str, ending: str) -> None:
    """Convert the band from inside the zip."""
    import geodes_lab as gl

    zipped, _ = sources()
    (item,) = stage.described(1, "zip", places(zipped))
    for asset in item.assets.values():
        asset.href = asset.href.replace("/vsis3/bench/P0000.zip", str(zipped))
    gl.convert  # noqa: B018  (imported before the clock starts)
    began = clocks()
    report = gl.convert(item, f"{target}/{ending}", bands=["B04"])
    ended = clocks()
    row = report.table.iloc[0].to_dict()
    print(
        json.dumps(
            [ended[0] - began[0], ended[1] - began[1], int(row["bytes"]), row["source_MB_per_s"], row["file_MB_per_s"]]
        )
    )


def places(zipped: Path) -> dict[str, tuple[int, int]]:
    """Where each band lies in the zip."""
    with zipfile.ZipFile(zipped) as archive:
        return {i.filename[-7:-4]: (i.header_offset, i.file_size) for i in archive.infolist()}


def theirs(source: str, target: str) -> None:
    """Convert the extracted file by rio-cogeo; run in an environment that has it."""
    from rasterio.shutil import copy  # noqa: F401  (imported before the clock starts)
    from rio_cogeo.cogeo import cog_translate
    from rio_cogeo.profiles import cog_profiles

    profile = cog_profiles.get("deflate") | {"predictor": 2}
    side, place = stage.SIDE, stage.WHOLE.affine.to_gdal()
    vrt = Path(target, "B04.vrt")  # the benchmark's JPEG 2000 has no grid of its own, and rio-cogeo needs one
    vrt.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>{','.join(map(str, place))}</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><NoDataValue>0</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        f"</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    began = clocks()
    cog_translate(
        str(vrt), f"{target}/B04.tif", profile, overview_resampling="average", overview_level=5, quiet=True, in_memory=False,
        nodata=0, config={"GDAL_NUM_THREADS": "2"},
    )  # fmt: skip
    ended = clocks()
    print(json.dumps([ended[0] - began[0], ended[1] - began[1], Path(target, "B04.tif").stat().st_size, None, None]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, extracted = sources()
    if options.case:
        who, target = options.case
        theirs(str(extracted), target) if who == "rio-cogeo" else ours(target, "x.zarr" if who == "cube" else "cog")
        return
    peer, uv = stage.FOLDER / "convert-peer", Path(sys.prefix) / "bin" / "uv"
    command = [str(uv), "pip", "install", "-q", "--no-deps", "--target", str(peer), PEER, "morecantile", "attrs"]
    subprocess.run(command, check=True)
    took: dict[str, list[list[float]]] = {who: [] for who in WHO}
    for number in range(options.rounds):
        for who in WHO[:: -1 if number % 2 else 1]:
            with tempfile.TemporaryDirectory(dir=stage.FOLDER) as target:
                environment = os.environ | {"DASK_GEODES_LAB__CACHE__FOLDER": f"{target}/cache"}
                if who == "rio-cogeo":
                    environment["PYTHONPATH"] = f"{peer}:{Path.cwd()}"
                run = [sys.executable, "-m", __spec__.name, "--case", who, target]
                text = subprocess.check_output(run, text=True, env=environment)
                took[who].append(json.loads(text.splitlines()[-1]))
                shutil.rmtree(target, ignore_errors=True)
                Path(target).mkdir()
            os.sync()
    print("| | s, by round | s, median | CPU s, median | MB written | source read, MB/s | result read, MB/s |")
    print("|---|---|---|---|---|---|---|")
    middle = {}
    for who, rows in took.items():
        wall, cpu, size, *_ = (statistics.median(c) if None not in c else None for c in zip(*rows, strict=True))
        middle[who] = wall, cpu
        rounds = " ".join(f"{r[0]:.1f}" for r in rows)
        print(f"| {who} | {rounds} | {wall:.1f} | {cpu:.1f} | {size / 1e6:.0f} | {rows[0][3]} | {rows[0][4]} |")
    for index, unit in ((0, "s"), (1, "CPU s")):
        print(f"speed of ours / rio-cogeo, in {unit}: {middle['rio-cogeo'][index] / middle['ours'][index]:.2f}")


if __name__ == "__main__":
    main()
