"""A folder of this user's on the local disk, which nobody else reads.

For what processes of the same user tell each other.

The hub makes it (``GEODES_LAB_RUNTIME``); elsewhere it is the session's own (``XDG_RUNTIME_DIR``), or one below the
system's temporary folder. A place that somebody else has taken is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.util import ownership

RUNTIME = "GEODES_LAB_RUNTIME"
"""The variable by which servers, kernels and workers of one user agree on the folder."""
_taken: dict[Path, Path] = {}  # instead of places that others have taken


def folder(name: str) -> Path:
    """Give a folder, made if needed, for this user alone.

    Raises
    ------
    GeodesError
        If there can be none.
    """
    found = base() / name
    if said := ownership.make(found):
        raise GeodesError(f"There is no private folder: {said}. Remove it, or leave geodes_lab.cluster.folder unset.")
    return found


def base() -> Path:
    """Give the folder in which all others are; short enough for sockets where it is not set otherwise.

    Raises
    ------
    GeodesError
        If the setting names a folder that others can change, or there is no other.
    """
    if chosen := settings.get("cluster.folder"):
        path = Path(chosen).expanduser().absolute()
        if said := ownership.make(path):
            raise GeodesError(
                f"The setting geodes_lab.cluster.folder names no private folder: {said}. Leave it unset, and a "
                "private one is made."
            )
        return path
    given, session = os.environ.get(RUNTIME), os.environ.get("XDG_RUNTIME_DIR")
    if given and not ownership.private(Path(given)):
        return Path(given)
    if session and not ownership.private(Path(session)) and not ownership.make(Path(session) / "geodes-lab"):
        return Path(session) / "geodes-lab"
    shared = Path(tempfile.gettempdir())
    if found := below(shared):
        return found
    raise GeodesError(
        f"There is no private folder for you below {shared}: "
        f"{ownership.fault(shared) or 'nothing can be written there'}. Set XDG_RUNTIME_DIR or {RUNTIME} to a folder "
        "that is closed to others (chmod 700)."
    )


def below(shared: Path) -> Path | None:
    """Give a folder for this user alone in one where many write, the same each time; None if there can be none.

    If somebody else has taken the usual name it is one that nobody guesses, which is remembered in the home.

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
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=shared))
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a home that is full: other notebooks have another place then
        note.parent.mkdir(parents=True, exist_ok=True)
        write(note, str(made))
    _taken[shared] = made
    return made


def _noted(note: Path) -> Path | None:
    try:
        return Path(note.read_text(errors="replace").strip()) if not ownership.fault(note) else None
    except OSError:
        return None


def write(path: Path, text: str) -> None:
    """Write a file for this user alone; whole or not at all."""
    descriptor, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
