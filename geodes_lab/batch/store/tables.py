"""The tables of jobs, and where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.util import ownership
from geodes_lab.util.database import TLS, Database, in_file, of_postgresql

metadata = sa.MetaData()
VERSION = 1

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("process", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False, default=""),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("finished", sa.Float),
    sa.Column("updated", sa.Float, nullable=False),
    sa.Column("served", sa.Float, nullable=False, default=0.0),  # when a unit of it was last taken
    sa.Column("units", sa.Integer, nullable=False),
    sa.Column("request", sa.Text, nullable=False),  # `geodes_lab.batch.request.Request`, as JSON
    sa.Column("folder", sa.Text, nullable=False),  # a name, below the folder of results of whoever runs it
    sa.Column("code", sa.LargeBinary),  # a process of a notebook, pickled
    sa.Column("seal", sa.Text),  # what proves that the person wrote it
    sa.Column("schedule", sa.Text),  # that began it
    sa.Column("subscriber", sa.Text),  # whom a service tells of the end, as JSON
    sa.Index("jobs_by_person", "person", "created"),
    sa.Index("jobs_by_state", "state"),
)
"""One row for each job.

``state`` is ``accepted``, ``running``, ``successful``, ``failed`` or ``dismissed``: the words of OGC API – Processes.
"""

units = sa.Table(
    "units",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),  # of the job, for who is next
    sa.Column("needs", sa.Text, nullable=False),  # "" or "code", "portal", "notebook": who may take it
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # `geodes_lab.batch.unit.Unit`, as JSON
    sa.Column("key", sa.Text, nullable=False),  # of its content: the same key, the same result
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("computed", sa.Integer, nullable=False, default=0),  # how often its computation was begun
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("owner", sa.Text, nullable=False, default=""),
    sa.Column("fence", sa.Integer, nullable=False, default=0),
    sa.Column("until", sa.Float, nullable=False, default=0.0),
    sa.Column("later", sa.Float, nullable=False, default=0.0),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("result", sa.Text),  # `geodes_lab.batch.unit.Result`, as JSON
    sa.Column("remote", sa.Text),  # of a unit that another service computes: its address there
    sa.UniqueConstraint("job", "position"),
    sa.Index("units_by_work", "state", "person", "number"),
    sa.Index("units_by_lease", "until"),
    sa.Index("units_by_job", "job", "state"),
    sa.Index("units_by_key", "person", "key", "state"),
)
"""One row for each unit of a job: a tile and a period, a product, or the end of the job (its last position).

``state`` is ``blocked`` (the end, until all others are done), ``waiting`` (also while it is computed: ``until`` is then
later than now), ``done``, ``failed`` or ``dismissed``.
"""

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # of the unit
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Index("steps_by_job", "job"),
)
"""How far a unit under way is, of those that say so: cells of a notebook."""

log = sa.Table(
    "log",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("log_by_job", "job", "number"),
)
"""What happened to a job, a sentence each."""

runners = sa.Table(
    "runners",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, nullable=False),  # whose units it takes; "": everybody's
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # it is dead after that
)
"""The runners that are alive."""

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # `geodes_lab.batch.schedules.Schedule`, as JSON
    sa.Column("state", sa.Text, nullable=False),  # active, stopped
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("position", sa.Text, nullable=False, default=""),  # the begin of the next period
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("owner", sa.Text, nullable=False, default=""),
    sa.Column("until", sa.Float, nullable=False, default=0.0),
    sa.Column("created", sa.Float, nullable=False),
)
"""What begins jobs by itself."""

seen = sa.Table(
    "seen",
    metadata,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("product", sa.Text, primary_key=True),
)
"""The products that a schedule has begun a job for."""


def opened(address: URL | str | os.PathLike[str] | None = None) -> Database:
    """Open the store of jobs; its tables are made, if needed.

    Parameters
    ----------
    address
        The path of an SQLite file, or the address of a PostgreSQL; None: what the settings ``geodes_lab.jobs`` say, by
        default a file in your home that no other account can read.

    Raises
    ------
    GeodesError
        If it cannot be used, or other accounts could write to the default one.
    """
    if address is None:
        address = _default()
    elif not isinstance(address, URL):
        address = in_file(Path(address).expanduser().absolute())
    return Database(address, metadata, VERSION, what="The store of jobs", advice="choose another geodes_lab.jobs.store")


def _default() -> URL:
    known: dict[str, Any] | None = settings.get("jobs.postgresql")
    if known:
        password = None
        if file := known.get("password_file"):
            try:
                password = Path(file).expanduser().read_text().strip()
            except OSError as error:
                raise GeodesError(
                    f"The password of the store of jobs cannot be read from {file} ({error.strerror}): see to the "
                    "setting geodes_lab.jobs.postgresql.password_file."
                ) from error
        if (mode := known.get("sslmode")) not in (None, *TLS):
            raise GeodesError(
                f"The setting geodes_lab.jobs.postgresql.sslmode is {mode!r}, not one of {', '.join(TLS)}."
            )
        authority = known.get("sslrootcert")
        return of_postgresql(
            known.get("host"),
            known.get("port"),
            known.get("database"),
            known.get("user"),
            password,
            mode,
            str(Path(authority).expanduser()) if authority else None,
        )
    path = Path(settings.get("jobs.store")).expanduser().absolute()
    # What is in it is run with the rights of this account.
    if problem := ownership.make(path.parent):
        raise GeodesError(f"The folder of jobs is not private: {problem}. Choose another geodes_lab.jobs.store.")
    return in_file(path)
