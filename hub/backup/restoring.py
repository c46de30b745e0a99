"""Bringing a backup back: everything is looked at first, unpacked beside its place, and only then put there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from hub.backup import archive, unix_accounts
from hub.backup.archive import Entry, Manifest
from hub.backup.databases import Postgres
from hub.backup.parts import DATABASES, MARK, BackupError, Part, parts
from hub.backup.parts import databases as sqlite_files
from hub.installation import Installation


def restore(
    here: Installation, source: Path, *, replace: bool = False, without: tuple[str, ...] = (), database: str = "",
    say: Callable[[str], None],
) -> list[Path]:  # fmt: skip
    """Put back what a backup has.

    Parameters
    ----------
    here
        The lab, whose hub does not run.
    source
        One backup.
    replace
        Whether what is there may be replaced. It is moved aside, not deleted.
    without
        Parts of the backup that are left where they are.
    database
        The hub's PostgreSQL, as JupyterHub's ``db_url``.
    say
        Told what is done.

    Returns
    -------
    list of Path
        The folders with what was replaced.

    Raises
    ------
    BackupError
        If the backup is not whole, the hub runs, or something is there that would be lost. Nothing is changed then.
    """
    manifest = archive.load(source)
    if "state" in without:  # what the hub and its services keep, in files and in databases, is of one moment
        without = (*without, DATABASES)
    known = {p.name: p for p in parts(here)}
    known[DATABASES] = Part(DATABASES, here.state, tuple(n for n in sqlite_files(here.state) if "/" not in n))
    wanted = {name: known[name] for name in known if name in manifest.entries and name not in without}
    if strange := set(manifest.entries) - {*known, *without, "postgresql"}:
        raise BackupError(
            f"The backup has {', '.join(sorted(strange))}, for which {here.file} names no folder: add the line, or "
            f"leave it out with --without {sorted(strange)[0]}."
        )
    postgres = Postgres(database) if database else None
    if ("postgresql" in manifest.entries and "postgresql" not in without) != (postgres is not None):
        raise BackupError(
            "The backup has a dump of PostgreSQL: say where it goes with GEODES_LAB_DATABASE, or leave it out with "
            "--without postgresql."
            if postgres is None
            else "The backup has no dump of PostgreSQL: unset GEODES_LAB_DATABASE."
        )
    _at_rest(here)
    if not replace:
        _refuse_what_is_there(wanted, postgres)
    made = unix_accounts.make(here, manifest.accounts, manifest.groups)
    if made:
        say(f"accounts made: {', '.join(made)}")
    return _swap(here, manifest, source, wanted, postgres, replace, say)


def _at_rest(here: Installation) -> None:
    """Refuse, if the hub runs: it would write what it remembers over what comes back."""
    for name in () if here.on_kubernetes else ("hub", "usage", "catalogue"):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", here.port(name)), 2):
            raise BackupError(
                f"The hub runs: {name} answers on port {here.port(name)}. Stop it first, for example with `systemctl "
                "stop geodes-lab-hub`."
            )
    people = {one["name"] for one in unix_accounts.of_people(here)}
    running = {p.info["username"] for p in psutil.process_iter(["username"])} & people
    if running:
        raise BackupError(
            f"Servers of people run ({', '.join(sorted(running)[:5])}), and write into their homes: stop them first."
        )


def _refuse_what_is_there(wanted: dict[str, Part], postgres: Postgres | None) -> None:
    for part in wanted.values():
        if there := part.entries():
            raise BackupError(
                f"{part.folder} has {', '.join(there[:5])}{' …' if len(there) > 5 else ''}: nothing was changed. Add "
                "--replace to move that aside and restore the backup in its place."
            )
    if postgres is not None and not postgres.is_empty():
        raise BackupError("The database has tables: nothing was changed. Add --replace to replace them.")


def _swap(
    here: Installation, manifest: Manifest, source: Path, wanted: dict[str, Part], postgres: Postgres | None,
    replace: bool, say: Callable[[str], None],
) -> list[Path]:  # fmt: skip
    now = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
    moves: list[tuple[Path, Path]] = []
    entries = {part.folder: manifest.entries[name] for name, part in wanted.items()}
    with _folders(entries, f"{MARK}restoring-{now}") as staged:
        for name, part in wanted.items():
            archive.unpack(source / manifest.entries[name].file, staged[part.folder])
        try:
            for part in wanted.values():
                _aside(part, staged[part.folder], part.folder / f"{MARK}replaced-{now}", moves)
            for folder, inside in staged.items():
                _in_place(folder, inside, moves)
            if postgres is not None:
                postgres.restore(source / manifest.entries["postgresql"].file, replace=replace)
        except BaseException:
            for was, went in reversed(moves):
                went.rename(was)
            raise
    for name, part in wanted.items():
        say(f"{name}: restored into {part.folder}")
    replaced = sorted({p.folder / f"{MARK}replaced-{now}" for p in wanted.values()})
    return [folder for folder in replaced if folder.is_dir()]


@contextlib.contextmanager
def _folders(entries: dict[Path, Entry], name: str) -> Iterator[dict[Path, Path]]:
    """A folder in each of the parts' folders, on the same disk; removed at the end."""
    staged: dict[Path, Path] = {}
    try:
        for folder, entry in entries.items():
            if not folder.is_dir():
                folder.mkdir(parents=True)
                entry.dress(folder)
            staged[folder] = folder / name
            staged[folder].mkdir(mode=0o700)
        yield staged
    except OSError as error:
        raise BackupError(
            f"{error.filename} cannot be made or moved ({error.strerror}): nothing was changed."
        ) from None
    finally:
        for folder in staged.values():
            shutil.rmtree(folder, ignore_errors=True)


def _aside(part: Part, staged: Path, aside: Path, moves: list[tuple[Path, Path]]) -> None:
    """Move away what is there: all of a part that is whole, else what comes back under the same name."""
    coming = {p.name for p in staged.iterdir()}
    for name in part.entries():
        if part.whole or name in coming:
            aside.mkdir(mode=0o700, exist_ok=True)
            _move(part.folder / name, aside / name, moves)


def _in_place(folder: Path, staged: Path, moves: list[tuple[Path, Path]]) -> None:
    for path in sorted(staged.iterdir()):
        _move(path, folder / path.name, moves)


def _move(was: Path, goes: Path, moves: list[tuple[Path, Path]]) -> None:
    if os.path.lexists(goes):
        raise FileExistsError(17, "it is there already", str(goes))
    was.rename(goes)
    moves.append((was, goes))
