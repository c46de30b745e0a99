"""A folder that takes the place of another one: readers see the former or the new one, whole."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from uuid import uuid4

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


class Changed(Exception):
    """Another process has replaced the folder meanwhile."""


def put(partial: Path, target: Path, former: int | None = None) -> None:
    """Give a complete folder its name; one that is there makes way in the same moment, and is removed last.

    Where the file system cannot exchange two names (some network file systems), there are two renames; `heal` undoes
    the first if the second did not come.

    Parameters
    ----------
    partial
        The complete folder.
    target
        Its name.
    former
        The number of the folder (inode) that may be replaced; None: any.

    Raises
    ------
    Changed
        If another one is there; it stays.
    """
    if not target.exists():
        partial.rename(target)
        return
    if _exchanged(partial, target):
        if former is not None and partial.stat().st_ino != former:
            _exchanged(partial, target)
            raise Changed
        shutil.rmtree(partial, ignore_errors=True)
        return
    old = target.with_name(f".{target.name}.{uuid4().hex}.old")
    target.rename(old)
    if former is not None and old.stat().st_ino != former:
        old.rename(target)
        raise Changed
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def linked(source: Path, copy: Path) -> None:
    """Make a folder with the same files, by second names of them, or by copies where those are not possible.

    Whoever writes in it must replace files, and never change one: the bytes are the source's too.
    """

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copyfile(one, other)

    shutil.copytree(source, copy, copy_function=link)


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
