"""A kernel in an environment of a person's own, whose workers may not see it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from geodes_lab.environments.overlay import Overlay


class OwnPython:
    """An interpreter in an environment of one's own: lines in, what they print out.

    Parameters
    ----------
    home
        Of the person.
    overlay
        The environment.
    **environment
        Variables more.
    """

    def __init__(self, home: Path, overlay: Overlay, **environment: str) -> None:
        folder = {"DASK_GEODES_LAB__CLUSTER__FOLDER": str(home / "running")}
        self._stderr = home / "stderr"
        self._process = subprocess.Popen(
            [str(overlay.python), "-u", "-c", "import code; code.interact(banner='', exitmsg='')"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr.open("wb"), text=True,
            env={**os.environ, "HOME": str(home), "PYTHONPATH": "", **folder, **environment}, cwd=home,
        )  # fmt: skip

    def __call__(self, line: str) -> str:
        """Run a line; give the line that it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().removeprefix(">>> ").strip()

    @property
    def errors(self) -> str:
        """What it has said beside."""
        return self._stderr.read_text()

    def __enter__(self) -> OwnPython:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("import geodes_lab; geodes_lab.clusters().stop()\n", timeout=60)
