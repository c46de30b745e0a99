"""The lab's example notebooks in the user's home: new versions are delivered, and edits are never lost.

The checksum of each delivered file is remembered. An unchanged copy is replaced by the new version; a changed one
stays, and the new version is put beside it; a deleted one returns only with a new version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path

_KEPT = ".delivered.json"


def deliver(source: Path, target: Path) -> list[str]:
    """Copy the notebooks of a folder into another; return the names of the changed files.

    Files that cannot be written are skipped.

    Parameters
    ----------
    source
        The lab's notebooks.
    target
        The folder in the user's home.
    """
    changed: list[str] = []
    with contextlib.suppress(OSError):  # a read-only or full home must not prevent the start
        target.mkdir(parents=True, exist_ok=True)
        known = _known(target)
        for path in sorted(source.rglob("*.ipynb")):
            name = path.relative_to(source).as_posix()
            if ".ipynb_checkpoints" not in name and _one(path.read_bytes(), target, name, known):
                changed.append(name)
        _write(target / _KEPT, json.dumps(known, indent=1).encode())
    return changed


def _one(new: bytes, target: Path, name: str, known: dict[str, str]) -> bool:
    place, was, now = target / name, known.get(name), _sum(new)
    try:
        here = _sum(place.read_bytes())
    except FileNotFoundError:
        here = None
    if now == was or here == now:
        known[name] = now
        return False
    if here is not None and here != was:
        place = place.with_name(f"{place.stem}.new-{now[:6]}.ipynb")
        for older in place.parent.glob(f"{(target / name).stem}.new-??????.ipynb"):
            # An earlier version beside it that the user has not changed is removed.
            if known.get(older.name) == _sum(older.read_bytes()):
                older.unlink()
        known[place.name] = now
    place.parent.mkdir(parents=True, exist_ok=True)
    _write(place, new)
    known[name] = now
    return True


def _known(target: Path) -> dict[str, str]:
    try:
        return dict(json.loads((target / _KEPT).read_text()))
    except (OSError, ValueError):
        return {}  # no file counts as unchanged then


def _write(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
