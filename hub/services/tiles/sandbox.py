"""Landlock: a process gives up, for good, all files and ports but those that it needs; where the kernel has it.

Files since Linux 5.13, TCP since 6.7, signals to other processes since 6.12.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # numbers of the calls, the same on all machines
_READ, _EXECUTE = 1 << 2 | 1 << 3, 1 << 0  # read a file and list a folder; execute a file
_EVERYTHING = (1 << 13) - 1  # of files, in the first version
_OF_FILES = 0b111
_BIND, _CONNECT, _SCOPES = 1, 2, 0b11  # scopes: abstract sockets and signals
_BENEATH, _PORT = 1, 2
_NO_NEW_PRIVS = 38
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/etc/ssl", "/etc/ld.so.cache", "/etc/localtime", "/etc/hosts", "/etc/resolv.conf",
    "/etc/nsswitch.conf", "/dev/null", "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip


def enter(writable: Sequence[str], ports: Sequence[int]) -> bool:
    """Restrict this thread and those that it starts.

    Parameters
    ----------
    writable
        Folders that it may read and write; beside them it reads the system, the interpreter, its packages and the lab.
    ports
        TCP ports that it may connect to.

    Returns
    -------
    bool
        Whether the kernel does it; without, the process has the rights of its user.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    fields = [_EVERYTHING, *([_BIND | _CONNECT] if version >= 4 else []), *([_SCOPES] if version >= 6 else [])]
    attribute = struct.pack(f"<{len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE, attribute, ctypes.c_size_t(len(attribute)), 0)
    if ruleset < 0:
        return False
    try:
        top = Path(__file__).resolve().parents[3]
        program = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent)]
        program += [str(top / name) for name in ("geodes_lab", "hub")]
        for path in (*_SYSTEM, *program):
            _allow(libc, ruleset, path, _READ | _EXECUTE)
        for path in writable:
            _allow(libc, ruleset, path, _EVERYTHING)
        for port in ports if version >= 4 else ():
            libc.syscall(_ADD, ruleset, _PORT, struct.pack("<QQ", _CONNECT, port), 0)
        is_settled = libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        return is_settled and libc.syscall(_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        here = rights if os.path.isdir(path) else rights & _OF_FILES
        libc.syscall(_ADD, ruleset, _BENEATH, struct.pack("<Qi", here, descriptor), 0)
    finally:
        os.close(descriptor)
