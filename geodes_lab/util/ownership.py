"""Who owns a path, a folder or a socket: checks that no other account can change it. Needs Python alone.

On a machine with several accounts, all of them can use `/tmp` and the ports of loopback: a file or server with the
right name may belong to somebody else.
"""

from __future__ import annotations

import os
import socket
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

_LINKS = 20  # links on one path
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS = "0A"
SOCKET_PATH = 107
"""Characters that the path of a socket may have."""


def fault(path: Path, owner: int | None = None) -> str:
    """Return why another account could replace what is at a path; empty if no account can.

    Each folder above it, and each link on the way, must belong to root or to the owner, and others must not be able to
    write there, except in folders such as ``/tmp`` where each account removes only its own files. Missing folders are
    not checked.

    Parameters
    ----------
    path
        A file or folder; it may be missing.
    owner
        The account that uses it; None: the account of this process.
    """
    trusted = {os.geteuid() if owner is None else owner, *_roots()}
    done, left, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    here = "/"
    while True:
        try:
            status = Path(here).lstat()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"{here} cannot be accessed ({error.strerror})"
        if status.st_uid not in trusted:
            return f"{here} belongs to another account"
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _LINKS:
                return f"{path} is a link in a circle"
            target = Path(here).readlink()
            done = Path("/") if target.is_absolute() else done
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        elif status.st_mode & 0o022 and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            return f"other accounts can write into {here}"
        else:
            done = Path(here)
        if not left:
            return ""
        part = left.pop()
        here = str(done.parent if part == ".." else done / part)


def private(path: Path, owner: int | None = None) -> str:
    """Return why a folder is not private to one account.

    Empty if it is: its owner's, closed to others, not a link, in a safe place.
    """
    owner = os.geteuid() if owner is None else owner
    try:
        status = path.lstat()
    except OSError as error:
        return f"{path} does not exist ({error.strerror})"
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link, which may lead to files of another account"
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is not a folder"
    if status.st_uid != owner:
        return f"{path} belongs to another account"
    if status.st_mode & 0o077:
        return f"{path} is open to other accounts"
    return fault(path, owner)


def make(path: Path) -> str:
    """Create a folder for this account alone, or use the existing one.

    Returns why that is not possible, or an empty text.
    """
    missing = [path, *path.parents]
    missing = missing[: next((n for n, p in enumerate(missing) if os.path.lexists(p)), len(missing))]
    if problem := fault(path):
        return problem
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another process created it first: its owner is checked below
        except OSError as error:
            return f"{one} cannot be created ({error.strerror})"
    try:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        return f"{path} cannot be closed to other accounts ({error.strerror})"
    return private(path)


def listeners(port: int) -> set[int] | None:
    """Return the accounts whose programs listen at a port of this machine, on any of its addresses.

    None where the system does not tell.
    """
    accounts, is_known = set(), False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        is_known = True
        for line in lines:
            _, local, _, state, _, _, _, uid, *_ = line.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                accounts.add(int(uid))
    return accounts if is_known else None


def peers(connection: socket.socket) -> set[int] | None:
    """Return the accounts whose programs are at the other end of a TCP connection of this machine.

    None where the system does not tell.
    """
    here, there = connection.getsockname()[1], connection.getpeername()[1]
    accounts, is_known = set(), False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        is_known = True
        for line in lines:
            _, local, remote, state, _, _, _, uid, *_ = line.split()
            ends = tuple(int(end.rpartition(":")[2], 16) for end in (local, remote))
            if state != _LISTENS and ends == (there, here):
                accounts.add(int(uid))
    return accounts if is_known else None


class OwnListener(socket.socket):
    """A listening socket that accepts programs of its own account alone: a port of loopback has no other protection."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection of a program of this account; others are closed unread."""
        while True:
            connection, address = super().accept()
            accounts = peers(connection)
            if accounts is None or (accounts and accounts <= {os.geteuid()}):
                return connection, address
            connection.close()


@lru_cache(maxsize=1)
def _roots() -> frozenset[int]:
    """Return the owners that root's files show: in a container that does not map root, nobody."""
    try:
        known = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if known and not any(int(first) == 0 for first, *_ in known):
            return frozenset({0, int(Path("/proc/sys/kernel/overflowuid").read_text())})
    except (OSError, ValueError):
        pass
    return frozenset({0})
