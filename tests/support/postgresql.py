"""A PostgreSQL of the test's own on loopback, which can die and come back."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass
class Server:
    place: dict[str, Any]
    control: list[str]
    options: str
    folder: Path

    def start(self) -> None:
        self._do("-o", self.options, "-l", str(self.folder / "log"), "start")

    def die(self) -> None:
        """As by a loss of power: nothing is finished."""
        self._do("-m", "immediate", "stop")

    def _do(self, *words: str) -> None:
        subprocess.run([*self.control, *words], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """It does not run as root."""
    if not SERVERS:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="geodes-postgresql-"))  # pytest's own folders are root's alone
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, binaries = str(folder / "data"), SERVERS[-1]
    command = [*user, str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "postgres"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    place = {"host": "127.0.0.1", "port": port, "database": "postgres", "user": "postgres"}
    server = Server(place, [*user, str(binaries / "pg_ctl"), "-D", data, "-w"], options, folder)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # the test may have ended it
            server.die()
        shutil.rmtree(folder)
