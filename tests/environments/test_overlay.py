"""One's own packages over the lab's: installed by a real pip into a real environment, seen by a real kernel and its workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

import geodes_lab as gl
from geodes_lab.cli import main
from geodes_lab.environments import upgrade
from geodes_lab.environments.overlay import Overlay, environments
from tests.support.paths import TOP

LAB = Path(sysconfig.get_path("purelib"))


def wheel(folder: Path, name: str, version: str, source: str = "VALUE = 42\n") -> Path:
    """A package as pip installs it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}/__init__.py", source)
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in ("GEODES_LAB_BASE", "GEODES_LAB_SOFTWARE", "JUPYTER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def started(home, tmp_path) -> Iterator[Callable[..., Callable[[str], str]]]:
    """Start the lab's kernel, or another of the person's; gives a function that runs code and gives what it prints."""
    running: list[KernelManager] = []

    def start(name: str = "geodes") -> Callable[[str], str]:
        kernels = KernelSpecManager(kernel_dirs=[str(TOP / "kernels"), str(home / ".local/share/jupyter/kernels")])
        manager = KernelManager(kernel_name=name, kernel_spec_manager=kernels)
        folder = str(tmp_path / "running")
        more = {"CPU_LIMIT": "1", "MEM_LIMIT": str(2 * 2**30), "DASK_GEODES_LAB__CLUSTER__FOLDER": folder}
        manager.start_kernel(env={**os.environ, "GEODES_LAB_SOFTWARE": "default", **more})
        running.append(manager)
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=90)

        def run(code: str) -> str:
            lines: list[str] = []

            def keep(message: dict) -> None:
                content = message["content"]
                lines.append(content.get("text", "") or "\n".join(content.get("traceback", [])))

            client.execute_interactive(code, timeout=120, output_hook=keep)
            return "".join(lines).strip()

        return run

    yield start
    for manager in running:
        manager.shutdown_kernel(now=True)


@pytest.mark.thorough
def test_lab_s_packages_count_as_installed_and_are_not_changed(home, tmp_path):
    overlay = Overlay.named("default").make()
    seen = "import xarray, geodes_lab, sys; print(xarray.__file__, geodes_lab.__file__, sys.prefix)"
    xarray, lab, prefix = subprocess.check_output([overlay.python, "-c", seen], text=True, cwd=tmp_path).split()
    assert Path(xarray).is_relative_to(LAB)
    assert Path(lab).is_relative_to(TOP)
    assert Path(prefix) == overlay.folder
    assert "already satisfied" in subprocess.check_output([overlay.folder / "bin/pip", "install", "xarray"], text=True)
    before = {p.name for p in LAB.iterdir()}
    overlay.install([str(wheel(tmp_path, "toolz", "99.0")), str(wheel(tmp_path, "tinystorms", "1.0"))])
    assert {p.name for p in LAB.iterdir()} == before
    assert overlay.own() == {"toolz": "99.0", "tinystorms": "1.0"}
    ((name, (own, labs)),) = overlay.instead().items()
    assert (name, own) == ("toolz", "99.0")
    assert labs < "9"
    assert overlay.make().own() == overlay.own(), "made again, it keeps what it has"


@pytest.mark.thorough
def test_install_in_a_notebook_is_there_in_the_next_session_and_on_workers(started, home, tmp_path):
    package = wheel(tmp_path, "tinystorms", "1.0")
    run = started()
    assert "No module named 'tinystorms'" in run("import tinystorms")
    assert "Successfully installed tinystorms-1.0" in run(f"%pip install {package}")
    assert run("import tinystorms; print(tinystorms.VALUE)") == "42"
    assert not list(LAB.glob("tinystorms*"))
    again = started()
    assert again("import tinystorms; print(tinystorms.VALUE)") == "42"
    code = "import dask\n@dask.delayed\ndef value():\n    import tinystorms\n    return tinystorms.__file__\nprint(value().compute())"
    assert str(home) in again(code)


@pytest.mark.thorough
def test_package_that_breaks_the_kernel_leaves_the_lab_s(started, home, tmp_path):
    Overlay.named("default").install([str(wheel(tmp_path, "ipykernel", "1.0"))])
    run = started()
    said = run("print(gl.__version__)")
    assert said.endswith(gl.__version__)
    assert "The kernel cannot start with your own packages" in said
    assert "geodes-lab env remove default" in said
    assert "ipykernel 1.0 (the lab has " in said, "what an upgrade of the lab would have made of it"
    run(f"%pip install {wheel(tmp_path, 'tinystorms', '1.0')}")
    assert "tinystorms" in Overlay.named("default").own(), "pip changes the person's own environment even then"
    assert not list(LAB.glob("tinystorms*"))


