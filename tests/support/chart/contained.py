"""A lab whose hub, services, people's servers and workers are containers of the built images, each with a network of its own:
`python -m tests.support.chart.contained FOLDER` in a network namespace of its own. It prints what came of it as JSON.

Kubernetes is the tests' API; the proxy, which has an image of its own upstream, is a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from hub.front import proxy
from hub.services.declared import listening
from tests.integration.chart.test_hub import AROUND, mounted
from tests.support.chart.charting import one, rendered, values
from tests.support.chart.images import Images, name
from tests.support.chart.kubernetes.api import Api
from tests.support.chart.kubernetes.lab import ADMIN, LARGE, ROLES, install
from tests.support.chart.kubernetes.node import Node
from tests.support.paths import TOP

NET = "10.77.0"
PLACES = {"outside": 1, "hub": 2, "catalogue": 3, "scheduler": 4, "worker": 5, "trial": 6, "client": 7, "pod": 10}
FRONT = "http://lab.localhost:8000"
# What the kubelet tells each container, also where enableServiceLinks is false.
KUBELET = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
HERE = """
c.JupyterHub.hub_bind_url, c.JupyterHub.hub_connect_url = "http://0.0.0.0:8081", "http://hub:8081"
c.ConfigurableHTTPProxy.api_url = c.SupervisedProxy.api_url = "http://proxy-api:8001"
c.JupyterHub.db_url = "sqlite:////srv/jupyterhub/hub.sqlite"
c.JupyterHub.cookie_secret_file = "/srv/jupyterhub/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [s for s in c.JupyterHub.services if s.get("url", "") in ("", "http://catalogue:8080")]
names = {s["name"] for s in c.JupyterHub.services}
c.JupyterHub.load_roles = [r for r in c.JupyterHub.load_roles if not set(r.get("services", [])) - names]
"""
WORK = """
import geodes_lab as gl, pathlib
from distributed import Client
from geodes_lab.sample.sentinel2 import l1c
client = Client("tcp://scheduler:8786")
client.wait_for_workers(1, timeout=120)
product = pathlib.Path("/data") / (l1c.scenes()[0].name + ".zip")
l1c.write(l1c.scenes()[0], product)
tree = gl.open_product(product)
node, name = next((n, v) for n in tree.subtree for v in n.data_vars if n[v].ndim >= 2)
corner = node[name][(..., slice(0, 16), slice(0, 16))].compute()
(host,) = client.run(lambda: __import__("socket").gethostname()).values()
print(host, corner.shape[-2:])
"""


class Lab:
    """Its containers.

    Parameters
    ----------
    images
        The store of the built images.
    folder
        What they mount lies below it.
    """

    def __init__(self, images: Images, folder: Path) -> None:
        self.images, self.folder = images, folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)

    def volume(self, called: str) -> Path:
        """A folder that the account 1000 writes."""
        (path := self.folder / "volumes" / called).mkdir(parents=True, exist_ok=True)
        os.chown(path, 1000, 1000)
        return path

    def command(
        self, place: str, kind: str, command: list[str], env: dict[str, str], mounts: list[str], called: str = ""
    ) -> list[str]:
        """What runs a container as the chart's pods are: read-only, nobody's account, without any power.

        Mounts are as podman has them: ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``.
        """
        called = called or place
        hosts = {"proxy-api": "outside", "proxy-public": "outside", **{n: n for n in ("hub", "catalogue", "scheduler")}}
        hosts |= {n: "outside" for n in listening() if n != "catalogue"}
        told = ["--rm", f"--name={called}", f"--hostname={called}", f"--network=ns:/run/netns/{place}", "--read-only"]
        told += ["--cap-drop=all", "--security-opt=no-new-privileges", "--pull=never", "--tmpfs=/tmp:rw,mode=1777"]
        told += [f"--add-host={n}:{NET}.{PLACES[where]}" for n, where in hosts.items()]
        told += [f"--env={k}={v}" for k, v in {**KUBELET, **env}.items()]
        told += [f"--volume={mount}" for mount in mounts]
        return ["podman", "run", *told, name(kind), *command]

    @contextmanager
    def running(self, place: str, *arguments: Any) -> Iterator[None]:
        """Run one in the background."""
        with (self.logs / place).open("w") as log:
            process = subprocess.Popen(
                self.command(place, *arguments), env=self.images.environment, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            self.images.podman("kill", place, check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)

    def done(self, place: str, *arguments: Any) -> str:
        """Run one to its end; give what it prints."""
        done = subprocess.run(
            self.command(place, *arguments), env=self.images.environment, capture_output=True, text=True, timeout=600
        )
        return done.stdout.strip() if done.returncode == 0 else f"{done.stdout}\n{done.stderr[-3000:]}".strip()

    async def pod(self, pod: dict[str, Any]) -> int:
        """Run the container of a pod until it ends, as the kubelet does."""
        (container,) = pod["spec"]["containers"]
        called = pod["metadata"]["name"]
        volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
        mounts = []
        for mount in sorted(container["volumeMounts"], key=lambda m: m["mountPath"].count("/")):
            claim = (volumes[mount["name"]].get("persistentVolumeClaim") or {}).get("claimName")
            source = self.volume("/".join([claim or f"{called}-{mount['name']}", mount.get("subPath") or ""]))
            if mount["mountPath"] != "/tmp":  # all have one
                mounts.append(f"{source}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}")
        env = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        assert container["image"] == name("user")
        command = self.command("pod", "user", container["args"], env, mounts, called)
        with (self.logs / called).open("w") as log:
            process = await asyncio.create_subprocess_exec(
                *command, env=self.images.environment, stdout=log, stderr=log
            )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                await asyncio.to_thread(self.images.podman, "kill", called, check=False)


def networks() -> None:
    """A switch, and a network for each container at it; all in the namespace of this process."""

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
    # The proxy, a process, finds the others by their names too.
    hosts = Path("/run/netns/hosts")
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{NET}.{n} {name}\n" for name, n in PLACES.items()))
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "switch", "type", "bridge")
    ip("addr", "add", f"{NET}.{PLACES['outside']}/24", "dev", "switch")
    ip("link", "set", "switch", "up")
    for place, number in PLACES.items():
        if place == "outside":
            continue
        ip("netns", "add", place)
        ip("link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", place)
        ip("link", "set", f"v{number}", "master", "switch", "up")
        ip("-n", place, "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
        ip("-n", place, "link", "set", "eth0", "up")
        ip("-n", place, "link", "set", "lo", "up")


def hub(lab: Lab, api: Api, token: str) -> tuple[list[str], dict[str, str], list[str]]:
    """Command, environment and mounts of the hub's container."""
    root = lab.folder / "hub"
    root.mkdir()
    environment = {k: v.replace(str(TOP), "/opt/geodes-lab") for k, v in mounted("kind", root).items()}
    files = sorted(map(str, (root / "usr/local/etc/jupyterhub/jupyterhub_config.d").glob("*.py")))
    text = AROUND.replace("VALUES", repr(values("kind", "jupyterhub"))).replace("FILES", repr(files))
    (root / "jupyterhub_config.py").write_text(text + HERE)
    environment |= {"KUBECONFIG": str(api.kubeconfig("hub", root / "kubeconfig")), "CONFIGPROXY_AUTH_TOKEN": token}
    environment["PYTHONPATH"] = "/opt/geodes-lab:/opt/more"
    del environment["GEODES_LAB_GATEWAY_URL"]  # clusters are in the servers
    mounts = [f"{root}:{root}:ro", f"{TOP}/tests:/opt/more/tests:ro", f"{lab.volume('hub-db')}:/srv/jupyterhub"]
    return ["jupyterhub", "-f", f"{root}/jupyterhub_config.py"], environment, mounts


