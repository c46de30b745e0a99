"""Tables in SQLite on one machine, or in PostgreSQL for several: whole transactions, and the version of the tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from geodes_lab.errors import GeodesError

_HERE = ("localhost", "127.0.0.1", "::1")
_WAIT = 60.0  # seconds for another process's transaction; each takes milliseconds
TLS = ("disable", "prefer", "require", "verify-ca", "verify-full")
"""How a connection to a PostgreSQL is protected: what its own library calls ``sslmode``."""


def in_file(path: Path) -> URL:
    """Return the address of an SQLite file."""
    return URL.create("sqlite", database=str(path))


def of_postgresql(
    host: str | None, port: int | None, database: str | None, user: str | None, password: str | None = None,
    sslmode: str | None = None, sslrootcert: str | None = None,
) -> URL:  # fmt: skip
    """Return the address of a PostgreSQL.

    Parameters
    ----------
    host, port, database, user, password
        As PostgreSQL's own library takes them; a host that begins with ``/`` is the folder of a socket.
    sslmode
        One of `TLS`. None: ``verify-full``, but ``prefer`` where the connection does not leave this machine.
    sslrootcert
        A file with the authorities that the server's certificate may be of. None: the system's.
    """
    if sslmode is None:
        sslmode = "prefer" if not host or host.startswith("/") or host in _HERE else "verify-full"
    query = {"sslmode": sslmode}
    if sslrootcert or sslmode == "verify-full":
        query["sslrootcert"] = sslrootcert or "system"
    return URL.create("postgresql+psycopg2", user, password, host, port, database, query)


def advice(line: str) -> str:
    """Return what to do, from the first line of what a PostgreSQL or its library said."""
    if "does not support SSL" in line:
        return (
            "the server has no TLS. Switch it on there (ssl = on, with a certificate), or say sslmode: disable if "
            "nobody else is on the network between"
        )
    if "root certificate" in line or "certificate verify failed" in line or "does not match host name" in line:
        return (
            "the certificate is not accepted. Name the file of the authority that signed it as sslrootcert, and the "
            "server as its certificate does"
        )
    return "see to the database"


def insert_new(c: Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, unless one with the same key is there: another process may insert it at the same moment."""
    insert = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
    c.execute(insert(table).values(**values).on_conflict_do_nothing())


class DatabaseUnusable(GeodesError):
    """A database does not answer, or refuses; what was to be changed is as it was."""


class Database:
    """Tables, made if needed, and transactions on them.

    Parameters
    ----------
    address
        Of an SQLite file (see `in_file`), whose folder is made if needed, or of a PostgreSQL.
    metadata
        The tables.
    version
        The version of the tables; a database that has another one is refused.
    what
        What the tables hold, as a sentence begins: ``The state``.
    advice
        What to do if the folder cannot be made, or the version is another: ``choose another state.folder``.

    Raises
    ------
    GeodesError
        If the database cannot be used.
    """

    def __init__(self, address: URL, metadata: sa.MetaData, version: int, *, what: str, advice: str) -> None:
        self._address, self._what = address, what
        about = _about(metadata)
        try:
            if address.get_backend_name() == "sqlite":
                Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
            self._engine = _engine(address)
            with self.change() as connection:
                if address.get_backend_name() == "postgresql":
                    # Two processes that begin at once must not both make the tables.
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('geodes_lab'))"))
                metadata.create_all(connection)
                versions = connection.execute(sa.select(about.c.version)).scalars().all()
                if not versions:
                    connection.execute(sa.insert(about).values(version=version))
        except OSError as error:
            folder = Path(str(address.database)).parent
            raise GeodesError(f"{folder} cannot be made ({error.strerror}): {advice}.") from error
        if versions and versions != [version]:
            raise GeodesError(
                f"{what} in {self.name} was written by another version of the lab ({versions[0]}): use that version, "
                f"or {advice}."
            )

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return self._address.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that may write: whole, or not at all.

        Raises
        ------
        DatabaseUnusable
            If the database cannot be used.
        """
        with self._transaction(reads=False) as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: it waits for nobody, and nobody for it.

        Raises
        ------
        DatabaseUnusable
            If the database cannot be used.
        """
        with self._transaction(reads=True) as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, *, reads: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(reads=reads) as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            line = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0][:200]
            raise DatabaseUnusable(f"{self._what} in {self.name} cannot be used ({line}): {advice(line)}.") from error

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _about(metadata: sa.MetaData) -> sa.Table:
    """Return the table that has the version."""
    known = metadata.tables.get("about")
    return sa.Table("about", metadata, sa.Column("version", sa.Integer, primary_key=True)) if known is None else known


def _engine(address: URL) -> Engine:
    if address.get_backend_name() == "postgresql":
        return sa.create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": 20})
    # As many as a service has threads: a connection that is opened anew for each answer takes longer than the answer.
    engine = sa.create_engine(address, pool_size=40, connect_args={"timeout": _WAIT})

    @sa.event.listens_for(engine, "connect")
    def settled(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # BEGIN is sent below
        cursor = connection.cursor()  # type: ignore[attr-defined]
        # FULL: what is committed survives a loss of power too.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def immediate(connection: Connection) -> None:
        # At once for writing: a reader that writes later could fail where somebody else wrote meanwhile.
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
