"""Ctrl-C in a real terminal: in a script, and in an interactive Python that goes on."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import dask
import pexpect
import psutil
import pytest

from tests.support.awaiting import awaited

STEPS = """
import pathlib, time, uuid
import numpy as np, dask.array as da
import geodes_lab as gl

def step(block):
    (pathlib.Path({folder!r}) / uuid.uuid4().hex).touch()
    time.sleep({seconds})
    return block

def slow():
    return da.ones(8, chunks=1).map_blocks(step, meta=np.empty(0)).sum().compute()
"""


def terminal(folder: Path, *arguments: str) -> pexpect.spawn:
    """A Python with a terminal of its own, whose Ctrl-C signals all of the terminal's foreground group."""
    said = {
        "DASK_GEODES_LAB__CLUSTER__FOLDER": dask.config.get("geodes_lab.cluster.folder"),
        "DASK_GEODES_LAB__CLUSTER__PLACE": "local",
        "CPU_LIMIT": "2",
        "MEM_LIMIT": str(2 * 2**30),
        "TERM": "dumb",
        "PYTHON_BASIC_REPL": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    return pexpect.spawn(
        sys.executable, list(arguments), env={**os.environ, **said}, timeout=180, encoding="utf-8", cwd=str(folder),
        # As from a person's shell: tests that run in the background of a script inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def to_the_end(python: pexpect.spawn) -> str:
    """What it prints until it ends; one that does not end says where its threads are."""
    try:
        return python.read()
    except pexpect.TIMEOUT:
        python.kill(signal.SIGABRT)
        pytest.fail(f"It does not end:\n{python.read()}")


def test_script_ends_with_its_own_traceback_alone_and_leaves_no_process(tmp_path):
    (begun := tmp_path / "begun").mkdir()
    script = tmp_path / "script.py"
    script.write_text(
        STEPS.format(folder=str(begun), seconds=3600)
        + "if __name__ == '__main__':\n    gl.attach(workers=1)\n    slow()\n"
    )
    python = terminal(tmp_path, str(script))
    awaited(lambda: list(begun.iterdir()), 180)
    family = [psutil.Process(python.pid), *psutil.Process(python.pid).children(recursive=True)]
    assert len(family) > 1
    python.sendintr()
    said = to_the_end(python)
    assert said.count("Traceback") == 1, said
    assert said.rstrip().endswith("KeyboardInterrupt"), said
    python.wait()
    assert psutil.wait_procs(family, timeout=30)[1] == []


@pytest.mark.slow  # as in a kernel
def test_interactive_python_goes_on_with_the_same_cluster(tmp_path):
    (begun := tmp_path / "begun").mkdir()
    (tmp_path / "steps.py").write_text(STEPS.format(folder=str(begun), seconds=2))
    python = terminal(tmp_path, "-i", "-c", "exec(open('steps.py').read()); client = gl.attach(workers=1)")
    python.expect(">>> ")
    python.sendline("slow()")
    awaited(lambda: list(begun.iterdir()), 180)
    python.sendintr()
    python.expect("KeyboardInterrupt\r\n")
    assert python.before.count("Traceback") == 1, python.before
    python.expect(">>> ")
    python.sendline("float(da.ones(6, chunks=1).sum().compute())")
    python.expect("6.0\r\n")
    python.expect(">>> ")
    python.sendline("len(client.scheduler_info()['workers'])")
    python.expect("\r\n1\r\n")
    family = psutil.Process(python.pid).children(recursive=True)
    python.sendline("exit()")
    python.expect(pexpect.EOF)
    python.wait()
    assert psutil.wait_procs(family, timeout=30)[1] == []
