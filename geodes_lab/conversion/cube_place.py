"""Where a cube is written, how it gets its name when it is complete, and what it may replace."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence

from geodes_lab.errors import GeodesError
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited
from geodes_lab.util import whole_folder


@contextlib.contextmanager
def alone(work: ObjectFolder) -> Iterator[None]:
    """Refuse a second process that writes the same cube, where the file system has locks."""
    if not work.is_disk:
        yield
        return
    try:
        work.path.mkdir(parents=True, exist_ok=True)
        folder = os.open(work.path, os.O_RDONLY)
    except OSError as error:
        raise GeodesError(f"{work} cannot be made ({error.strerror}): choose another place.") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise GeodesError(f"Another process is writing {work}: wait until it has ended.") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(folder)
        with contextlib.suppress(OSError):
            work.path.rmdir()  # nothing was begun


def finish(work: ObjectFolder, target: ObjectFolder, ends: Sequence[str]) -> None:
    """Give a complete cube on a disk its name, and its Items theirs after that; goes on after an end in between.

    The Items of a former cube are removed before: they would name other products' numbers.
    """
    if not work.is_disk or not all((work.path / end).exists() for end in ends):
        if work.is_disk:
            whole_folder.heal(target.path)
        return
    if (work.path / "store").exists():
        for end in ends:
            (target.path.parent / end).unlink(missing_ok=True)
        whole_folder.put(work.path / "store", target.path)
    for end in ends:
        (work.path / end).rename(target.path.parent / end)


def refuse(target: ObjectFolder, overwrite: bool, goes_on: bool) -> None:
    """Refuse to replace what is there, unless it is a store and the caller says so."""
    if target.is_disk:
        if not target.path.exists():
            return
        if not overwrite:
            raise GeodesError(
                f"{target} exists already, of other products or bands: give overwrite=True to replace it, or choose "
                "another name."
            )
        if not (target.path / "zarr.json").exists() and not (target.path / ".zgroup").exists():
            raise GeodesError(f"{target} is not a Zarr store, and gl.convert does not replace it: choose another name.")
    elif not goes_on and waited(target.names()):
        raise GeodesError(
            f"{target} has objects already, and in a bucket nothing can be replaced in one step: choose another name, "
            "or remove them."
        )
