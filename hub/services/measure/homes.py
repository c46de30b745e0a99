"""The size of each home, by the one measure that people's own servers have too."""

from __future__ import annotations

import logging
from pathlib import Path

from geodes_lab.util.disk import disk_use

_LEAST, _MOST = 15.0, 600.0  # seconds between two looks
_SHARE = 20  # of the time, one part in so many is spent on measuring
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
        Bytes on the disk by account; the only home has the empty name. Of a home that cannot be measured nothing is
        said, so that its last size counts: otherwise a user could avoid the quota.
    """
    if single:
        homes = {"": folder} if folder.is_dir() else {}
    else:
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        homes = {p.name: p for p in found if p.is_dir() and not p.is_symlink()}
    return {name: size for name, home in homes.items() if (size := _size(home)) is not None}


def pause(took: float) -> float:
    """Return the seconds until the next look: homes that are measured quickly are measured often."""
    return min(max(_LEAST, took * (_SHARE - 1)), _MOST)


def _size(home: Path) -> int | None:
    size = disk_use.of(home)
    if size is None:
        _log.warning("%s cannot be measured: its last size is used; check the folder", home)
    return size
