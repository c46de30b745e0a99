"""The size of each home, by `du`.

It follows no link, counts a file of several names once, and goes as deep as people do.
"""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

_PATIENCE = 120.0  # seconds for one home
_log = logging.getLogger("measure")


def sizes(folder: Path, *, single: bool = False) -> dict[str, int]:
    """Measure homes.

    Parameters
    ----------
    folder
        The folder of the homes, each called as its account; or with ``single`` the one home that there is.

    Returns
    -------
    dict
        Bytes on the disk by account; of the one home under the empty name.
    """
    if single:
        return _known({"": size(folder)} if folder.is_dir() else {})
    homes = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.is_symlink()] if folder.is_dir() else []
    return _known({p.name: size(p) for p in homes})


def _known(found: dict[str, int | None]) -> dict[str, int]:
    """Of a home that cannot be measured the last size counts: to have none would be a way around the quota."""
    return {name: size for name, size in found.items() if size is not None}


def size(folder: Path) -> int | None:
    """The bytes that a folder takes on its disk; None if that cannot be known."""
    # Python's own walk stops where a path is longer than the system's limit, and a home could be hidden behind that.
    command = ["du", "-s", "-k", "-x", "--", str(folder)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
        return int(told.stdout.split(maxsplit=1)[0]) * 1024
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        _log.warning("%s cannot be measured (%s): its last size counts; look at it", folder, type(error).__name__)
        return None
