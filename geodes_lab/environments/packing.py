"""The packages of an environment as one file, for workers that do not see the person's home.

The same packages give the same file, whose hash names it. Nothing in it is a link, and nothing of it lies outside one
folder.
"""

from __future__ import annotations

import hashlib
import stat
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from dask.utils import format_bytes

from geodes_lab.environments.overlay import LINK, Overlay
from geodes_lab.errors import GeodesError

MOST_FILES = 100_000
"""Files that a pack has at most."""
_READ = 2**20  # bytes at once
_BORN = (1980, 1, 1, 0, 0, 0)  # of all members: when something was installed changes nothing
_MODULES = (".so", ".pyd", ".dylib")
_OF_PLACE = ("direct_url.json", "REQUESTED", "INSTALLER")  # how and from where pip installed, not what


@dataclass(frozen=True)
class Contents:
    """What a pack has, told to those who unpack it."""

    sha256: str
    size: int
    """Of the file, in bytes."""
    unpacked: int
    """Of its members together, in bytes."""
    files: int
    distributions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages, by name."""
    platform: str = ""
    """For which machines its compiled modules are; empty if it has none."""

    def plain(self) -> dict[str, Any]:
        """As a dict of texts and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Pack:
    """A pack in a file that has no name, and is gone when it is closed."""

    file: IO[bytes]
    contents: Contents
    left_out: tuple[str, ...]
    """Files that lead to other folders, such as those of ``pip install -e``, which have no meaning elsewhere."""


def mark(overlay: Overlay) -> tuple[int, tuple[str, ...]]:
    """Return what changes when pip installs or removes a package; one folder is listed."""
    try:
        names = sorted(p.name for p in overlay.packages.iterdir() if p.name.endswith((".dist-info", ".pth")))
        return overlay.packages.stat().st_mtime_ns, tuple(names)
    except OSError:
        return 0, ()


def pack(overlay: Overlay, most: int) -> Pack | None:
    """Pack the packages of an environment; None if it has none of its own.

    Parameters
    ----------
    overlay
        The environment.
    most
        Bytes that its packages may have together.

    Raises
    ------
    GeodesError
        If they are too large, too many, or cannot be read.
    """
    try:
        files = sorted(_files(overlay.packages))
        left_out = tuple(sorted(_elsewhere(overlay.packages)))
        total = sum((overlay.packages / name).stat().st_size for name in files)
        if not files and not left_out:
            return None
        if total > most or len(files) > MOST_FILES:
            raise GeodesError(
                f"they have {format_bytes(total)} in {len(files)} files, and at most {format_bytes(most)} in "
                f"{MOST_FILES} files are sent (geodes_lab.cluster.software)"
            )
        return _packed(overlay, files, total, left_out)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise GeodesError(f"they cannot be packed ({reason})") from error


def _packed(overlay: Overlay, files: list[str], total: int, left_out: tuple[str, ...]) -> Pack:
    file = tempfile.TemporaryFile(prefix="geodes-lab-software-")  # noqa: SIM115  (given away)
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in files:
                path = overlay.packages / name
                info = zipfile.ZipInfo(name, _BORN)
                info.create_system = 3  # Unix
                info.external_attr = (0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                    while part := source.read(_READ):
                        target.write(part)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    except BaseException:
        file.close()
        raise
    platform = sysconfig.get_platform() if any(name.endswith(_MODULES) for name in files) else ""
    return Pack(file, Contents(sha256, size, total, len(files), overlay.own(), platform), left_out)


def _files(root: Path) -> Iterator[str]:
    """Names of the files of packages, below their folder; links, and what Python makes anew, are left out."""
    left = [root]
    while left:
        for path in left.pop().iterdir():
            if path.is_symlink() or path.name == "__pycache__" or path.suffix == ".pyc":
                continue
            if path.is_dir():
                left.append(path)
            elif path.is_file() and path.name not in _OF_PLACE and not (path.suffix == ".pth" and path.parent == root):
                yield path.relative_to(root).as_posix()


def _elsewhere(root: Path) -> Iterator[str]:
    """Names of what leads out of the folder: links, and lists of other folders."""
    for path in root.iterdir():
        if path.is_symlink() or (path.suffix == ".pth" and path.name not in (LINK, "distutils-precedence.pth")):
            yield path.name
