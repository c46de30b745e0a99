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
import trustme

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass
class Server:
    place: dict[str, Any]
    control: list[str]
    options: str
    folder: Path
    authority: Path | None = None
    """Who signed its certificate, if it has TLS."""

    def start(self) -> None:
        self._do("-o", self.options, "-l", str(self.folder / "log"), "start")

    def die(self) -> None:
        """As by a loss of power: nothing is finished."""
        self._do("-m", "immediate", "stop")

    def _do(self, *words: str) -> None:
        subprocess.run([*self.control, *words], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextlib.contextmanager
def serving(authority: trustme.CA | None = None) -> Iterator[Server]:
    """It does not run as root. With an authority it has TLS, and a certificate for ``localhost``."""
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
    signer = None
    if authority is not None:
        signer, key, certificate = (folder / name for name in ("ca.pem", "key.pem", "certificate.pem"))
        made = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(signer)
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(certificate)
        key.chmod(0o600)
        if user:
            shutil.chown(key, "postgres")
            shutil.chown(certificate, "postgres")
        options += f" -c ssl=on -c ssl_key_file={key} -c ssl_cert_file={certificate}"
    place = {"host": "127.0.0.1", "port": port, "database": "postgres", "user": "postgres"}
    server = Server(place, [*user, str(binaries / "pg_ctl"), "-D", data, "-w"], options, folder, signer)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # the test may have ended it
            server.die()
        shutil.rmtree(folder)
