"""Project quotas of Linux: ext4 and XFS hold a folder, with all that is below it, to a number of bytes.

They are there where the file system is mounted with ``prjquota``. The system's own calls are used, since the programs
`setquota` and `xfs_quota` are seldom installed. Only root sets a quota. A limit holds for every program, terminals and
kernels too. It is no wall against its own person: Linux lets the owner of a file give it another project.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_KINDS = {"ext4", "xfs"}
_ENFORCED = {"prjquota", "pquota"}
_PROJECT, _GET, _SET, _OF_BYTES = (
    2,
    0x800007,
    0x800008,
    1,
)  # linux/quota.h: PRJQUOTA, Q_GETQUOTA, Q_SETQUOTA, QIF_BLIMITS
_GET_ATTRIBUTES, _SET_ATTRIBUTES, _INHERITED = (
    0x801C581F,
    0x401C5820,
    0x200,
)  # linux/fs.h: FS_IOC_FS?ETXATTR, PROJINHERIT
_ATTRIBUTES = struct.Struct("IIIII8x")  # flags, two sizes, project, another size
_LIMITS = struct.Struct("8QI4x")  # limit, soft limit (kiB), bytes, three of inodes, two times, what is meant
_KIB = 1024


class QuotaError(Exception):
    """A quota could not be set; the message says why."""


@dataclass(frozen=True)
class Mount:
    """A file system that a folder lies on."""

    place: str
    device: str
    kind: str
    options: frozenset[str]

    @property
    def enforces(self) -> bool:
        """Whether it has project quotas, and holds programs to them."""
        return self.kind in _KINDS and bool(self.options & _ENFORCED)

    @property
    def advice(self) -> str:
        """What an operator does to have project quotas; empty if they are there."""
        if self.enforces:
            return ""
        if self.kind not in _KINDS:
            return f"{self.place} is {self.kind}, and only ext4 and XFS have project quotas: put the homes on one."
        prepare = (
            f" (before that, unmounted: `tune2fs -O project,quota -Q prjquota {self.device}`)"
            if self.kind == "ext4"
            else ""
        )
        return f"Mount {self.place} with the option prjquota{prepare}."


def mount_of(folder: Path, table: str | None = None) -> Mount | None:
    """Return the file system of a folder; None where the system does not say it (it is no Linux)."""
    try:
        lines = (_MOUNTS.read_text() if table is None else table).splitlines()
    except OSError:
        return None
    found: Mount | None = None
    real = Path(os.path.realpath(folder))
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, (kind, device, *options) = before.split(), after.split()
        place = _plain(fields[4])
        # A later line covers an earlier one of the same place.
        if real.is_relative_to(place) and (found is None or len(place) >= len(found.place)):
            found = Mount(place, _plain(device), kind, frozenset(",".join([fields[5], *options]).split(",")))
    return found


def hold(folder: Path, project: int, limit: int) -> None:
    """Hold a folder, and all that is below it, to a number of bytes.

    Parameters
    ----------
    folder
        A folder on a file system that enforces project quotas.
    project
        The number of its project: that of the account that owns it, which no other folder has.
    limit
        Bytes; 0: as many as the disk takes.

    Raises
    ------
    QuotaError
        If the system refuses; what was set before stays.
    """
    mount = mount_of(folder)
    if mount is None or not mount.enforces:
        raise QuotaError(f"{folder} has no project quotas: {mount.advice if mount else 'this system has none'}")
    try:
        if _project(folder) != project:
            _give(folder, project)
        blocks = -(-limit // _KIB)
        _call(_SET, mount, project, _LIMITS.pack(blocks, 0, 0, 0, 0, 0, 0, 0, _OF_BYTES))
    except RecursionError:
        raise QuotaError(f"{folder} has folders in folders, too deep for a quota to be set") from None
    except OSError as error:
        raise QuotaError(f"{folder} cannot have a quota ({error.strerror})") from None


def held(folder: Path) -> tuple[int, int] | None:
    """Return what the file system says of a folder's project, to root: bytes used, and the limit; None: it has none."""
    mount = mount_of(folder)
    try:
        if mount is None or not mount.enforces or not (project := _project(folder)):
            return None
        limit, _, used, *_ = _LIMITS.unpack(_call(_GET, mount, project, bytes(_LIMITS.size)))
    except OSError:
        return None
    return used, limit * _KIB


def _call(command: int, mount: Mount, project: int, data: bytes) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(data, len(data))
    if libc.quotactl((command << 8) | _PROJECT, os.fsencode(mount.device), project, buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw


def _give(folder: Path, project: int) -> None:
    """Give a folder's content to a project, as root in a tree that another account may change meanwhile.

    No link is followed, no name is used twice, and only files of the folder's owner are touched: a second name of
    somebody else's file would otherwise be charged to this home. The folder itself comes last, so that one that was
    interrupted is begun again.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        of = os.fstat(top)
        _below(top, project, of)
        _mark(top, project, is_folder=True)
        _below(top, project, of)  # what came into the folder itself until it was marked
    finally:
        os.close(top)


def _below(folder: int, project: int, of: os.stat_result) -> None:
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            now = os.stat(name, dir_fd=folder, follow_symlinks=False)
            is_folder = stat.S_ISDIR(now.st_mode)
            if now.st_dev != of.st_dev or now.st_uid != of.st_uid or not (is_folder or stat.S_ISREG(now.st_mode)):
                continue
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_DIRECTORY if is_folder else 0)
            entry = os.open(name, flags, dir_fd=folder)
            try:
                opened = os.fstat(entry)
                if (opened.st_dev, opened.st_uid) != (of.st_dev, of.st_uid):
                    continue
                if _attributes(entry)[3] == project and not is_folder:
                    continue
                _mark(entry, project, is_folder=is_folder)  # before what is in it: new files inherit it
                if is_folder:
                    _below(entry, project, of)
            finally:
                os.close(entry)


def _mark(entry: int, project: int, *, is_folder: bool) -> None:
    flags, extent, extents, _, copied = _attributes(entry)
    flags = flags | _INHERITED if is_folder else flags
    fcntl.ioctl(entry, _SET_ATTRIBUTES, _ATTRIBUTES.pack(flags, extent, extents, project, copied))


def _project(folder: Path) -> int:
    """The project that new files of a folder belong to; 0: none."""
    entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags, _, _, project, _ = _attributes(entry)
    finally:
        os.close(entry)
    return project if flags & _INHERITED else 0


def _attributes(entry: int) -> tuple[int, ...]:
    return _ATTRIBUTES.unpack(fcntl.ioctl(entry, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size)))


def _plain(name: str) -> str:
    """A name of the table of mounts, which writes spaces and the like as octal numbers."""
    return name.encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")
