"""Where others can read a result: the folder of a group, or one that everybody reads, if its owner may write there."""

from __future__ import annotations

import os
import shutil
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from geodes_lab.errors import GeodesError
from geodes_lab.util import group_folders

_SEVERAL = "several"
_VOLUMES = "volumes"
"""Of ``GEODES_LAB_FILES``: servers are pods, and one sees only its own volumes and the common ones."""


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
        Where it is now. For one group: in the folder of the person's results for that group. For everybody: below the
        person's name in the lab's shared folder, if it can be written. Else where it was.

    Raises
    ------
    GeodesError
        If it cannot be copied.
    """
    shared = Path(os.environ["GEODES_LAB_SHARED"]) if os.environ.get("GEODES_LAB_SHARED") else None
    if not readers or os.environ.get("GEODES_LAB_PEOPLE") != _SEVERAL or _is_open_to_all(target, shared):
        return target
    if "*" in readers:
        if shared is not None and os.access(shared, os.W_OK):
            return _copied(target, shared / user, 0o755, 0o644)
        where = f"in {shared}, " if shared is not None else ""
        advice = f"Save the result where they can read it, {where}and publish that."
    else:
        folders = group_folders.folders()
        known = [reader for reader in readers if reader in folders]
        if len(readers) == len(known) == 1:
            if _is_open_within(target, folders[known[0]]):
                return target
            return _copied(target, group_folders.own_results(known[0], user), 0o750, 0o640)
        advice = (
            f"A file has one group: publish it once for each, with readers=[{known[0]!r}] and a collection of its own."
            if known
            else "Save the result where they can read it, and publish that."
        )
    warnings.warn(
        f"{target} is in a folder that only you can open: {', '.join(readers)} will find the Item but cannot read "
        f"the result. {advice}",
        stacklevel=3,
    )
    return target


def _is_open_to_all(target: Path, shared: Path | None) -> bool:
    if _are_volumes():  # whatever the rights of a file, no other pod has this one's home
        return shared is not None and target.is_relative_to(shared.resolve())
    return is_open(target)


def _are_volumes() -> bool:
    return os.environ.get("GEODES_LAB_FILES") == _VOLUMES


def is_open(target: Path) -> bool:
    """Whether every account of the machine can read a file or a folder, and pass the folders above it."""
    folders = [*target.parents, *([target] if target.is_dir() else [])]
    inside = [p for p in target.iterdir() if p.is_file()] if target.is_dir() else [target]
    return all(p.stat().st_mode & stat.S_IXOTH for p in folders) and all(
        p.stat().st_mode & stat.S_IROTH for p in inside
    )


def _is_open_within(target: Path, folder: Path) -> bool:
    """Whether the members of the group of a folder can read what is in it."""
    if not target.is_relative_to(folder.resolve()):
        return False
    if _are_volumes():  # all pods have one account
        return True
    gid = folder.stat().st_gid
    within = [p for p in target.parents if p.is_relative_to(folder.resolve())]
    whole = [target, *(target.rglob("*") if target.is_dir() else [])]

    def is_open(path: Path) -> bool:
        status = path.stat()
        needed = stat.S_IRGRP | stat.S_IXGRP if path.is_dir() else stat.S_IRGRP
        return status.st_gid == gid and status.st_mode & needed == needed

    return all(map(is_open, [*within, *whole]))


def _copied(target: Path, folder: Path, of_folders: int, of_files: int) -> Path:
    """Copy under a name of its own first: a reader never sees a part.

    Parameters
    ----------
    target
        What is copied.
    folder
        The person's own folder in the common place.
    of_folders, of_files
        Who may read the copies. In the place of a group what is made has that group, by the folder's setgid.
    """
    place = folder / target.name
    partial = folder / f".{target.name}.{uuid4().hex}.partial"
    try:
        folder.mkdir(exist_ok=True, mode=of_folders)
        # A volume has the account that its server gives it: that nobody else writes there is said by what pods mount.
        if folder.is_symlink() or (folder.stat().st_uid != os.geteuid() and not _are_volumes()):
            raise GeodesError(f"{folder} belongs to another account, so nothing is published there: tell the operator.")
        if target.is_dir():
            shutil.copytree(target, partial, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(target, partial)
        for path in [partial, *partial.rglob("*")]:
            path.chmod((path.stat().st_mode & stat.S_ISGID) | of_folders if path.is_dir() else of_files)
        if place.is_dir():
            shutil.rmtree(place)
        partial.replace(place)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise GeodesError(
            f"{target} cannot be copied to {folder}, where others can read it ({error.strerror}): ask the operator."
        ) from error
    return place
