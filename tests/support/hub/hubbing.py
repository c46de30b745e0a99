"""A real hub on loopback with a configuration of a test's own: what is under test is loaded into it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from hub.front import proxy
from tests.support.awaiting import awaited
from tests.support.hub.gatewaying import free
from tests.support.paths import TOP

CONFIG = """
import json, os, sys
sys.path.insert(0, {top!r})
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///{state}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{state}/cookie_secret"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{state}/proxy.pid"
c.JupyterHub.log_level = "DEBUG"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{state}/home"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120  # a busy machine
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.environment = {{
    "GEODES_LAB_WAITING": "no",
    "JUPYTER_PATH": {top!r},
    "JUPYTER_CONFIG_PATH": {hub!r} + "/singleuser",
    "DASK_GEODES_LAB__CLUSTER__FOLDER": "{state}/running",
    "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": {catalog!r},
}}
{more}
"""


@contextmanager
def hub(state: Path, more: str, catalog: Path, port: int = 0, hub_port: int = 0, **environment: str) -> Iterator[str]:
    """Run it; gives its address. Its log is ``hub.log`` in the folder ``state``."""
    (state / "home").mkdir()
    said = {
        "hub": str(TOP / "hub"), "port": port or free(), "hub_port": hub_port or free(), "state": state, "proxy": proxy.command(),
        "proxy_port": free(), "top": str(TOP), "catalog": str(catalog),
    }  # fmt: skip
    (state / "config.py").write_text(
        CONFIG.format(**said, more=more.replace("HUB", str(TOP / "hub")).replace("PORT", str(said["port"])))
    )
    with (state / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(state / "config.py")],
            cwd=state,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}", **environment},
        )
    url = f"http://127.0.0.1:{said['port']}"

    def answers() -> bool:
        assert process.poll() is None, (state / "hub.log").read_text()[-2000:]
        try:
            return httpx.get(f"{url}/hub/health").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        awaited(answers, 180)
        yield url
    finally:
        process.terminate()
        process.wait(30)
