"""What an engine remembers, in SQLite on one machine or in PostgreSQL for several engines: tables and transactions."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from geodes_lab.acquisition.settings.storing import State
from geodes_lab.errors import GeodesError
from geodes_lab.util import database

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

conversions = sa.Table(
    "conversions",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # of the product
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.Text, nullable=False, server_default=""),
    sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("until", sa.Float, nullable=False, server_default="0"),
    sa.Column("later", sa.Float, nullable=False, server_default="0"),
    sa.Column("assets", sa.Text),  # for the product's Item
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
    sa.Index("by_conversion", "state", "later"),
)
"""Products whose bands are converted: ``state`` is ``waiting``, ``done`` or ``refused``."""

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


class Database(database.Database):
    """The tables, and transactions on them.

    Parameters
    ----------
    state
        Where they are; the folder is made, and the tables too, if needed.
    """

    def __init__(self, state: State) -> None:
        folder_of_work(state)  # also where the tables are in a PostgreSQL
        super().__init__(_address(state), _metadata, _VERSION, what="The state", advice="choose another state.folder")


def _address(state: State) -> URL:
    if state.postgresql is None:
        return database.in_file(state.folder / "state.sqlite")
    given = state.postgresql
    password = given.password.read("The password of state.postgresql")["value"] if given.password else None
    authority = str(given.sslrootcert) if given.sslrootcert else None
    return database.of_postgresql(
        given.host, given.port, given.database, given.user, password, given.sslmode, authority
    )


def folder_of_work(state: State) -> Path:
    """Return the folder of products on their way; made if needed.

    Raises
    ------
    GeodesError
        If it cannot be made.
    """
    folder = state.folder / "work"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeodesError(f"{state.folder} cannot be made ({error.strerror}): choose another state.folder.") from error
    return folder
