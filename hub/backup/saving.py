"""Taking a backup, while the hub runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import geodes_lab
from geodes_lab.policy.units import Bytes
from hub.backup import archive, databases, unix_accounts
from hub.backup.archive import Entry, Manifest
from hub.backup.databases import Postgres
from hub.backup.parts import DATABASES, BackupError, Part, parts
from hub.backup.parts import databases as sqlite_files
from hub.installation import Installation

_TRIES = 3  # of a catalogue that changes while it is copied
_UNFINISHED = ".part"


def save(
    here: Installation, target: Path, *, without: tuple[str, ...] = (), database: str = "", say: Callable[[str], None]
) -> Path:
    """Copy everything that a lab keeps.

    Parameters
    ----------
    here
        The lab.
    target
        The folder of the backups; each is a folder in it, named by its time. It has its name when it is whole.
    without
        Parts to leave out.
    database
        The hub's PostgreSQL, as JupyterHub's ``db_url``; empty: its SQLite database is in the state.
    say
        Told what is done.

    Returns
    -------
    Path
        The new folder.

    Raises
    ------
    BackupError
        If something cannot be copied. Nothing is left then.
    """
    wanted = [p for p in parts(here) if p.name not in without and p.entries()]
    known = {p.name for p in parts(here)}
    if unknown := set(without) - known:
        raise BackupError(f"There is no part {', '.join(sorted(unknown))}: the parts are {', '.join(sorted(known))}.")
    for part in wanted:
        if target.resolve().is_relative_to(part.folder.resolve()):
            raise BackupError(f"{target} lies in {part.folder}, which is copied: choose a folder on another disk.")
    now = datetime.now(UTC)
    final = target / f"geodes-lab-{now:%Y-%m-%dT%H-%M-%SZ}"
    folder = final.with_name(final.name + _UNFINISHED)
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise BackupError(f"{folder} cannot be made ({error.strerror}).") from None
    try:
        entries: dict[str, Entry] = {}
        if "state" not in without:  # first: what refers to files is older than the files
            entries |= _databases(here, folder)
        if database:
            entries["postgresql"] = Postgres(database).save(folder)
        for part in wanted:
            entries[part.name] = _part(part, here, folder)
            say(f"{part.name}: {Bytes(entries[part.name].bytes)} of {part.folder}")
        kind = "postgresql" if database else "sqlite" if DATABASES in entries else ""
        people, groups = unix_accounts.of_people(here), unix_accounts.of_groups(here)
        made, version = now.isoformat(timespec="seconds"), geodes_lab.__version__
        Manifest(made, version, metadata.version("jupyterhub"), kind, entries, people, groups).write(folder)
        archive.load(folder)  # what is on the disk is what was read
        folder.rename(final)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BackupError(f"{error.filename or folder} cannot be written ({error.strerror}).") from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return final


def _databases(here: Installation, folder: Path) -> dict[str, Entry]:
    found = [name for name in sqlite_files(here.state) if name.endswith(".sqlite")]
    copies = folder / DATABASES
    for name in found:
        databases.copy(here.state / name, copies / name)
    if not found:
        return {}
    entry = archive.pack(folder / f"{DATABASES}.tar", copies, found)
    shutil.rmtree(copies)
    return {DATABASES: entry}


def _part(part: Part, here: Installation, folder: Path) -> Entry:
    file, without = folder / f"{part.name}.tar", sqlite_files(here.state)
    for _ in range(_TRIES):
        entry = archive.pack(file, part.folder, part.entries(), without if part.folder == here.state else ())
        if part.name not in ("state", "catalogue") or not (missing := archive.lacking(file)):
            return entry
        file.unlink()
    raise BackupError(f"The catalogue changes faster than it is copied ({missing}): try again when no harvest runs.")
