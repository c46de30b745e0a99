"""What belongs to a backup: folders, and what in them is kept. What comes later (a store of jobs) is one line more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.installation import Installation

MARK = ".geodes-lab-"
"""How folders begin in which a restore works; they are no part of a backup."""
DATABASES = "databases"
"""The part with the SQLite databases of the state, each copied by SQLite itself."""
_SECRETS = ("cookie_secret", "secrets")
# What is made anew at each start, or belongs to a part of its own.
_PASSING = {"proxy.pid", "hub.log", "lock", "login_secret", "sample", "run"}
_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")


class BackupError(Exception):
    """A backup or a restore that does not happen; the message says why, and what to do."""


@dataclass(frozen=True)
class Part:
    """One part, which is one file of the backup."""

    name: str
    folder: Path
    only: tuple[str, ...] | None = None
    """The entries of the folder that it consists of; None: all but those that are left out."""
    leaves_out: frozenset[str] = frozenset()
    whole: bool = True
    """Whether a restore replaces all of it; else each entry for itself, and entries that came later stay."""

    def entries(self) -> list[str]:
        """Return what is there now."""
        there = sorted(p.name for p in self.folder.iterdir()) if self.folder.is_dir() else []
        return [
            n
            for n in there
            if not n.startswith(MARK) and n not in self.leaves_out and (self.only is None or n in self.only)
        ]


def parts(here: Installation) -> list[Part]:
    """Return the parts of an installation, in the order in which they are restored."""
    lab, state = here.lab, here.state
    single = lab.servers.kind == "process"
    homes = state / "home" if single else here.homes
    secrets = Path(lab.secrets) if lab.secrets else None
    own = {homes.name} if homes.parent == state else set()
    found = [
        Part("secrets", state, _SECRETS),
        Part("state", state, None, frozenset({*_SECRETS, *_PASSING, *own, *databases(state)})),
    ]
    if secrets is not None and not secrets.is_relative_to(state):
        found.append(Part("secret-files", secrets))
    found.append(Part("homes", state, ("home",)) if single else Part("homes", homes, whole=False))
    for name, folder in (("groups", lab.home.groups), ("shared", lab.home.shared)):
        if folder:
            found.append(Part(name, Path(folder), whole=False))
    if lab.catalogue.folder:
        found.append(Part("catalogue", Path(lab.catalogue.folder)))
    return found


def databases(state: Path) -> list[str]:
    """Return the SQLite databases of the hub and its services, and the files beside them, by their paths in the state.

    Only places that root or the lab's own services write are looked at, and no link is followed.
    """
    places = [state, *sorted(p for p in (state / "services").glob("*") if p.is_dir() and not p.is_symlink())]
    found = []
    for place in places:
        for path in sorted(place.glob("*.sqlite")):
            if path.is_file() and not path.is_symlink():
                found += [f"{path.relative_to(state)}{end}" for end in _OF_A_DATABASE]
    return found
