"""The size of each home, by `du`.

It follows no links, counts a file with several names once, and goes to any depth.
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
        The folder of the homes, each named like its account; or with ``single`` the only home.

    Returns
    -------
    dict
        Bytes on the disk by account; the only home has the empty name.
    """
    if single:
        return _known({"": size(folder)} if folder.is_dir() else {})
    homes = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.is_symlink()] if folder.is_dir() else []
    return _known({p.name: size(p) for p in homes})


def _known(measured: dict[str, int | None]) -> dict[str, int]:
    """For a home that cannot be measured the last size counts: otherwise a user could avoid the quota."""
    return {name: size for name, size in measured.items() if size is not None}


def size(folder: Path) -> int | None:
    """Return the bytes that a folder takes on its disk; None if that is unknown."""
    # Python's own walk stops where a path is longer than the system's limit, so that a home could be hidden behind it.
    command = ["du", "-s", "-k", "-x", "--", str(folder)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
        return int(process.stdout.split(maxsplit=1)[0]) * 1024
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        _log.warning(
            "%s cannot be measured (%s): its last size is used; check the folder", folder, type(error).__name__
        )
        return None
