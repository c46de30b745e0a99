"""Environments of a group: all members start them, one member changes each, and what it says of itself is not read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from jupyter_client.kernelspec import NoSuchKernel

import geodes_lab as gl
from geodes_lab.cli import main
from geodes_lab.environments import group_place
from hub.singleuser.kernels.kernelspecs import Kernels
from tests.environments.test_overlay import home, wheel  # noqa: F401  (a fixture)
from tests.support.paths import TOP

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of several accounts need root")


@pytest.fixture
def land(home, tmp_path, monkeypatch) -> Path:  # noqa: F811
    folder = tmp_path / "groups" / "land"
    for one in (folder / "environments", folder):
        one.mkdir(parents=True, exist_ok=True)
        one.chmod(0o3770)
    monkeypatch.setenv("GEODES_LAB_GROUP_FOLDERS", json.dumps({"land": str(folder)}))
    return folder


def kernels() -> Kernels:
    return Kernels(kernel_dirs=[str(TOP / "kernels")])


def test_environment_of_a_group_is_a_kernel_of_its_members(land, tmp_path):
    source = tmp_path / "requirements.txt"
    wheel(tmp_path, "tinystorms", "1.0")
    source.write_text(f"--find-links {tmp_path}\ntinystorms\n")
    runner = CliRunner()
    done = runner.invoke(main, ["env", "create", "storms", "--from", str(source), "--group", "land"])
    assert done.exit_code == 0, done.output
    assert "is in the launcher of all members of land" in done.output
    specs = kernels().get_all_specs()
    assert set(specs) == {"geodes", "geodes.land.storms"}
    spec = specs["geodes.land.storms"]["spec"]
    assert spec["display_name"].startswith("storms (land, of ")
    code = "import tinystorms, geodes_lab, sys; print(tinystorms.VALUE, sys.prefix)"
    printed = subprocess.check_output([spec["argv"][0], "-c", code], text=True, cwd=tmp_path)
    assert printed.split() == ["42", str(group_place.shared()[0].overlay.folder)]
    assert Path(spec["argv"][1]) == TOP / "kernels" / "geodes" / "kernel.py"
    assert "storms, shared in land by" in runner.invoke(main, ["env", "list"]).output
    assert runner.invoke(main, ["env", "remove", "storms", "--group", "land", "--yes"]).exit_code == 0
    assert set(kernels().get_all_specs()) == {"geodes"}
    with pytest.raises(NoSuchKernel):
        kernels().get_kernel_spec("geodes.land.storms")


@pytest.mark.attack
@needs_root
def test_what_somebody_beside_its_owner_could_change_is_not_started(land, tmp_path):
    overlay = group_place.named("storms", "land").make()
    assert [one.overlay.name for one in group_place.shared()] == ["storms"]
    # Nothing of what a member writes there is read before a start: neither a kernel's description nor links.
    (overlay.folder / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "GEODES"}')
    (overlay.folder.parent / "kernel.json").symlink_to("/etc/passwd")
    assert kernels().get_kernel_spec("geodes.land.storms").argv[0] == str(overlay.python)
    overlay.packages.chmod(0o775)
    assert group_place.shared() == []
    overlay.packages.chmod(0o755)
    os.chown(overlay.packages, 12346, -1)
    assert group_place.shared() == []
    os.chown(overlay.packages, 0, -1)
    # One who is no member of the group, or is no more.
    subprocess.run(["chown", "-R", "12346", str(overlay.folder.parent)], check=True)
    assert group_place.shared() == []
    with pytest.raises(gl.GeodesError, match="belongs to 12346: choose another name"):
        group_place.named("storms", "land")
    # A link to an environment elsewhere, that of another person's home for instance.
    overlay.folder.parent.rename(tmp_path / "elsewhere")
    os.chown(tmp_path / "elsewhere", 0, -1)
    (land / "environments" / "storms").symlink_to(tmp_path / "elsewhere")
    assert group_place.shared() == []
    with pytest.raises(gl.GeodesError, match="belongs to"):
        group_place.named("storms", "land")


def test_group_that_is_none_is_said(land, monkeypatch):
    with pytest.raises(gl.GeodesError, match="not in the group 'sea': name one of yours, land"):
        group_place.named("storms", "sea")
    for text in ("", "[]", "{broken", "3"):
        monkeypatch.setenv("GEODES_LAB_GROUP_FOLDERS", text)
        with pytest.raises(gl.GeodesError, match="no folders for groups"):
            group_place.named("storms", "land")
    said = CliRunner().invoke(main, ["env", "create", "storms", "--group", "land"])
    assert said.exit_code == 1
    assert "no folders for groups" in said.output
