"""The cache of whole files: bounded, each file written all or nothing, by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings

_IN_USE = 3600.0  # a file that was used within so many seconds is not removed


class CacheFull(Exception):
    """A file cannot be cached; the text says why and what to do, and continues the caller's sentence."""


def path_of(key: str, ending: str) -> Path:
    """Return the path of the cached file for ``key``, in the folder ``geodes_lab.replica.folder``.

    Parameters
    ----------
    key
        An address, with the part of the object.
    ending
        The end of the file's name, for people and for programs that look at it; characters that file systems do not
        accept are replaced.
    """
    folder = Path(settings.get("replica.folder")).expanduser().absolute()
    ending = re.sub(r"[^\w.+-]", "_", ending, flags=re.ASCII)[-160:]
    if ending.endswith(".part") and ending != ".part":  # such a name would look like the remains of a process that died
        ending += "_"
    return folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + ending)


def is_cached(path: Path, size: int | None) -> bool:
    """Whether a file is cached, with ``size`` bytes if that is known; marks it as in use."""
    try:
        stat = path.stat()
        if size not in (None, stat.st_size):
            return False
        # The time of change stays the same, because caches of the file's content use it as a key.
        os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Part:
    """A file that is being written; it is removed unless its writer keeps it."""

    path: Path
    file: BinaryIO

    def reserve(self, need: int) -> None:
        """Reserve ``need`` bytes; removes files that were unused for longest, and the remains of dead processes.

        Raises
        ------
        CacheFull
            If they are more than ``geodes_lab.replica.limit``, or all other files are in use, or the disk is
            full.
        """
        if os.fstat(self.file.fileno()).st_size >= need:
            return
        limit, folder = parse_bytes(settings.get("replica.limit")), self.path.parent
        now = f"raise geodes_lab.replica.limit, now {format_bytes(limit)}"
        if need > limit:
            raise CacheFull(f"its {format_bytes(need)} are more than the limit for all replicas together; {now}")
        with alone(folder / ".lock"):
            others = []
            for path in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process may finish or remove a part at any time
                    if path.name not in (".lock", self.path.name):
                        others.append((path.stat().st_atime, path.stat().st_size, path))
            taken = sum(size for _, size, _ in others)
            for used, size, path in sorted(others):
                if taken + need <= limit and shutil.disk_usage(folder).free >= need:
                    break
                if (path.suffix == ".part" or time.time() - used > _IN_USE) and _remove_unless_held(path):
                    taken -= size
            if taken + need > limit:
                raise CacheFull(
                    f"its {format_bytes(need)} do not fit beside the replicas that were used in the last hour; {now}"
                )
            if shutil.disk_usage(folder).free < need:
                raise _full(folder, need)
            os.truncate(self.file.fileno(), need)  # the file takes no space yet, but others count it

    def keep(self, path: Path) -> None:
        """Keep the complete file as ``path``."""
        os.fsync(self.file.fileno())
        self.path.replace(path)


@contextlib.contextmanager
def making(path: Path, size: int | None = None) -> Iterator[Part]:
    """Begin to write a file, alone. Callers block on the lock, then check the cache.

    Parameters
    ----------
    path
        The file's name while it is written.
    size
        Its bytes, if they are known, for the error message about a full disk.

    Raises
    ------
    CacheFull
        If the folder is not writable, or its disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path) as file:
            file.truncate(0)  # removes the remains of a process that died
            try:
                yield Part(path, file)
            finally:
                if is_at(path, file):
                    path.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path.parent, size) from error
        raise CacheFull(
            f"{path.parent} cannot store it ({error.strerror}): set geodes_lab.replica.folder to a folder of your own"
        ) from error


def _full(folder: Path, need: int | None) -> CacheFull:
    much = f", it needs {format_bytes(need)}" if need else ""
    return CacheFull(f"the disk of {folder} is full{much}; free some space, or set geodes_lab.replica.folder")


@contextlib.contextmanager
def alone(path: Path, wait: Callable[[], None] | None = None) -> Iterator[BinaryIO]:
    """Open a file, created if needed, that no other thread or process holds.

    The system releases it if this process dies.

    Parameters
    ----------
    path
        The file.
    wait
        Called again and again while another one holds it; it may raise. None: the system waits.
    """
    while True:
        # Links are not followed: in a folder that others may write, a link would lead to another file of this user,
        # which would be emptied.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+b") as file:
            if wait is None:
                fcntl.flock(file, fcntl.LOCK_EX)
            elif not _locked(file):
                wait()
                continue
            if is_at(path, file):
                yield file
                return


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the name still belongs to this file.

    While this process waited, another one may have kept the file or removed it.
    """
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove_unless_held(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_ours := is_at(path, file):
                path.unlink()
            return is_ours
    except (BlockingIOError, FileNotFoundError):
        return False
