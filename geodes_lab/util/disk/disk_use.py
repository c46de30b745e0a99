"""How many bytes a folder takes on its disk: the one measure of homes, for the hub, people's servers and the doctor.

`du` measures: it follows no link, counts a file with several names once, leaves other file systems out, and goes deeper
than a path can be long, where Python's own walk stops and a home could hide what it holds.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_KIB = 1024


def of(folder: Path, patience: float = 120.0) -> int | None:
    """Measure a folder.

    Parameters
    ----------
    folder
        The folder. What this account may not read in it is left out.
    patience
        Seconds after which it is given up.

    Returns
    -------
    int or None
        Bytes on the disk; None where they are not known: there is no such folder, or it took too long.
    """
    # POSIX's options, which every `du` has: the sum alone, in kiB, of this file system.
    command = ["du", "-s", "-k", "-x", "--", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, env={**os.environ, "LC_ALL": "C"}
        )
        return int(done.stdout.split(maxsplit=1)[0]) * _KIB
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return None
