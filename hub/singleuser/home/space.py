"""How full the home is, what fills it, and removing files."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.policy.units import Bytes
from geodes_lab.util.disk import disk_use

NEEDED = 24 * 2**20  # bytes that must be free for the files that a server writes at its start
_PATIENCE = 20.0  # seconds for measuring a home before a server starts, and for what is in it
# Folders that can be created again; they are offered first.
_CACHES = (
    ".cache",
    ".local/share/Trash",
    ".ipynb_checkpoints",
    "dask-worker-space",
    ".conda/pkgs",
    ".npm",
    "__pycache__",
)


# What is of use only as a whole: nobody is offered a part of it. A folder that holds one of these, or is named so.
_OF_A_WHOLE = ("zarr.json", ".zgroup", ".zarray", ".zmetadata", "pyvenv.cfg", "conda-meta", "manifest.safe")
_WHOLE_SUFFIXES = (".zarr", ".safe")
_OURS = ".local/share/geodes-lab"  # a person's environments, jobs and notes of the lab
_HISTORY = ".git"  # neither offered nor looked into
_SCARCE = 5 * 2**30  # free bytes of a disk, less than which people are warned of: a part says nothing of a large disk


@dataclass(frozen=True)
class Space:
    """How full a home is."""

    used: int | None
    """What the home holds, in bytes; None: it could not be measured, or not in time."""
    quota: int
    """What it may hold; 0: as much as its disk takes."""
    free: int
    """What can still be written, of the quota and of the disk."""
    disk: int
    """The size of its disk, which others may write to as well."""

    @property
    def part(self) -> float:
        """How much of the quota is used; without one, of the disk. What is not known is not called full."""
        if self.quota:
            return (self.used or 0) / self.quota
        return 1 - self.free / self.disk if self.disk else 1.0

    @property
    def is_over(self) -> bool:
        """Whether the quota is used up."""
        return self.quota > 0 and (self.used or 0) >= self.quota

    def is_scarce(self, part: float) -> bool:
        """Whether people are to be warned, if they are from this part on."""
        return self.part >= part and (self.quota > 0 or self.free < _SCARCE)


def limit() -> int:
    """The bytes that the home may hold, as the hub says it; 0: as many as its disk takes."""
    return int(os.environ.get("GEODES_LAB_HOME_QUOTA") or 0)


def measure(home: Path, patience: float = _PATIENCE) -> Space:
    """Measure a home, as the hub's accounts do (`geodes_lab.util.disk.disk_use`)."""
    disk = os.statvfs(home)
    quota = limit()
    free = disk.f_bavail * disk.f_frsize
    used = disk_use.of(home, patience)
    if quota:
        free = min(free, max(quota - (used or 0), 0))
    return Space(used, quota, free, disk.f_blocks * disk.f_frsize)


def problem(home: Path) -> str:
    """Return why a server could not write into a home; empty if it can."""
    try:
        space = measure(home)
        probe = home / f".geodes-lab-probe-{os.getpid()}"
        with contextlib.ExitStack() as clean:
            clean.callback(lambda: probe.unlink(missing_ok=True))
            probe.write_bytes(b"0" * 2**16)
    except OSError as error:
        return f"it is not writable ({error.strerror})"
    if space.free < NEEDED:
        if space.quota:
            return f"{said(space.used)} of {said(space.quota)} are used"
        return f"{said(space.disk - space.free)} of the {said(space.disk)} of its disk are used"
    return ""


def fillers(home: Path, most: int = 30) -> list[tuple[str, int, bool]]:
    """Return what fills a home, the largest first: path, bytes, and whether it can be created again."""
    device, deadline = home.stat().st_dev, time.monotonic() + _PATIENCE
    by_name: dict[str, tuple[int, bool]] = {}
    ours = home / _OURS
    inside = [] if ours.is_symlink() else [(path, ours, 2) for path in _places(ours, 2)]
    for path, above, depth in [*((path, home, 3) for path in _places(home, 3)), *inside]:
        name = path.relative_to(home).as_posix()
        if path == ours:
            continue  # its parts: one environment can go, and the others stay
        made_anew = any(name == c or path.name == c for c in _CACHES)
        if any(name.startswith(f"{other}/") and known for other, (_, known) in by_name.items()):
            continue  # a part of another offered folder
        with contextlib.suppress(OSError):
            if made_anew or not path.is_dir():
                size = _size(path, device, deadline)
                if size > 2**20 or (made_anew and size):
                    by_name[name] = (size, made_anew)
            elif (len(path.relative_to(above).parts) == depth or _is_a_whole(path)) and (
                size := _size(path, device, deadline)
            ) > 2**20:
                by_name[name] = (size, False)
    ordered = sorted(((n, s, c) for n, (s, c) in by_name.items() if s), key=lambda f: (not f[2], -f[1]))
    return ordered[:most]


def remove(home: Path, name: str) -> int:
    """Remove a file or folder of a home; return its bytes. A link is removed, not its target.

    Raises
    ------
    ValueError
        If it is not inside the home.
    """
    path = home / name
    inside = (
        path.parent.resolve().is_relative_to(home.resolve()) and path.parent.resolve() / path.name != home.resolve()
    )
    if not name or Path(name).is_absolute() or ".." in Path(name).parts or not inside or not os.path.lexists(path):
        raise ValueError(name)
    size = _size(path, home.stat().st_dev, time.monotonic() + _PATIENCE)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return size


def _places(home: Path, depth: int) -> Iterator[Path]:
    level = [home]
    for _ in range(depth):
        following = []
        for folder in level:
            with contextlib.suppress(OSError):
                for entry in sorted(os.scandir(folder), key=lambda e: e.name):
                    if entry.name == _HISTORY:
                        continue
                    yield Path(entry.path)
                    if entry.is_dir(follow_symlinks=False) and not _is_a_whole(Path(entry.path)):
                        following.append(Path(entry.path))
        level = following


def _is_a_whole(folder: Path) -> bool:
    """Whether a folder is a store, a product or an environment, which a part of is of no use."""
    return folder.name.lower().endswith(_WHOLE_SUFFIXES) or any((folder / name).exists() for name in _OF_A_WHOLE)


def _size(path: Path, device: int, deadline: float) -> int:
    """The size of one of very many parts, which would be as many processes of `du`; at least so much."""
    total, left = 0, [str(path)]
    while left and time.monotonic() < deadline:
        here = left.pop()
        try:
            status = os.lstat(here)
            total += status.st_blocks * 512 // max(status.st_nlink if stat.S_ISREG(status.st_mode) else 1, 1)
            if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                left.extend(e.path for e in os.scandir(here))
        except OSError:
            continue
    return total


def said(size: float | None) -> str:
    """Format a size for people."""
    return "?" if size is None else str(Bytes(size))
