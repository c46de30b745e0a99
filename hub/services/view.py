"""A restricted view of the file system for one process and its children.

It is read-only, with folders hidden, and a few things shown inside of them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CLONE_NEWIPC = 0x8000000
_CLONE_NEWNS, _MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 2, 4, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _RECURSIVE, _RDONLY, _ATTR_NOSUID = 442, 0x8000, 1, 2
# Where other people and services keep their files, whatever the mode of these.
_SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
_OTHERS = (*_SCRATCH, "/home", "/root", "/run/user", "/srv", "/mnt", "/media")


class ViewError(Exception):
    """The system does not allow a view of its own for this process; the message says what it refused."""


class View:
    """What a service can see.

    Parameters
    ----------
    hidden
        Folders that appear empty, in addition to those where people and services keep their files.
    shown
        Files and folders that it sees, read-only, even inside of hidden or closed folders.
    owned
        The only folder that it may write.
    """

    def __init__(self, hidden: Iterable[str | Path], shown: Iterable[Path], owned: Path) -> None:
        self._owned = Path(os.path.realpath(owned))
        there = [p for p in shown if p.exists()]
        # Both a name and the target that it leads to.
        self._shown = {*(Path(os.path.realpath(p)) for p in there), *(p.absolute() for p in there if not _has_links(p))}
        closed = {c for path in (*self._shown, self._owned) if (c := _closed(path))}
        named = {Path(os.path.realpath(p)) for p in (*hidden, *_OTHERS) if os.path.isdir(p)}
        self._hidden = {*named, *closed} - self._shown - {self._owned}

    def enter(self) -> None:
        """Apply the view to this process and the processes that it starts.

        Raises
        ------
        ViewError
            If the system refuses.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        _did(
            libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC), "mount namespace"
        )  # and no shared memory of System V with others
        _did(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount namespace of its own")
        # Kept open while they are hidden: a path would lead nowhere then.
        held = {p: os.open(p, os.O_PATH) for p in (*self._shown, self._owned)}
        # From the root on, so that something shown in a hidden folder comes after it, and something hidden in a shown
        # one too.
        for path in sorted({*self._hidden, *held}, key=lambda p: len(p.parts)):
            if path in held:
                self._show(libc, path, held[path])
            elif path.is_dir():
                mode = b"1777" if path in _SCRATCH else b"755"
                _mount(libc, b"tmpfs", path, b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=512m,mode=" + mode)
        for descriptor in held.values():
            os.close(descriptor)
        _hide_processes(libc)
        _set(libc, Path("/"), _RECURSIVE, _RDONLY | _ATTR_NOSUID, 0)
        for folder in (self._owned, *_SCRATCH):
            if folder == self._owned or folder in self._hidden:
                _set(libc, folder, 0, 0, _RDONLY)

    def _show(self, libc: ctypes.CDLL, path: Path, held: int) -> None:
        if path != self._owned and not any(path.is_relative_to(h) for h in self._hidden):
            return  # it should stay as it is
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            if os.path.isdir(f"/proc/self/fd/{held}"):
                path.mkdir()
            else:
                path.touch()
        _mount(libc, f"/proc/self/fd/{held}".encode(), path, None, _MS_BIND | _MS_REC, None)


def _hide_processes(libc: ctypes.CDLL) -> None:
    """Show only its own processes; if the system does not allow that, all stay visible."""
    if libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV, b"hidepid=2") != 0:
        reason = os.strerror(ctypes.get_errno())
        print(
            f"This service can see that other processes exist, because /proc cannot be mounted ({reason}).",
            file=sys.stderr,
        )


def _mount(libc: ctypes.CDLL, source: bytes, target: Path, kind: bytes | None, flags: int, data: bytes | None) -> None:
    _did(libc.mount(source, bytes(target), kind, flags, data), f"a mount on {target}")


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _set(libc: ctypes.CDLL, path: Path, flags: int, attributes: int, clear: int) -> None:
    attributes_set = _Attributes(attributes, clear, 0, 0)
    at_fdcwd = -100
    done = libc.syscall(
        _MOUNT_SETATTR, at_fdcwd, bytes(path), flags, ctypes.byref(attributes_set), ctypes.sizeof(attributes_set)
    )
    _did(done, f"{path} read-only" if attributes else f"{path} writable")


def _did(result: int, what: str) -> None:
    if result != 0:
        raise ViewError(f"the system does not allow {what} ({os.strerror(ctypes.get_errno())})")


def _closed(path: Path) -> Path | None:
    """Return the outermost folder above a path that others may not pass."""
    return next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None)


def _has_links(path: Path) -> bool:
    return Path(os.path.realpath(path)) != path.absolute()
