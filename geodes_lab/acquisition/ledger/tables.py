"""What an engine remembers, in SQLite on one machine or in PostgreSQL for several engines: tables and transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from geodes_lab.acquisition.config import State
from geodes_lab.errors import GeodesError

_WAIT = 60.0  # seconds for another process's transaction; each takes milliseconds
_metadata = sa.MetaData()
_VERSION = 1

products = sa.Table(
    "products",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("upstream", sa.Text, nullable=False),
    sa.Column("revision", sa.Text, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("acquisition", sa.Text, nullable=False),
    sa.Column("published", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # the publication
    sa.Column("size", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("twin", sa.Integer),  # the product that this one is
    sa.Column("withdrawn", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("owner", sa.Text, nullable=False, default=""),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("until", sa.Float, nullable=False, default=0.0),
    sa.Column("later", sa.Float, nullable=False, default=0.0),
    sa.Column("key", sa.Text),
    sa.Column("item", sa.Text),
    sa.Column("evidence", sa.Text),
    sa.Column("received", sa.BigInteger, nullable=False, default=0),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("found", sa.Float, nullable=False),
    sa.Column("done", sa.Float),
    sa.Column("superseded", sa.Float),  # when a newer processing took its place
    sa.UniqueConstraint("source", "upstream", "revision", "collection"),
    sa.Index("by_work", "state", "later"),
    sa.Index("by_acquisition", "collection", "acquisition"),
    sa.Index("by_name", "collection", "name"),
    sa.Index("by_publication", "state", "published"),
)
"""One row for each version of a product that a source published.

``state`` is ``waiting``, ``stored`` (whole, not yet in the catalogue), ``done``, ``same`` (as another row),
``replaced`` (upstream had another version before this one came), ``refused``, ``withdrawn`` or ``removed``.
"""

looks = sa.Table(
    "looks",
    _metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("position", sa.Text, nullable=False, default=""),
    sa.Column("looked", sa.Float, nullable=False, default=0.0),
    sa.Column("failed", sa.Text, nullable=False, default=""),
    sa.Column("failing_since", sa.Float),
    sa.Column("hold", sa.Float, nullable=False, default=0.0),  # until when the source asks not to be asked
)
"""How far each source was read."""

news = sa.Table(
    "news",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("quiet", sa.Boolean, nullable=False, default=False),
    sa.UniqueConstraint("kind", "subject"),
)
"""What the engine noticed; ``quiet``: what was there when it looked for the first time."""

hooks = sa.Table(
    "hooks",
    _metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("begun", sa.Float, nullable=False),  # older news are not sent
    sa.Column("position", sa.Integer, nullable=False, default=0),  # all up to this number are done with
    sa.Column("later", sa.Float, nullable=False, default=0.0),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)
"""Servers that are told the news, and when each may be asked again."""

calls = sa.Table(
    "calls",
    _metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("until", sa.Float, nullable=False, default=0.0),  # while an engine sends it
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("done", sa.Float),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)
"""News on their way to a server; those up to its position are removed."""

_about = sa.Table("about", _metadata, sa.Column("version", sa.Integer, primary_key=True))


def insert_new(c: Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, unless one with the same key is there: another engine may insert it at the same moment."""
    insert = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
    c.execute(insert(table).values(**values).on_conflict_do_nothing())


class Database:
    """The tables, and transactions on them.

    Parameters
    ----------
    state
        Where they are; the folder is made, and the tables too, if needed.
    """

    def __init__(self, state: State) -> None:
        self._address = _address(state)
        try:
            state.folder.mkdir(parents=True, exist_ok=True)
            self._engine = _engine(self._address)
            with self.change() as connection:
                if self._address.get_backend_name() == "postgresql":
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('geodes_lab.acquisition'))"))
                _metadata.create_all(connection)
                versions = connection.execute(sa.select(_about.c.version)).scalars().all()
                if not versions:
                    connection.execute(sa.insert(_about).values(version=_VERSION))
        except OSError as error:
            raise GeodesError(
                f"{state.folder} cannot be made ({error.strerror}): choose another state.folder."
            ) from error
        if versions and versions != [_VERSION]:
            raise GeodesError(
                f"The state in {self.name} was written by another version of the lab ({versions[0]}): use that "
                "version, or another state.folder."
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
        GeodesError
            If the database cannot be used.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            line = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0][:200]
            raise GeodesError(f"The state in {self.name} cannot be used ({line}): see to the database.") from error

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _address(state: State) -> URL:
    if state.postgresql is None:
        return URL.create("sqlite", database=str(state.folder / "state.sqlite"))
    given = state.postgresql
    password = given.password.read("The password of state.postgresql")["value"] if given.password else None
    return URL.create("postgresql+psycopg2", given.user, password, given.host, given.port, given.database)


def _engine(address: URL) -> Engine:
    if address.get_backend_name() == "postgresql":
        return sa.create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": 20})
    engine = sa.create_engine(address, connect_args={"timeout": _WAIT})

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
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def folder_of_work(state: State) -> Path:
    """Return the folder of products on their way; made if needed."""
    folder = state.folder / "work"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
