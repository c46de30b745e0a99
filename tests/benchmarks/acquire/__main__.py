"""The acquisition engine beside a plain copy with the same checks: products from a server on loopback to a disk and a catalogue.

The plain copy is what a script does: curl, md5sum, BLAKE3 in Python, ``unzip -t``, fsync, and a rename; 4 products at the same time. It
keeps no state, and writes no catalogue. The products are zips of random bytes. Each measurement is a process of its own, in turn; the
memory is the highest that the process itself had (VmHWM), without its children.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.acquire.ways import AT_ONCE
from tests.benchmarks.data.stage import FOLDER
from tests.benchmarks.download import products
from tests.support.servers.s3_server import serving

WHO = ("acquire", "copy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=20)
    parser.add_argument("--size", type=int, default=100, help="MB of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to write; what was written is deleted")
    parser.add_argument(
        "--s3", action="store_true", help="store in a bucket of the tests' S3 server, whose CPU counts for nobody"
    )
    options = parser.parse_args()
    source, sums = products(options.products, options.size)
    sizes = {name: (source / f"{name}.zip").stat().st_size for name in sums}
    command = [sys.executable, "-m", "tests.benchmarks.download", "--serve", str(source)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    rows: dict[str, list[tuple[float, float, float]]] = {who: [] for who in WHO}
    storing = contextlib.ExitStack()
    bucket = Path(options.folder or FOLDER) / "bench-s3"
    (bucket / "lake").mkdir(parents=True, exist_ok=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        environment = dict(os.environ)
        if options.s3:
            address = storing.enter_context(serving(bucket))
            environment = {**os.environ, "DASK_GEODES_LAB__DATALAKE__ENDPOINT": address}
        for number in range(options.rounds):
            for who in WHO[:: -1 if number % 2 else 1]:
                with tempfile.TemporaryDirectory(dir=options.folder or FOLDER) as target:
                    run = [sys.executable, "-m", "tests.benchmarks.acquire.ways", who, url, target]
                    if options.s3:
                        environment["BENCH_BUCKET"] = f"s3://lake/{who}-{number}"
                    text = subprocess.check_output(run, text=True, input=json.dumps([sums, sizes]), env=environment)
                    shutil.rmtree(bucket / "lake" / f"{who}-{number}", ignore_errors=True)
                    wall, used, memory = map(float, text.split()[-3:])
                    rows[who].append((wall, used, memory))
                os.sync()
    finally:
        storing.close()
        server.terminate()
        server.wait(10)
        shutil.rmtree(bucket)
    total = sum(sizes.values())
    print(f"{len(sums)} products of {options.size} MB, {AT_ONCE} at the same time\n")
    print("| | s, by round | MB/s, median | CPU s, median | memory, MB |\n|---|---|---|---|---|")
    middle = {}
    for who, values in rows.items():
        wall, used, memory = (statistics.median(column) for column in zip(*values, strict=True))
        middle[who] = wall, used
        print(
            f"| {who} | {' '.join(f'{v[0]:.2f}' for v in values)} | {total / wall / 1e6:.0f} | {used:.2f} | {memory:.0f} |"
        )
    for unit, index in (("s", 0), ("CPU s", 1)):
        print(f"the plain copy: {middle['copy'][index] / middle['acquire'][index]:.2f} × the engine, in {unit}")


if __name__ == "__main__":
    main()