def catalogue(lab: Lab) -> tuple[list[str], dict[str, str], list[str]]:
    """The same of the catalogue's, which has no product yet."""
    spec = one(rendered("kind"), "Deployment", "catalogue")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    environment = {e["name"]: e.get("value", "ab" * 32) for e in container["env"]}
    root = lab.folder / "hub"
    mounts = [f"{lab.volume('state')}:/var/lib/geodes-lab", f"{lab.volume('catalogue')}:/data/catalogue:ro"]
    mounts.append(f"{root}/etc/geodes-lab/lab:/etc/geodes-lab/lab:ro")
    return [*container["command"], *container["args"]], environment, mounts


def logged_in(person: str) -> dict[str, Any]:
    """Log in as a browser does, through the proxy; say what the hub knows of the person then."""
    headers = {"Host": FRONT.removeprefix("http://")}
    with httpx.Client(base_url=f"http://{NET}.{PLACES['outside']}:8000", headers=headers, timeout=60) as browser:
        page = browser.get("/hub/login")
        form = {"username": person, "password": "x", "_xsrf": browser.cookies.get("_xsrf", "")}
        answer = browser.post("/hub/login", data=form)
        home = browser.get("/hub/api/user")
        return {"page": page.status_code, "answer": answer.status_code, "user": home.json().get("name", home.text)}


