"""The catalogue: searches of millions of Items beside pgstac and the plain files, a harvest, and searches of a service by its pages.

``python -m tests.benchmarks.catalogue --items 10000000``; pgstac has ``--peer-items`` of them, since it loads slowly.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import duckdb
import httpx
import numpy as np
import orjson
import pyarrow.parquet as pq

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.harvested.harvest import harvest
from geodes_lab.catalog.harvested.index import Index
from geodes_lab.catalog.harvested.snapshot import Snapshot
from geodes_lab.catalog.lookup import found
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import parse
from geodes_lab.catalog.remote.geodes import Geodes
from tests.benchmarks.data import synthetic
from tests.benchmarks.peers import pgstac
from tests.support.paths import TOP

FOLDER = TOP / "build" / "bench" / "catalogue"
WARM, ASKED = 20, 200
STAND_IN = """
import sys; sys.path.insert(0, {top!r})
from tests.support.servers.standin import StandIn, products
with StandIn(products({items}), latency={latency}) as service:
    print(service.url, flush=True)
    for _ in sys.stdin:
        print(service.served, flush=True)
"""


def searches(seed: int = 1, years: range = synthetic.YEARS) -> list[dict]:
    """Boxes of 24 degrees and a month each: at a million Items each has a hundred, which is the page."""
    rng, asked = random.Random(seed), []
    for _ in range(WARM + ASKED):
        west, south = rng.uniform(-179, 155), rng.uniform(-48, 44)
        asked.append(
            {
                "bbox": [west, south, west + 24, south + 24],
                "datetime": f"{rng.choice(years)}-{rng.randint(1, 12):02d}",
            }
        )
    return asked


def p95(name: str, ask: Callable[[dict], int], years: range = synthetic.YEARS) -> float:
    """Print how long searches take, in milliseconds."""
    times, counts = [], []
    for asked in searches(years=years):
        begin = time.perf_counter()
        counts.append(ask(asked))
        times.append((time.perf_counter() - begin) * 1e3)
    middle, high = np.percentile(times[WARM:], [50, 95])
    print(f"  {name:42} p50 {middle:7.1f} ms   p95 {high:7.1f} ms   {np.mean(counts):.0f} Items on average", flush=True)
    return float(high)


def ours(snapshot: Snapshot) -> Callable[[dict], int]:
    index = Index(Profile("bench", "local", str(snapshot.folder)))
    return lambda a: len(index.records(parse([synthetic.NAME], **a, limit=100, latest=False, queryables={})))


def plain(snapshot: Snapshot) -> Callable[[dict], int]:
    """The same files as any GeoParquet: DuckDB looks at all of them, and finds by their statistics what it can skip."""
    connection = duckdb.connect()
    connection.execute("SET parquet_metadata_cache = true; SET TimeZone = 'UTC'")
    files = [str(snapshot.folder / f.path) for f in snapshot.files]

    def ask(a: dict) -> int:
        query = parse([synthetic.NAME], **a, queryables={})
        w, s, e, n = a["bbox"]
        rows = connection.execute(
            "SELECT * FROM read_parquet(?) WHERE datetime >= ? AND datetime < ? AND bbox.xmin <= ? AND bbox.xmax >= ? "
            "AND bbox.ymin <= ? AND bbox.ymax >= ? ORDER BY datetime, id LIMIT 100",
            [files, query.start, query.end, e, w, n, s],
        ).fetchall()
        return len(rows)

    return ask


def peer(environment: dict[str, str]) -> Callable[[dict], int]:
    """pgstac's own function, asked by its own driver in its own environment."""
    code = """
import sys, json, psycopg
connection = psycopg.connect(autocommit=True)
connection.execute("SET search_path TO pgstac, public")
for line in sys.stdin:
    found = connection.execute("SELECT search(%s::text::jsonb)", [line]).fetchone()[0]
    print(len(found["features"]), flush=True)
"""
    process = subprocess.Popen(
        [str(pgstac.VENV / "bin" / "python"), "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(a: dict) -> int:
        process.stdin.write(body(a).decode() + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    return ask


def body(a: dict) -> bytes:
    query = parse([synthetic.NAME], **a, queryables={})
    span = f"{query.start:%Y-%m-%dT%H:%M:%SZ}/{query.end:%Y-%m-%dT%H:%M:%SZ}"
    order = [{"field": "datetime", "direction": "asc"}, {"field": "id", "direction": "asc"}]
    return orjson.dumps(
        {"collections": [synthetic.NAME], "bbox": a["bbox"], "datetime": span, "limit": 100, "sortby": order}
    )


def sizes(snapshot: Snapshot) -> None:
    """Print the bytes of an Item: those that a search looks at, and all."""
    rest = ("assets", "links", "stac_extensions", "geodes:urn", "identifier", "storage:schemes")
    looked_at = whole = rows = 0
    for file in snapshot.files:
        metadata = pq.ParquetFile(snapshot.folder / file.path).metadata
        rows += metadata.num_rows
        for group in range(metadata.num_row_groups):
            columns = [metadata.row_group(group).column(k) for k in range(metadata.num_columns)]
            whole += sum(c.total_compressed_size for c in columns)
            looked_at += sum(c.total_compressed_size for c in columns if not c.path_in_schema.startswith(rest))
    print(
        f"  an Item takes {looked_at / rows:.0f} bytes in the columns that searches look at, {whole / rows:.0f} in all",
        flush=True,
    )


@contextmanager
def stand_in(items: int, latency: float) -> Iterator[tuple[str, Callable[[], float]]]:
    """A stand-in for GEODES in a process of its own; gives its address, and what tells the seconds that it worked."""
    code = STAND_IN.format(top=str(TOP), items=items, latency=latency)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def served() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        url = process.stdout.readline().strip()
        with dask.config.set({"geodes_lab.catalog.profiles.geodes.url": url}):
            yield url, served
        process.terminate()


def harvesting(items: int) -> None:
    """Print the speed of a harvest."""
    with stand_in(items, 0) as (_, served), tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        harvest(Geodes(profiles.load("geodes")), Path(folder), ["PEPS_S2_L1C"])
        taken = time.perf_counter() - begin
        speed = f"{items / taken:,.0f} a second, {served():.1f} s of {taken:.1f} s are the stand-in's"
    print(f"  harvest of {items:,} Items: {speed}", flush=True)


def paging(latency: float) -> None:
    """Print what a search of 2 000 Items costs beside the same pages, fetched one after another and not looked at."""
    with stand_in(20_000, latency) as (url, _), httpx.Client() as client:
        catalogue = Geodes(profiles.load("geodes"))
        query = parse(["PEPS_S2_L1C"], datetime="2015-07/2017-06", limit=2000, latest=False, queryables={})
        number = len(found(catalogue, query))
        body, ratios = next(iter(catalogue._bodies(query))), []
        for _ in range(5):
            begin = time.perf_counter()
            found(catalogue, query)
            whole = time.perf_counter() - begin
            begin = time.perf_counter()
            for page in range(1, -(-number // 80) + 1):
                client.post(f"{url}/search", json={**body, "page": page}).read()
            ratios.append(whole / (time.perf_counter() - begin))
    print(
        f"  search of {number:,} Items by pages of 80, {latency * 1e3:.0f} ms a page: {np.median(ratios):.2f} × the service's own time",
        flush=True,
    )


def searching(items: int, peer_items: int) -> None:
    """Print how long a search takes at several sizes, and beside pgstac's own function."""
    wanted = sorted({peer_items, items})
    print("Search: collection, box of 24° and month, the first 100 Items", flush=True)
    high = {}
    for number in wanted:
        snapshot = synthetic.write(FOLDER / str(number), number)
        high[number] = p95(f"geodes_lab, {number:,} Items", ours(snapshot))
        scan = p95(f"plain GeoParquet by DuckDB, {number:,} Items", plain(snapshot))
        print(f"  ratio of p95, plain files / ours: {scan / high[number]:.1f}", flush=True)
        sizes(snapshot)
    # What a search meets at a size is a month of that size: one year of such months is searched as all would be.
    year = range(2023, 2024)
    months = synthetic.write(FOLDER / "year-of-43", 43_000_000 // len(synthetic.YEARS), year)
    p95("geodes_lab, months as of 43,000,000 Items", ours(months), year)
    if not pgstac.reason():
        with pgstac.database(synthetic.write(FOLDER / str(peer_items), peer_items)) as database:
            other = p95(f"pgstac, {peer_items:,} Items", peer(database))
            print(f"  ratio of p95, pgstac / ours: {other / high[peer_items]:.1f}", flush=True)
    else:
        print(f"  {pgstac.reason()}", flush=True)
    if len(wanted) == 2:
        print(f"  p95 at {wanted[1]:,} is {high[wanted[1]] / high[wanted[0]]:.2f} × that at {wanted[0]:,}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--peer-items", type=int, default=1_000_000)
    options = parser.parse_args()
    searching(options.items, options.peer_items)
    print("Harvest and search of the service", flush=True)
    harvesting(60_000)
    for latency in (0, 0.05, 0.2):
        paging(latency)


if __name__ == "__main__":
    main()
