"""A pack of packages on a worker: checked before anything is written; then its packages come before the image's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
import re
import shutil
import stat
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from geodes_lab.environments.packing import MOST_FILES, Contents
from geodes_lab.errors import GeodesError

_READ = 2**20  # bytes at once
_entered: list[str] = []  # what this process has put into its path


def unpack(file: Path, contents: Contents, folder: Path) -> Path:
    """Unpack into a folder that the hash names; what was unpacked already is used.

    Parameters
    ----------
    file
        The pack.
    contents
        What it has to be.
    folder
        One of this process's own.

    Returns
    -------
    pathlib.Path
        The folder of the packages.

    Raises
    ------
    GeodesError
        If it is another file, has a member that it should not have, or cannot be written.
    """
    if contents.platform and contents.platform != sysconfig.get_platform():
        raise GeodesError(f"they were compiled for {contents.platform}, and this machine is {sysconfig.get_platform()}")
    target = folder / f"software-{contents.sha256[:32]}"
    if target.is_dir():
        return target
    try:
        with file.open("rb") as packed:
            if file.stat().st_size != contents.size or hashlib.file_digest(packed, "sha256").hexdigest() != (
                contents.sha256
            ):
                raise GeodesError("what has arrived is not what was sent")
        partial = Path(tempfile.mkdtemp(prefix=".software-", dir=folder))  # for this account alone
        try:
            with zipfile.ZipFile(file) as archive:
                _refuse(archive.infolist(), contents)
                for member in archive.infolist():
                    _write(archive, member, partial / member.filename)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise GeodesError(f"the file is damaged ({error})") from error
    except OSError as error:
        raise GeodesError(f"they cannot be unpacked into {folder} ({error.strerror})") from error
    return target


def enter(folder: Path, contents: Contents) -> list[str]:
    """Let this process import from a folder of packages first.

    Returns
    -------
    list of str
        Packages that it has imported in another version, which stays: "numpy 2.2 (2.1 is in use)".
    """
    before = {name: _version(name) for name in contents.distributions}
    for one in _entered:
        if one in sys.path:
            sys.path.remove(one)
    _entered[:] = [str(folder)]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    in_use = []
    for name, own in contents.distributions.items():
        other = before[name]
        if other not in (None, own) and any(module in sys.modules for module in _modules(folder, name)):
            in_use.append(f"{name} {own} ({other} is in use)")
    return in_use


def _refuse(members: list[zipfile.ZipInfo], contents: Contents) -> None:
    names = [member.filename for member in members]
    if len(names) > min(contents.files, MOST_FILES) or len(set(names)) != len(names):
        raise GeodesError("the file has other members than it should")
    if sum(member.file_size for member in members) > contents.unpacked:
        raise GeodesError("the file is larger than it should be")
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts and not re.search(r"[\\\x00-\x1f]|^\w:", name)
        if not inside or member.is_dir() or kind not in (0, stat.S_IFREG) or path.suffix == ".pth":
            raise GeodesError(f"the file has a member {name[:100]!r}, which is no file of a package")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write a member; zipfile reads no more of it than its header says, and checks its sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if (member.external_attr >> 16) & stat.S_IXUSR else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as target, archive.open(member) as source:
        shutil.copyfileobj(source, target, _READ)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _modules(folder: Path, name: str) -> set[str]:
    """Names by which a package is imported."""
    for one in importlib.metadata.distributions(path=[str(folder)]):
        if re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower() == name:
            tops = {PurePosixPath(str(file)).parts[0] for file in one.files or []}
            return {top.partition(".")[0] for top in tops if not top.endswith(".dist-info")} | {name.replace("-", "_")}
    return {name.replace("-", "_")}
