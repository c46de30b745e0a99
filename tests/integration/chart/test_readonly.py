"""A person's server, its kernel and its Dask cluster where nothing can be written but what the chart mounts: as in the chart's pods."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from jupyter_kernel_client import JupyterKernelClient

from tests.support.awaiting import awaited
from tests.support.chart import charting, readonly
from tests.support.chart.charting import needs_helm, values
from tests.support.hub.hubs import Browser, Production, free_port, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [
    needs_helm,
    needs_accounts,
    pytest.mark.skipif(
        not readonly.possible(), reason="a read-only root needs root, and a mount namespace of one's own"
    ),
    pytest.mark.slow,
]


def environ(hub: Production, name: str) -> dict[str, str]:
    """What the hub gave a person's server."""
    for process in hub.pids():
        with contextlib.suppress(psutil.Error):
            found = process.environ()
            if found.get("JUPYTERHUB_USER") == name and "JUPYTERHUB_SERVICE_URL" in found:
                return dict(found)
    raise AssertionError(f"{name} has no server")


def test_server_kernel_and_cluster_write_into_volumes_alone(sample, tmp_path):
    told = values("cnes", "jupyterhub")["singleuser"]["storage"]
    mounts = {m["mountPath"]: tmp_path / m["mountPath"].strip("/") for m in told["extraVolumeMounts"]}
    mounts[told["homeMountPath"]] = tmp_path / "home"
    for folder in mounts.values():
        folder.mkdir(parents=True)
    home, port = mounts[told["homeMountPath"]], free_port()
    with Provider() as provider:
        provider.put("alice", groups=["geodes"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
            "datalake": {"folder": str(sample / "datalake")},
        }
        with Production(file) as hub:
            browser = Browser(hub)
            browser.login("alice")
            browser.spawn("alice")
            token = browser.token("alice")
            environment = {
                **environ(hub, "alice"), "HOME": str(home), "TMPDIR": str(mounts["/tmp"]), "PWD": str(home),
                "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/user/alice/",
                **{k: v.replace("/var/cache", f"{tmp_path}/var/cache").replace("/scratch", f"{tmp_path}/scratch")
                   for k, v in values("cnes", "jupyterhub")["singleuser"]["extraEnv"].items()},
            }  # fmt: skip
            command = [sys.executable, str(charting.TOP / "hub" / "singleuser" / "start.py"), "--allow-root"]
            with (tmp_path / "log").open("wb") as log:
                server = subprocess.Popen(
                    readonly.closed(command, list(mounts.values())), env=environment, cwd=home, stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            said = lambda: (tmp_path / "log").read_text()[-4000:]  # noqa: E731
            try:
                asked = {"Authorization": f"token {token}"}

                def up() -> bool:
                    assert server.poll() is None, said()
                    with contextlib.suppress(httpx.HTTPError):
                        return (
                            httpx.get(f"http://127.0.0.1:{port}/user/alice/api/status", headers=asked).status_code
                            == 200
                        )
                    return False

                awaited(up, 180)
                kernel = JupyterKernelClient(
                    server_url=f"http://127.0.0.1:{port}/user/alice", token=token, client_kwargs={"headers": asked}
                )
                kernel.start(name="geodes", path="notebooks")
                code = f"""
import pathlib
try:
    pathlib.Path({str(charting.TOP / "build" / "written")!r}).touch()
    print("written")
except OSError as error:
    print(error.strerror)
import geodes_lab as gl
client = gl.attach(workers=1)
print(client.submit(sum, [40, 2]).result(60))
product = gl.open_product(next(pathlib.Path({str(sample / "datalake")!r}).glob("sentinel2-l1c/**/*.zip")))
print(type(product).__name__)
pathlib.Path("mine.txt").write_text("mine")
"""
                reply = kernel.execute(code, timeout=120)
                printed = "".join("".join(o.get("text", "")) for o in reply["outputs"] if o["output_type"] == "stream")
                failed = [o for o in reply["outputs"] if o["output_type"] == "error"]
                assert not failed, failed
                lines = printed.splitlines()
                assert lines[0] == "Read-only file system", "the control"
                assert lines[-2:] == ["42", "DataTree"], printed
                kernel.stop()
                assert (home / "notebooks" / "mine.txt").exists() or list(home.rglob("mine.txt"))
                assert "Read-only file system" not in said(), said()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, 15)
                server.wait(20)
    assert Path(charting.TOP / "build").is_dir()
