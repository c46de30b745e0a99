"""Whether other accounts can run a Python, tried with folders that are closed and open."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from geodes_lab.util import executable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another account's process needs root")
SYSTEM = next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), "")


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory):
    """A program in a folder of which one above is closed or not; below /tmp itself, since pytest's own folders are closed."""
    above = Path("/tmp") / f"geodes-lab-{os.getpid()}"
    inside = above / "closed" / "bin"
    inside.mkdir(parents=True)
    program = inside / "python"
    program.write_text(f'#!/bin/sh\nexec {SYSTEM} "$@"\n')
    program.chmod(0o755)
    for folder in (above, above / "closed", inside):
        folder.chmod(0o755)
    yield program
    shutil.rmtree(above)


@pytest.mark.skipif(not SYSTEM, reason="there is no Python of the system's")
def test_closed_folder_is_named_and_opening_it_helps(shell):
    closed = shell.parents[1]
    assert executable.fault(str(shell)) == ""
    closed.chmod(0o700)
    said = executable.fault(str(shell))
    assert f"the folder {closed} is closed to them" in said
    assert f"chmod o+x {closed}" in said
    closed.chmod(0o711)
    assert executable.fault(str(shell)) == ""


@pytest.mark.skipif(not SYSTEM, reason="there is no Python of the system's")
def test_what_cannot_be_read_or_imported_is_said(shell):
    secret = shell.parent / "start.py"
    secret.write_text("")
    secret.chmod(0o600)
    assert "Permission denied" in executable.fault(str(shell), secret)
    assert "No module named 'no_such_module'" in executable.fault(str(shell), modules=("no_such_module",))
