"""The catalogue's service in a process of its own, for three people, with a limit of memory: what ends it ends nothing else."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.paths import TOP

_MOST = 3 * 2**30


@dataclass(frozen=True)
class Service:
    """One that runs."""

    url: str
    """Of its STAC API."""
    pid: int

    @property
    def memory(self) -> int:
        """The most bytes that it had so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def catalogued(harvested: Path, results: Path, *options: str) -> Iterator[Service]:
    """Serve; alice, bob and carl have the tokens a, b and c."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [
            sys.executable,
            "-m",
            "tests.support.servers.catalogued",
            str(listening.fileno()),
            str(harvested),
            str(results),
            *options,
        ]
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(TOP)}, pass_fds=[listening.fileno()], stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/stac"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{url}/conformance", timeout=20).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        yield Service(url, process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def main() -> None:
    import uvicorn

    from hub.services.catalogue.access import Rights
    from hub.services.catalogue.app import made
    from tests.hub.services.catalogue.test_catalogue_service import KnownTokens

    descriptor, harvested, results, *options = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST, _MOST))
    application = made(Path(harvested), Path(results), Rights(), KnownTokens(), public="--public" in options)
    uvicorn.run(application, fd=int(descriptor), log_level="error", http="h11", h11_max_incomplete_event_size=2**16)


if __name__ == "__main__":
    main()
