"""A folder that takes the place of another one: readers see the former or the new one, whole."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from uuid import uuid4

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def put(partial: Path, target: Path) -> None:
    """Give a complete folder its name; one that is there makes way in the same moment, and is removed last.

    Where the file system cannot exchange two names (some network file systems), there are two renames; `heal` undoes
    the first if the second did not come.
    """
    if not target.exists():
        partial.rename(target)
        return
    if _exchanged(partial, target):
        shutil.rmtree(partial, ignore_errors=True)
        return
    old = target.with_name(f".{target.name}.{uuid4().hex}.old")
    target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def heal(target: Path) -> None:
    """Bring back a folder whose successor did not come, because the process ended between two renames."""
    if target.exists() or not target.parent.is_dir():
        return
    start = f".{target.name}."
    former = [p for p in target.parent.iterdir() if p.name.startswith(start) and p.name.endswith(".old")]
    if former:
        max(former, key=lambda p: p.stat().st_mtime_ns).rename(target)


def _exchanged(one: Path, other: Path) -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call is not None and call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
