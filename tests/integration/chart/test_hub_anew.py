"""The hub itself, under the chart's configuration, before a Kubernetes API over HTTP: people's pods are processes here, which outlive it.

Only where it listens, its database and the login are set otherwise: in the cluster they are Kubernetes', a volume and the provider.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hub.front import proxy
from tests.integration.chart.test_hub import AROUND, mounted
from tests.support.awaiting import awaited
from tests.support.chart.charting import TOP, needs_helm, values
from tests.support.chart.kubernetes.api import Api
from tests.support.chart.kubernetes.containers import Containers
from tests.support.chart.kubernetes.lab import cluster
from tests.support.hub.hubs import free_port

HERE = """
c.JupyterHub.hub_bind_url = c.JupyterHub.hub_connect_url = "http://127.0.0.1:{hub}"
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.ConfigurableHTTPProxy.api_url = c.SupervisedProxy.api_url = "http://127.0.0.1:{proxy}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [s for s in c.JupyterHub.services if "url" not in s]
c.JupyterHub.load_roles = [r for r in c.JupyterHub.load_roles if not set(r.get("services", [])) - {{s["name"] for s in c.JupyterHub.services}}]
c.JupyterHub.services.append({{"name": "tester", "api_token": "{token}"}})
c.JupyterHub.load_roles.append({{"name": "tester", "services": ["tester"], "scopes": ["admin:users", "admin:groups", "admin:servers", "tokens", "read:hub"]}})
c.KubeSpawner.port = {server}
"""
pytestmark = needs_helm


class Hub:
    """One that is started and killed."""

    def __init__(self, api: Api, folder: Path, environment: dict[str, str]) -> None:
        self.ports = {name: free_port() for name in ("hub", "public", "proxy", "server")}
        self.folder, token = folder, secrets.token_hex(32)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GEODES_LAB_", "JUPYTER"))},
            **environment, "PYTHONPATH": str(TOP), "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32), "HOME": str(folder),
            "KUBECONFIG": str(api.kubeconfig("hub", folder / "kubeconfig")), "GEODES_LAB_GATEWAY_URL": "http://127.0.0.1:9",
        }  # fmt: skip
        files = sorted(map(str, (folder / "usr/local/etc/jupyterhub/jupyterhub_config.d").glob("*.py")))
        text = AROUND.replace("VALUES", repr(values("kind", "jupyterhub"))).replace("FILES", repr(files))
        (folder / "jupyterhub_config.py").write_text(text + HERE.format(**self.ports, folder=folder, token=token))
        self.web = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['hub']}/hub/api",
            headers={"Authorization": f"token {token}"},
            timeout=60,
        )
        command = [*proxy.command(), "--ip=127.0.0.1", f"--port={self.ports['public']}", "--api-ip=127.0.0.1"]
        self.proxy = subprocess.Popen(
            [*command, f"--api-port={self.ports['proxy']}", "--host-routing"], env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, until it answers."""
        with (self.folder / "hub.log").open("ab") as log:
            command = [sys.executable, "-m", "jupyterhub", "-f", str(self.folder / "jupyterhub_config.py")]
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)

        def up() -> bool:
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(httpx.HTTPError):
                return self.web.get("/info").status_code == 200
            return False

        awaited(up, 120)

    def kill(self) -> None:
        """As a node that dies kills it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "hub.log").read_text()[-6000:]

    def person(self, name: str) -> None:
        """Have somebody, of the group of the example."""
        assert self.web.post(f"/users/{name}").status_code == 201
        self.web.post("/groups/geodes%2Fusers")
        joined = self.web.post("/groups/geodes%2Fusers/users", json={"users": [name]})
        assert joined.status_code == 200, joined.text

    def spawn(self, name: str, **options: str) -> list[str]:
        """Start somebody's server; give what the hub told on the way."""
        asked = self.web.post(f"/users/{name}/server", json=options)
        assert asked.status_code in (201, 202), asked.text + self.said()
        told = []
        with self.web.stream("GET", f"/users/{name}/server/progress") as events:
            for line in events.iter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                told += [event["message"]] if event.get("message") else []
                if event.get("ready") or event.get("failed"):
                    break
        return told

    def server(self, name: str) -> dict[str, Any]:
        """What it knows of somebody's server; nothing if there is none."""
        found: dict[str, Any] = self.web.get(f"/users/{name}").json()["servers"].get("", {})
        return found


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Hub, Api, Containers]]:
    containers = Containers(tmp_path / "volumes")
    (tmp_path / "hub").mkdir()
    with cluster("kind", run=containers.run) as (api, _):
        hub = Hub(api, tmp_path / "hub", mounted("kind", tmp_path / "hub"))
        try:
            yield hub, api, containers
        finally:
            for process in (hub.process, hub.proxy):
                process.kill()
                process.wait(20)
            for pid in containers.pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, 9)


@pytest.mark.slow  # three starts of a hub; test_spawning has the same with the spawner alone
def test_servers_outlive_the_hub_and_it_takes_them_up(lab):
    hub, api, containers = lab
    hub.start()
    hub.person("alice")
    told = hub.spawn("alice")
    assert any("Successfully assigned lab/jupyter-alice" in line for line in told), (told, hub.said())
    (pod,) = api.all("pods")
    pid = containers.pids[pod["metadata"]["name"]]
    at = f"http://127.0.0.1:{hub.ports['server']}/user/alice/api"
    assert httpx.get(at).json()["version"], "JupyterLab answers, in the pod"
    env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
    assert (
        httpx.get(f"{at}/status", headers={"Authorization": f"token {env['JUPYTERHUB_API_TOKEN']}"}).status_code == 200
    )

    hub.kill()
    assert psutil.pid_exists(pid)
    assert httpx.get(at).status_code == 200, "meanwhile"
    hub.start()
    awaited(lambda: hub.server("alice").get("ready"), 180)
    assert hub.server("alice")["user_options"] == {"size": "S"}, "chosen for who chose none, and kept"
    assert [p["metadata"]["uid"] for p in api.all("pods")] == [pod["metadata"]["uid"]]
    assert psutil.pid_exists(pid)

    hub.kill()
    os.killpg(pid, signal.SIGKILL)
    awaited(lambda: api.all("pods")[0]["status"]["phase"] == "Failed")
    hub.start()
    awaited(lambda: not hub.server("alice"), 180)
    assert api.all("pods") == [], "what ended while the hub was away is taken away"

    hub.spawn("alice", size="XXL")
    awaited(lambda: "You cannot use the size 'XXL'" in hub.said())
    assert not hub.server("alice")
    assert "claim-alice" in {d["metadata"]["name"] for d in api.all("persistentvolumeclaims")}
    assert [a[2] for a in api.asked if a[:2] == ("POST", "pods")] == [201]
