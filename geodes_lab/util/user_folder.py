"""A private folder of this user on the local disk.

Processes of the same user exchange information there.

The hub creates it (``GEODES_LAB_RUNTIME``); elsewhere it is the session's own (``XDG_RUNTIME_DIR``), or one in the
system's temporary folder. A folder that somebody else owns is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.util import ownership

RUNTIME = "GEODES_LAB_RUNTIME"
"""The variable that tells servers, kernels and workers of one user where the folder is."""
_taken: dict[Path, Path] = {}  # instead of folders that other accounts own


def folder(name: str) -> Path:
    """Return a folder for this user alone, created if needed.

    Raises
    ------
    GeodesError
        If no folder is possible.
    """
    path = base() / name
    if problem := ownership.make(path):
        raise GeodesError(
            f"There is no private folder: {problem}. Remove it, or leave geodes_lab.cluster.folder unset."
        )
    return path


def base() -> Path:
    """Return the parent of all these folders; its path is short enough for sockets unless it is set otherwise.

    Raises
    ------
    GeodesError
        If the setting names a folder that others can change, or no other folder is possible.
    """
    if chosen := settings.get("cluster.folder"):
        path = Path(chosen).expanduser().absolute()
        if problem := ownership.make(path):
            raise GeodesError(
                f"The folder in the setting geodes_lab.cluster.folder is not private: {problem}. Leave the setting "
                "out; a private folder is then created."
            )
        return path
    from_hub, session = os.environ.get(RUNTIME), os.environ.get("XDG_RUNTIME_DIR")
    if from_hub and not ownership.private(Path(from_hub)):
        return Path(from_hub)
    if session and not ownership.private(Path(session)) and not ownership.make(Path(session) / "geodes-lab"):
        return Path(session) / "geodes-lab"
    shared = Path(tempfile.gettempdir())
    if shared_folder := below(shared):
        return shared_folder
    raise GeodesError(
        f"There is no private folder for you below {shared}: "
        f"{ownership.fault(shared) or 'the folder is not writable'}. Set XDG_RUNTIME_DIR or {RUNTIME} to a folder "
        "that is closed to other accounts (chmod 700)."
    )


def below(shared: Path) -> Path | None:
    """Return a folder for this user alone in one that many can write, the same each time; None if that is not possible.

    If somebody else owns the usual name, the folder gets a random name, which is remembered in the user's home.

    Parameters
    ----------
    shared
        Such as ``/tmp``.
    """
    name = f"geodes-lab-{os.getuid()}"
    if ownership.fault(shared):
        return None
    if not ownership.make(shared / name):
        return shared / name
    if shared in _taken and not ownership.private(_taken[shared]):
        return _taken[shared]
    mark = hashlib.sha256(f"{socket.gethostname()} {shared}".encode()).hexdigest()[:12]
    note = Path.home() / ".cache" / "geodes-lab" / f"place-{mark}"
    known = _noted(note)
    if known and known.parent == shared and known.name.startswith(f"{name}-") and not ownership.private(known):
        _taken[shared] = known
        return known
    try:
        created = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=shared))
    except OSError:
        return None
    with contextlib.suppress(OSError):  # the home is full: other notebooks then use another folder
        note.parent.mkdir(parents=True, exist_ok=True)
        write(note, str(created))
    _taken[shared] = created
    return created


def _noted(note: Path) -> Path | None:
    try:
        return Path(note.read_text(errors="replace").strip()) if not ownership.fault(note) else None
    except OSError:
        return None


def write(path: Path, text: str) -> None:
    """Write a file for this user alone; whole or not at all."""
    with _written(path, text) as part:
        part.replace(path)


def write_once(path: Path, text: str) -> None:
    """Write a file for this user alone, unless it is there: of several that write at the same time, the first wins."""
    with _written(path, text) as part, contextlib.suppress(FileExistsError):
        os.link(part, path)


@contextlib.contextmanager
def _written(path: Path, text: str) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
