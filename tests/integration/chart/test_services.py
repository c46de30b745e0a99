"""The chart's services start as the chart starts them: the same command and environment, below a folder that stands for their pod."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.services.declared import listening
from tests.support.awaiting import awaited
from tests.support.chart import charting, readonly
from tests.support.chart.charting import needs_helm, one, rendered

TOP = charting.TOP
SERVICES = listening()
pytestmark = needs_helm


def free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def service(name: str, root: Path) -> Any:
    """Run it; gives its address and its container, as Kubernetes is told of it."""
    documents = rendered("cnes")
    writable = []
    spec = one(documents, "Deployment", name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    volumes = {v["name"]: v for v in spec["volumes"]}
    for mount in container["volumeMounts"]:
        folder = root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        if not mount.get("readOnly"):
            writable.append(folder)
        volume = volumes[mount["name"]]
        if volume.get("configMap", {}).get("name") == "geodes-lab":
            text = one(documents, "ConfigMap", "geodes-lab")["data"]["lab.yaml"]
            (folder / "lab.yaml").write_text(text.replace("/run/secrets/", f"{root}/run/secrets/"))
        for item in volume.get("secret", {}).get("items", []):
            (folder / item["path"]).write_text("ab" * 32)
    (root / "data" / "catalogue").mkdir(parents=True, exist_ok=True)
    places = {
        "/opt/geodes-lab": str(TOP),
        **{p: f"{root}{p}" for p in ("/etc/geodes-lab", "/var/lib/geodes-lab", "/data/catalogue")},
    }

    def here(text: str) -> str:
        for place, ours in places.items():
            text = text.replace(place, ours)
        return text

    port = free()
    environment = {e["name"]: here(e["value"]) for e in container["env"] if "value" in e}
    environment |= {
        "PATH": os.environ["PATH"], "HOME": str(root / "tmp"), "TMPDIR": str(root / "tmp"), "JUPYTERHUB_API_TOKEN": "ab" * 32,
        "JUPYTERHUB_SERVICE_URL": environment["JUPYTERHUB_SERVICE_URL"].replace("0.0.0.0:8080", f"127.0.0.1:{port}"),
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
        "DASK_GEODES_LAB__DATALAKE__ENDPOINT": "http://127.0.0.1:9",
    }  # fmt: skip
    environment.pop("DASK_GEODES_LAB__DATALAKE__CA")  # there is no such authority here
    command = [sys.executable, *container["command"][1:], *[here(a) for a in container.get("args", [])]]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    command = readonly.closed(command, writable)
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=root / "tmp")
    try:
        yield f"http://127.0.0.1:{port}", container, process
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("name", SERVICES)
def test_service_becomes_ready(name, tmp_path):
    with service(name, tmp_path) as (url, container, process):
        probe = container["readinessProbe"]

        def ready() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            try:
                if "httpGet" in probe:
                    return httpx.get(f"{url}{probe['httpGet']['path']}").status_code == 200
                return bool(httpx.get(url).status_code)
            except httpx.HTTPError:
                return False

        awaited(ready, 180)
        assert container["command"] == ["python", "-m", f"hub.services.{name}"]
        if name == "usage":
            token = {"Authorization": f"Bearer {'ab' * 32}"}
            shown = httpx.get(f"{url}/services/usage/metrics", headers=token)
            assert shown.status_code == 200, "Prometheus reads it by the token of the Secret"
            assert "geodes_lab_up" in shown.text
            assert (tmp_path / "var/lib/geodes-lab/usage.sqlite").exists(), "what it keeps lies on its volume"
        if name == "data":
            assert httpx.get(f"{url}/sentinel2-l1c/x").status_code == 403, "nobody reads without saying who asks"


@pytest.mark.skipif(
    not readonly.possible(),
    reason="a read-only root needs root, and a kernel that gives a mount namespace of one's own",
)
def test_control_of_the_read_only_root(tmp_path):
    (tmp_path / "tmp").mkdir()
    for place, allowed in ((tmp_path / "tmp" / "x", True), (tmp_path / "x", False), (TOP / "build" / "x", False)):
        done = subprocess.run(
            readonly.closed(["touch", str(place)], [tmp_path / "tmp"]), capture_output=True, text=True
        )
        assert (done.returncode == 0) is allowed, done.stderr
        assert place.exists() is allowed
