"""A real dask-gateway on loopback, with the lab's own configuration and the backend that dask-gateway has for tests."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.awaiting import awaited
from tests.support.paths import TOP

CONFIG = """
load_subconfig({ours!r})
c = get_config()
c.Proxy.address = "127.0.0.1:{port}"
c.DaskGateway.address = "127.0.0.1:{private}"
c.DaskGateway.log_level = "INFO"
# What it does as root, chown to the user of a name, is not for a machine without such users: it runs all as its own.
c.CappedUnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH", "HOME", "VIRTUAL_ENV", "DASK_GEODES_LAB__CLUSTER__FOLDER"]
c.CappedUnsafeLocalBackend.clusters_directory = {folder!r}
c.CappedUnsafeLocalBackend.db_url = "sqlite:///{folder}/gateway.sqlite"
c.CappedUnsafeLocalBackend.db_encrypt_keys = ["{key}"]
c.ClusterConfig.scheduler_cores = c.ClusterConfig.worker_cores = 1
c.ClusterConfig.scheduler_memory = c.ClusterConfig.worker_memory = "1 G"
{more}
"""


def free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def gateway(folder: Path, more: str = "", **environment: str) -> Iterator[str]:
    """Run it; gives its address."""
    port = free()
    said = {
        "ours": str(TOP / "hub" / "services" / "gateway" / "dask_gateway_config.py"),
        "port": port,
        "private": free(),
    }
    config = folder / "gateway_config.py"
    config.write_text(
        CONFIG.format(**said, folder=str(folder), key=base64.b64encode(os.urandom(32)).decode(), more=more)
    )
    said = {
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        "GEODES_LAB_GATEWAY_BACKEND": "dask_gateway_server.backends.local.UnsafeLocalBackend",
        **environment,
    }
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask_gateway_server", "--config", str(config)],
            cwd=folder,
            env={**os.environ, **said},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "gateway.log").read_text()[-3000:]
        try:
            urllib.request.urlopen(f"{url}/api/health", timeout=2)
        except urllib.error.HTTPError as error:
            return error.code != 404 or "api" in str(error)
        except OSError:
            return False
        return True

    try:
        awaited(answers, 180)
        yield url
    finally:
        process.terminate()
        process.wait(30)
