"""The peer of the catalogue: pgstac on Debian's PostgreSQL and PostGIS, and its STAC API, with the same Items.

Its packages go into an environment of their own, ``build/bench/pgstac``; the database is a cluster of its own that listens on
loopback alone and is stopped at the end. PostgreSQL does not run as root: then it runs as ``postgres``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet
from geodes_lab.catalog.harvested.snapshot import Snapshot
from tests.support.paths import TOP

VENV = TOP / "build" / "bench" / "pgstac"
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").exists() else []
# For a machine with some gigabytes, as pgstac's documentation advises.
OPTIONS = {
    "shared_buffers": "2GB", "work_mem": "64MB", "effective_cache_size": "8GB", "max_wal_size": "8GB",
    "maintenance_work_mem": "1GB", "synchronous_commit": "off",
}  # fmt: skip


def reason() -> str | None:
    """Why it cannot be had here; None: it can."""
    if not SERVERS:
        return "pgstac is left out: install Debian's packages postgresql and postgresql-15-postgis-3"
    return None


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def database(snapshot: Snapshot) -> Iterator[dict[str, str]]:
    """Run a database that has the Items of a catalogue; gives the environment that finds it."""
    if not (VENV / "bin" / "pypgstac").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        uv = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "install", "-q", "--python", str(VENV / "bin" / "python")]
        subprocess.run([*uv, "stac-fastapi-pgstac==7.2.0", "pypgstac[psycopg]==0.10.0", "uvicorn"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="geodes-pgstac-"))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    where = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port()),
        "PGUSER": "postgres",
        "PGPASSWORD": "x",
        "PGDATABASE": "postgres",
    }
    data, control = str(folder / "data"), [*user, str(SERVERS[-1] / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(
        [*user, str(SERVERS[-1] / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8"], **quiet
    )
    told = {"port": where["PGPORT"], "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), **OPTIONS}
    options = " ".join(f"-c {k}={v}" for k, v in told.items())
    subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "start"], **quiet)
    try:
        environment = {**os.environ, **where}
        _load(snapshot, folder, environment)
        yield {**environment, "PGDATA": data}
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder)


def _load(snapshot: Snapshot, folder: Path, environment: dict[str, str]) -> None:
    tool, begin = [str(VENV / "bin" / "pypgstac")], time.perf_counter()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run(*tool, "migrate")
    name = next(iter(snapshot.collections))
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2016-01-01T00:00:00Z", None]]}}
    collection = {"type": "Collection", "id": name, "stac_version": "1.1.0", "description": "-", "license": "other"}
    (folder / "collection.json").write_bytes(orjson.dumps({**collection, "extent": extent, "links": []}))
    run(*tool, "load", "collections", str(folder / "collection.json"), "--method", "upsert")
    sql = [str(SERVERS[-1] / "psql"), "-c"]
    run(*sql, "UPDATE pgstac.collections SET partition_trunc = 'month'")
    for file in snapshot.files:
        with (folder / "items.ndjson").open("wb") as out:
            for record in geoparquet.records(pq.read_table(snapshot.folder / file.path)):
                out.write(orjson.dumps({**record, "links": []}) + b"\n")
        run(*tool, "load", "items", str(folder / "items.ndjson"), "--method", "insert")
    (folder / "items.ndjson").unlink()
    run(*sql, "VACUUM ANALYZE")
    print(f"pgstac has the Items after {time.perf_counter() - begin:.0f} s", flush=True)


@contextmanager
def api(environment: dict[str, str]) -> Iterator[str]:
    """Its STAC API, stac-fastapi-pgstac, in one process as ours; gives its address."""
    number = port()
    settings = {"DB_MIN_CONN_SIZE": "1", "DB_MAX_CONN_SIZE": "10"}
    factory = ["stac_fastapi.pgstac.app:create_app", "--factory"]
    command = [str(VENV / "bin" / "uvicorn"), *factory, "--port", str(number), "--log-level", "error"]
    with subprocess.Popen(command, env={**environment, **settings}) as server:
        try:
            yield f"http://127.0.0.1:{number}"
        finally:
            server.terminate()
