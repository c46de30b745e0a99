"""A PostgreSQL of the machine, for a test alone: a socket leads to it, and no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.awaiting import awaited


def _initdb() -> str | None:
    found = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    return next((f for f in found if f), None)


def missing() -> str:
    """Why there is none here; empty if there is one."""
    return "" if _initdb() and shutil.which("pg_dump") else "PostgreSQL is not installed"


@contextmanager
def serving() -> Iterator[Path]:
    """Run one with an empty database ``lab`` of a user ``hub``; give the folder of its socket, which is its host."""
    initdb = _initdb()
    assert initdb
    folder = Path(tempfile.mkdtemp(prefix="geodes-lab-pg-"))  # not below pytest's folder, which is root's alone
    rights = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if rights:
        os.chown(folder, 65534, 65534)
    folder.chmod(0o711)  # a container's account comes to the socket
    data = folder / "data"
    subprocess.run(
        [*rights, initdb, "-A", "trust", "-U", "hub", "-D", str(data)], check=True, capture_output=True, cwd=folder
    )
    server = Path(initdb).with_name("postgres")
    command = [*rights, str(server), "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        question = ["psql", "-h", str(folder), "-U", "hub", "-c", "", "postgres"]
        awaited(lambda: subprocess.run(question, capture_output=True).returncode == 0)
        subprocess.run(["createdb", "-h", str(folder), "-U", "hub", "lab"], check=True)
        yield folder
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def asked(folder: Path, text: str) -> str:
    """What the database says to a statement of SQL."""
    command = ["psql", "-h", str(folder), "-U", "hub", "-At", "-c", text, "lab"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
