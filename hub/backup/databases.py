"""The hub's database and those of its services: copied while they are in use, by their own means."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hub.backup.archive import Entry, dump
from hub.backup.parts import BackupError

_DUMP = "hub.dump"
# What may stand behind the "?" of an address, and by which variable libpq is told of it.
_OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "application_name": "PGAPPNAME",
    "passfile": "PGPASSFILE",
}


def copy(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, whoever writes to it; with its owner and mode.

    Raises
    ------
    BackupError
        If it is damaged or locked for too long.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = source.stat()
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=60)) as living,
            contextlib.closing(sqlite3.connect(target)) as kept,
        ):
            living.backup(kept)
            (answer,) = kept.execute("pragma integrity_check(1)").fetchone()
            kept.execute("pragma journal_mode=delete")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise BackupError(f"The database {source} cannot be copied ({error}).") from None
    if answer != "ok":
        raise BackupError(f"The database {source} is damaged ({answer}): mend it first, or restore an older backup.")
    shutil.copystat(source, target)
    target.chmod(status.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)


class Postgres:
    """A PostgreSQL, by its own programs.

    Parameters
    ----------
    url
        As JupyterHub's ``db_url``. A password in it, and whether the connection is encrypted and the server is verified
        (``?sslmode=verify-full&sslrootcert=…``), are given to the programs by their environment, which no
        other account sees. What the address does not say, such as ``PGPASSWORD``, is that of this process.

    Raises
    ------
    BackupError
        If it is no address of a PostgreSQL, or has an option that is not known here.
    """

    def __init__(self, url: str) -> None:
        try:
            place = make_url(url)
        except ArgumentError:
            raise BackupError("The address of the database is not one: write postgresql://USER@HOST/NAME.") from None
        if place.get_backend_name() != "postgresql":
            raise BackupError(
                f"The database is a {place.get_backend_name()}: only SQLite, in the state, and PostgreSQL are known."
            )
        for name, value in place.query.items():
            if name not in _OPTIONS or not isinstance(value, str):
                raise BackupError(
                    f"The address of the database has the option {name[:40]!r}, which is not known here: there are "
                    f"{', '.join(_OPTIONS)}, each once."
                )
        given = {
            "PGHOST": place.host,
            "PGPORT": place.port,
            "PGUSER": place.username,
            "PGPASSWORD": place.password,
            "PGDATABASE": place.database,
        } | {_OPTIONS[name]: value for name, value in place.query.items()}  # which win, as they do for the hub
        self._environment = {name: str(value) for name, value in given.items() if value}
        self._said = f"{place.database} on {given.get('PGHOST') or 'this machine'}"

    def save(self, folder: Path) -> Entry:
        """Write what it holds, as it is at one moment."""
        return dump(folder / _DUMP, ["pg_dump", "--format=custom", "--no-owner"], self._environment, self._said)

    def is_empty(self) -> bool:
        """Whether it has no tables."""
        question = "select count(*) from information_schema.tables where table_schema = 'public'"
        return self._run(["psql", "--no-psqlrc", "-At", "-c", question]).strip() == "0"

    def restore(self, file: Path, *, replace: bool) -> None:
        """Bring it back, wholly or not at all."""
        command = ["pg_restore", "--single-transaction", "--exit-on-error", "--no-owner"]
        name = self._environment.get("PGDATABASE", "")
        self._run([*command, *(["--clean", "--if-exists"] if replace else []), f"--dbname={name}", str(file)])

    def _run(self, command: list[str]) -> str:
        try:
            done = subprocess.run(command, env={**os.environ, **self._environment}, capture_output=True, text=True)
        except FileNotFoundError:
            raise BackupError(f"{command[0]} is not installed: install PostgreSQL's client programs.") from None
        if done.returncode != 0:
            raise BackupError(f"{command[0]} failed for {self._said} ({' '.join(done.stderr.split())[-300:]}).")
        return done.stdout
