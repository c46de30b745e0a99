"""The two ways of `tests.benchmarks.acquire`, in a process that imports nothing else: its memory is measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.peers.download_peers import clocks

AT_ONCE = 4
BUCKET = os.environ.get("BENCH_BUCKET", "")  # s3://bucket/prefix; empty: a folder


def engine(url: str, sums: dict[str, str], sizes: dict[str, int], target: str) -> tuple[float, float]:
    """Wall and CPU seconds of a round of the engine."""
    from geodes_lab.acquisition.engine import Engine
    from geodes_lab.acquisition.loading import understood
    from geodes_lab.acquisition.publication import Page, Publication
    from geodes_lab.storage.fetch import Remote
    from geodes_lab.storage.location import locate
    from geodes_lab.util import allocation

    allocation.give_back()  # as the command does
    day = datetime(2021, 6, 5, tzinfo=UTC)

    class Given:
        def look(self, request, position):
            known = {"start_datetime": "2021-06-05T00:00:00Z"}
            yield Page(
                tuple(
                    Publication(n, n, day, (f"{url}/{n}.zip",), sizes[n], (f"d50110{md5}",), "", known)
                    for n, md5 in sums.items()
                )
            )

        def acknowledge(self, page): ...

        def remote(self, publication):
            (href,) = publication.hrefs
            return Remote(publication.name, href, locate(href), publication.size, None)

    config = understood(
        {
            "version": 1, "sources": {"up": {"kind": "plug-in", "name": "given"}}, "collections": {"P": {"source": "up"}},
            "destination": {"s3": BUCKET} if BUCKET else {"folder": f"{target}/lake"}, "catalogue": f"{target}/catalogue",
            "state": {"folder": f"{target}/state"}, "parallel": AT_ONCE,
        },
        "the benchmark",
    )  # fmt: skip
    running = Engine(config, given={"up": Given()})
    began = clocks()
    result = running.run()
    ended = clocks()
    assert result.catalogued == len(sums), result
    return ended[0] - began[0], ended[1] - began[1]


def copy(url: str, sums: dict[str, str], sizes: dict[str, int], target: str) -> tuple[float, float]:
    """Wall and CPU seconds of the plain copy, its children among them."""
    from blake3 import blake3

    def one(name: str) -> None:
        part, path = Path(target) / f"{name}.part", Path(target) / f"{name}.zip"
        subprocess.run(["curl", "-sf", "-o", part, f"{url}/{name}.zip"], check=True)
        told = subprocess.run(["md5sum", part], check=True, capture_output=True, text=True).stdout
        assert told.split()[0] == sums[name]
        assert part.stat().st_size == sizes[name]
        digest = blake3()
        with part.open("rb", buffering=0) as file:
            while data := file.read(2**22):
                digest.update(data)
            os.fsync(file.fileno())
        digest.hexdigest()
        subprocess.run(["unzip", "-tqq", part], check=True)
        if BUCKET:
            upload(part, f"{name}.zip")
            part.unlink()
        else:
            part.rename(path)

    began, spent = clocks(), os.times()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, sums))
    ended, after = clocks(), os.times()
    children = after.children_user + after.children_system - spent.children_user - spent.children_system
    return ended[0] - began[0], ended[1] - began[1] + children


def upload(part: Path, name: str) -> None:
    """Upload in parts of 16 MiB, 4 at the same time, as s5cmd does."""
    import obstore
    from obstore.store import S3Store

    bucket, _, prefix = BUCKET.removeprefix("s3://").partition("/")
    endpoint = os.environ["DASK_GEODES_LAB__DATALAKE__ENDPOINT"]
    store = S3Store(
        bucket,
        endpoint=endpoint,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    obstore.put(store, f"{prefix}/{name}", part, use_multipart=True, chunk_size=2**24, max_concurrency=4)


def highest() -> float:
    """The most memory that this process had, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


if __name__ == "__main__":
    who, url, target = sys.argv[1:]
    sums, sizes = json.load(sys.stdin)
    print(*{"acquire": engine, "copy": copy}[who](url, sums, sizes, target), highest())
