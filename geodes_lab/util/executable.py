"""Whether another account of this machine can run a Python that root can: folders above it may be closed to others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NOBODY = 65534
"""An account as any other: it owns nothing, and is in no group."""
_PASSES = 0o001


def fault(python: str, *files: Path, modules: tuple[str, ...] = ()) -> str:
    """Say why other accounts cannot run an interpreter with some modules, or read some files; empty if they can.

    It is tried, by a process of another account: which root alone may start, so that others are told nothing.

    Parameters
    ----------
    python
        The path of the interpreter.
    files
        What it must be able to read.
    modules
        What it must be able to import.
    """
    if os.geteuid() != 0:
        return ""
    code = f"import {', '.join(('sys', *modules))}\nfor path in sys.argv[1:]: open(path).close()"
    try:
        done = subprocess.run(
            [python, "-B", "-c", code, *map(str, files)],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env={"PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        reason = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it fails"])[-1]
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    if not reason:
        return ""
    for path in (Path(python), Path(python).resolve(), *files):
        for folder in reversed(path.absolute().parents):
            if folder.is_dir() and not folder.stat().st_mode & _PASSES:
                return (
                    f"The accounts of users cannot run {python}: the folder {folder} is closed to them. Install the "
                    "lab and its Python in a folder that is open to all, such as /opt/geodes-lab, or open it with "
                    f"chmod o+x {folder}."
                )
    return (
        f"The accounts of users cannot run {python} ({reason}): install the lab and its Python where all accounts can "
        "read them."
    )
