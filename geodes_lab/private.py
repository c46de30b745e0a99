"""A folder of this user's on the local disk, which nobody else reads: for what processes of the same user tell each other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from geodes_lab import settings
from geodes_lab.errors import GeodesError


def folder(name: str) -> Path:
    """Give a folder, made if needed, for this user alone.

    Raises
    ------
    GeodesError
        If another user has taken its place.
    """
    base = Path(
        settings.get("cluster.folder") or Path(tempfile.gettempdir()) / f"geodes-lab-{os.getuid()}"
    ).expanduser()
    found = base / name
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    for one in (base, found):
        told = one.lstat()
        if told.st_uid != os.getuid() or one.is_symlink():
            raise GeodesError(f"{one} belongs to somebody else: set geodes_lab.cluster.folder to a folder of your own.")
        if told.st_mode & 0o077:
            one.chmod(0o700)
    return found


def write(path: Path, text: str) -> None:
    """Write a file for this user alone; whole or not at all."""
    part = path.with_suffix(f".{os.getpid()}")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