def awaited(url: str, seconds: float = 240, **headers: str) -> None:
    """Wait until something answers."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, headers=headers, timeout=10).status_code < 500:
                return
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.5)


def main(store: Path, folder: Path) -> dict[str, Any]:
    """Run all of it."""
    networks()
    lab, token = Lab(Images(store), folder), secrets.token_hex(32)
    told: dict[str, Any] = {}
    outside = f"{NET}.{PLACES['outside']}"
    command = [
        *proxy.command(),
        f"--ip={outside}",
        "--port=8000",
        f"--api-ip={outside}",
        "--api-port=8001",
        "--host-routing",
    ]
    api = Api({**ROLES, "admin": ADMIN})
    with contextlib.ExitStack() as open_:
        open_.enter_context(api.serving(host=outside))
        install(api, rendered("kind"))
        labels = {"hub.jupyter.org/node-purpose": "user"}
        node = api.do(lambda: Node(api.store, dict(LARGE), labels, lab.pod))
        node.address = f"{NET}.{PLACES['pod']}"
        log = open_.enter_context((lab.logs / "proxy").open("w"))
        front = subprocess.Popen(command, env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": token}, stdout=log, stderr=log)
        open_.callback(front.wait)
        open_.callback(front.kill)
        open_.enter_context(lab.running("hub", "hub", *hub(lab, api, token)))
        open_.enter_context(lab.running("catalogue", "hub", *catalogue(lab)))
        awaited(f"http://{NET}.{PLACES['hub']}:8081/hub/api/")
        awaited(f"http://{NET}.{PLACES['catalogue']}:8080/services/catalogue/assets/page.css")
        told["login"] = logged_in("alice")
        trial = ["python", "-m", "hub.trial", "--public", "http://proxy-public:8000", "--address", FRONT]
        environment = {"JUPYTERHUB_API_TOKEN": "ab" * 32, "PYTHONPATH": "/opt/geodes-lab", "HOME": "/tmp"}
        told["trial"] = lab.done("trial", "hub", trial, environment, [])
    # A worker and a scheduler by themselves, as a gateway starts them.
    environment = {"HOME": "/tmp", "DASK_TEMPORARY_DIRECTORY": "/scratch"}
    mounts = [f"{lab.volume('data')}:/data", f"{lab.volume('scratch')}:/scratch"]
    with contextlib.ExitStack() as open_:
        open_.enter_context(lab.running("scheduler", "user", ["dask", "scheduler"], environment, mounts))
        awaited(f"http://{NET}.{PLACES['scheduler']}:8787/status")
        worker = ["dask", "worker", "tcp://scheduler:8786", "--nthreads=1", "--no-nanny"]
        open_.enter_context(lab.running("worker", "user", worker, environment, mounts))
        told["worker"] = lab.done("client", "user", ["python", "-c", WORK], environment, mounts)
    told["logs"] = {p.name: p.read_text()[-3000:] for p in lab.logs.iterdir()}
    return told


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