@pytest.mark.thorough
def test_environment_of_a_file_is_a_kernel_of_its_own(started, home, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / "kernels").symlink_to(TOP / "kernels")
    wheel(tmp_path, "tinystorms", "2.0")
    source = tmp_path / "requirements.txt"
    source.write_text(f"--find-links {tmp_path}\ntinystorms==2.0\n")
    runner = CliRunner()
    done = runner.invoke(main, ["env", "create", "storms", "--from", str(source)])
    assert done.exit_code == 0, done.output
    assert "tinystorms-2.0" in done.output
    run = started("geodes-storms")
    assert run("import tinystorms; print(gl.__version__, tinystorms.__name__)") == f"{gl.__version__} tinystorms"
    told = runner.invoke(main, ["env", "list"]).output
    assert "storms: 1 package of its own" in told
    assert [one.name for one in environments()] == ["storms"]
    assert runner.invoke(main, ["env", "remove", "storms", "--yes"]).exit_code == 0
    assert environments() == []
    assert not (home / ".local/share/jupyter/kernels/geodes-storms").exists()


@pytest.mark.parametrize("name", ["../x", "", "A", "x" * 40, "a b", "-x", "a/b"])
def test_name_that_is_none(home, name):
    with pytest.raises(gl.GeodesError, match="is not a valid name of an environment"):
        Overlay.named(name)


def test_file_that_is_none_is_said(home, tmp_path):
    runner = CliRunner()
    conda = tmp_path / "environment.yml"
    conda.write_text("dependencies: [python=3.11, gdal, {pip: [toolz]}]")
    said = runner.invoke(main, ["env", "create", "storms", "--from", str(conda)])
    assert said.exit_code == 1
    assert "packages of conda (gdal)" in said.output
    wrong = tmp_path / "requirements.txt"
    wrong.write_text("no-such-package-anywhere\n")
    said = runner.invoke(main, ["env", "create", "storms", "--from", str(wrong)])
    assert said.exit_code == 1
    assert "pip installs nothing into storms" in said.output


@pytest.mark.thorough
def test_upgrade_of_the_lab_says_what_it_means_for_one_s_own(started, home, tmp_path):
    overlay = Overlay.named("default").make()
    other = overlay.folder.parent / "python3.9" / "lib" / "python3.9" / "site-packages"
    (about := other / "tinyfloods-1.0.dist-info").mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tinyfloods\nVersion: 1.0\n")
    assert overlay.left_behind() == ["python3.9"]
    assert "tinyfloods 1.0 was installed for python3.9 and is not seen" in upgrade.news(overlay)
    assert upgrade.news(overlay) == "", "said once"
    overlay.install([str(wheel(tmp_path, "xvec", "0.0.1")), str(wheel(tmp_path, "tinystorms", "1.0"))])
    said = started()("print('first')")
    assert re.search(
        r"xvec 0.0.1 \(the lab has [\d.]+\) stands before a newer version of the lab's: `pip uninstall", said
    )
    assert "tinyfloods 1.0 was installed for python3.9" in said
    assert "tinystorms" not in said
    listed = CliRunner().invoke(main, ["env", "list"]).output
    assert "no longer fit the lab. tinyfloods 1.0 was installed for python3.9" in listed
    overlay.install([str(wheel(tmp_path, "xvec", "99.0")), str(wheel(tmp_path, "tinyfloods", "2.0"))])
    assert upgrade.misfits(overlay) == ""


def test_launcher_has_the_lab_s_kernel_and_one_s_own(home, monkeypatch):
    from hub.singleuser.kernels.kernelspecs import Kernels

    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "jupyter"))
    own = home / "jupyter" / "kernels" / "mine"
    own.mkdir(parents=True)
    (own / "kernel.json").write_text(
        json.dumps({"argv": [sys.executable], "display_name": "mine", "language": "python"})
    )
    kernels = Kernels(
        kernel_dirs=[str(TOP / "kernels"), str(Path(sys.prefix) / "share/jupyter/kernels")]  # as a hub has them
    )
    (own.parent / "geodes").mkdir()
    (own.parent / "geodes" / "kernel.json").write_text((own / "kernel.json").read_text())
    assert set(kernels.find_kernel_specs()) == {"geodes", "mine"}
    assert kernels.get_kernel_spec("mine").display_name == "mine"
    assert kernels.get_kernel_spec("geodes").display_name == "GEODES (Python · Dask)", "none takes its place"
