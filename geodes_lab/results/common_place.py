"""Where others can read a result: a folder that everybody reads, if the lab has one that its owner may write to."""

from __future__ import annotations

import os
import shutil
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from geodes_lab.errors import GeodesError

_SEVERAL = "several"


def brought(target: Path, user: str, readers: Sequence[str]) -> Path:
    """Bring a result to where its readers can open it, or warn that they cannot.

    Parameters
    ----------
    target
        A file or a Zarr store.
    user
        Whose it is.
    readers
        Who may find it, as in `geodes_lab.publish`. Without any, or in a lab of one person, it stays where it is.

    Returns
    -------
    pathlib.Path
        Where it is now: below the person's name in the lab's shared folder, if everybody may read it and the folder can
        be written; else where it was.

    Raises
    ------
    GeodesError
        If it cannot be copied.
    """
    if not readers or os.environ.get("GEODES_LAB_PEOPLE") != _SEVERAL or is_open(target):
        return target
    shared = Path(os.environ["GEODES_LAB_SHARED"]) if os.environ.get("GEODES_LAB_SHARED") else None
    if "*" in readers and shared is not None and os.access(shared, os.W_OK):
        return _copied(target, shared / user)
    where = f"in {shared}, " if shared is not None else ""
    warnings.warn(
        f"{target} is in a folder that only you can open: {', '.join(readers)} will find the Item but cannot read "
        f"the result. Save the result where they can read it, {where}and publish it from there.",
        stacklevel=3,
    )
    return target


def is_open(target: Path) -> bool:
    """Whether every account of the machine can read a file or a folder, and pass the folders above it."""
    folders = [*target.parents, *([target] if target.is_dir() else [])]
    inside = [p for p in target.iterdir() if p.is_file()] if target.is_dir() else [target]
    return all(p.stat().st_mode & stat.S_IXOTH for p in folders) and all(
        p.stat().st_mode & stat.S_IROTH for p in inside
    )


def _copied(target: Path, folder: Path) -> Path:
    """Copy under a name of its own first: a reader never sees a part."""
    place = folder / target.name
    partial = folder / f".{target.name}.{uuid4().hex}.partial"
    try:
        folder.mkdir(exist_ok=True, mode=0o755)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise GeodesError(f"{folder} belongs to another account, so nothing is published there: tell the operator.")
        if target.is_dir():
            shutil.copytree(target, partial, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(target, partial)
        for path in [partial, *partial.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        if place.is_dir():
            shutil.rmtree(place)
        partial.replace(place)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise GeodesError(
            f"{target} cannot be copied to {folder}, where others can read it ({error.strerror}): ask the operator."
        ) from error
    return place
