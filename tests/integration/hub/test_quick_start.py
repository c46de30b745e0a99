"""The operator's quick start: each of its lines is run, from `git clone` to two people who are logged in and to its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub.guide import blocks
from tests.support.hub.hubs import _closed, needs_accounts
from tests.support.paths import TOP

GUIDE = TOP / "docs" / "operations" / "quick-start.md"

# Folders in which the guide's lines write are laid over: what they leave there is seen by them alone.
_APART = """
set -e
number=0
for folder in /etc /var/lib /run /opt /home $CLOSED; do
  [ -d "$folder" ] || continue
  number=$((number + 1))
  mkdir -p "$0/$number/upper" "$0/$number/work"
  mount -t overlay overlay -o lowerdir="$folder",upperdir="$0/$number/upper",workdir="$0/$number/work" "$folder"
done
for folder in $CLOSED; do chmod 711 "$folder"; done
"$1" -m tests.support.hub.guide install "$2" "$0" || exit 77
exec unshare --net --pid --fork --mount-proc --kill-child "$1" -m tests.support.hub.guide rest "$2" "$0"
"""


def test_guide_has_lines_for_each_step():
    sections = [section for section, _, _ in blocks(GUIDE)]
    assert list(dict.fromkeys(sections)) == ["Install", "Configure", "Start", "Log in", "Remove the trial"]
    assert [stays for section, _, stays in blocks(GUIDE) if section == "Start"] == [True, True, False]
    assert GUIDE.read_text().count("```") == 2 * len(sections), "each block is run"


@needs_accounts
@pytest.mark.slow  # it installs the lab into an environment of its own; test_oidc.py logs people in with discovery
@pytest.mark.timeout(1800)
def test_every_line_of_the_guide_works(tmp_path):
    source = tmp_path / "source"
    listed = subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=TOP).decode().split("\0")
    for name in filter(None, listed):
        if (TOP / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, source / name, follow_symlinks=False)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "the project as it is here"]):
        subprocess.run([*git, *command], cwd=source, check=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GEODES_LAB_", "JUPYTER", "VIRTUAL_ENV"))}
    environment = {
        **kept, "CLOSED": " ".join(_closed()), "PYTHONPATH": str(TOP), "PYTHON": str(Path(sys.base_prefix) / "bin" / "python3"),
        # The address of the guide is that of an example: it leads to this project.
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{source}.insteadOf", "GIT_CONFIG_VALUE_0": "https://git.geodes.example/geodes-lab.git",
    }  # fmt: skip
    (work := tmp_path / "work").mkdir()
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _APART,
        str(work),
        sys.executable,
        str(GUIDE),
    ]
    done = subprocess.run(
        command, cwd=TOP, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode == 77 and any(
        word in done.stdout for word in ("Could not fetch", "No matching distribution", "dns error")
    ):
        pytest.skip("the index of packages cannot be reached from here")
    assert done.returncode == 0, done.stdout[-8000:]
    assert "ada is logged in" in done.stdout
    assert "grace is logged in" in done.stdout
