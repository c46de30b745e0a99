"""Whose a place is: a path that nobody else can change, a socket of a program of one's own. It needs Python alone.

On a machine of several accounts `/tmp` and the ports of loopback are open to all of them: what lies or listens there
under the right name may be somebody else's.
"""

from __future__ import annotations

import os
import socket
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

_LINKS = 20  # on the way of one path
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS = "0A"
SOCKET_PATH = 107
"""Characters that the path of a socket may have."""


def fault(path: Path, owner: int | None = None) -> str:
    """Say why somebody else could put something of theirs in the place of a path; empty if nobody can.

    Each folder above it, and each link on the way, belongs to root or to the owner, and others cannot write there, but
    for folders such as ``/tmp`` where each account removes its own files alone. What is not there yet is not looked at.

    Parameters
    ----------
    path
        A file or folder; it need not be there.
    owner
        The account that it is for; None: that of this process.
    """
    trusted = {os.geteuid() if owner is None else owner, *_roots()}
    done, left, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    here = "/"
    while True:
        try:
            told = Path(here).lstat()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{here} cannot be looked at ({error.strerror})"
        if told.st_uid not in trusted:
            return f"{here} belongs to somebody else"
        if stat.S_ISLNK(told.st_mode):
            links += 1
            if links > _LINKS:
                return f"{path} leads in a circle"
            target = Path(here).readlink()
            done = Path("/") if target.is_absolute() else done
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        elif told.st_mode & 0o022 and not (stat.S_ISDIR(told.st_mode) and told.st_mode & stat.S_ISVTX):
            return f"other accounts may write into {here}"
        else:
            done = Path(here)
        if not left:
            return ""
        part = left.pop()
        here = str(done.parent if part == ".." else done / part)


def private(path: Path, owner: int | None = None) -> str:
    """Say why a folder is not for one account alone.

    Empty if it is: its own, closed to others, no link, in a safe place.
    """
    owner = os.geteuid() if owner is None else owner
    try:
        told = path.lstat()
    except OSError as error:
        return f"{path} is not there ({error.strerror})"
    if stat.S_ISLNK(told.st_mode):
        return f"{path} is a link, which may lead to what belongs to somebody else"
    if not stat.S_ISDIR(told.st_mode):
        return f"{path} is no folder"
    if told.st_uid != owner:
        return f"{path} belongs to somebody else"
    if told.st_mode & 0o077:
        return f"{path} is open to other accounts"
    return fault(path, owner)


def make(path: Path) -> str:
    """Make a folder for this account alone, or take the one that is there.

    Say why it cannot be, empty if it is done.
    """
    missing = [path, *path.parents]
    missing = missing[: next((n for n, p in enumerate(missing) if os.path.lexists(p)), len(missing))]
    if said := fault(path):
        return said
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:
            continue  # somebody was there first: who, is looked at below
        except OSError as error:
            return f"{one} cannot be made ({error.strerror})"
    try:
        told = path.lstat()
        if stat.S_ISDIR(told.st_mode) and told.st_uid == os.geteuid() and told.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        return f"{path} cannot be closed ({error.strerror})"
    return private(path)


def listeners(port: int) -> set[int] | None:
    """The accounts whose programs listen at a port of this machine, on whichever of its addresses.

    None where the system does not tell.
    """
    found, told = set(), False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        told = True
        for line in lines:
            _, local, _, state, _, _, _, uid, *_ = line.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                found.add(int(uid))
    return found if told else None


def peers(connection: socket.socket) -> set[int] | None:
    """The accounts whose program is at the other end of a TCP connection of this machine.

    None where the system does not tell.
    """
    here, there = connection.getsockname()[1], connection.getpeername()[1]
    found, told = set(), False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        told = True
        for line in lines:
            _, local, remote, state, _, _, _, uid, *_ = line.split()
            ends = tuple(int(end.rpartition(":")[2], 16) for end in (local, remote))
            if state != _LISTENS and ends == (there, here):
                found.add(int(uid))
    return found if told else None


class OwnListener(socket.socket):
    """A listening socket that lets in programs of its own account alone: a port of loopback has no other door."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Give the next connection of a program of this account; others are closed unread."""
        while True:
            connection, address = super().accept()
            accounts = peers(connection)
            if accounts is None or (accounts and accounts <= {os.geteuid()}):
                return connection, address
            connection.close()


@lru_cache(maxsize=1)
def _roots() -> frozenset[int]:
    """What root's files are shown as: in a container that does not know root, as nobody's."""
    try:
        known = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if known and not any(int(first) == 0 for first, *_ in known):
            return frozenset({0, int(Path("/proc/sys/kernel/overflowuid").read_text())})
    except (OSError, ValueError):
        pass
    return frozenset({0})
