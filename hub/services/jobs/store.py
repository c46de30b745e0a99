"""Where the jobs of a lab are remembered: in the PostgreSQL of the operator's file, else in a file of this service."""

from __future__ import annotations

from geodes_lab import settings
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.util.database import of_postgresql
from hub.services import serving

PASSWORD = "jobs_database_password"
"""The secret with the password of the PostgreSQL; without it, the server asks for none."""


def opened(lab: Lab) -> Store:
    """Open the store; its tables are made, if needed.

    Raises
    ------
    GeodesError
        If the database cannot be used, or the password not be read.
    """
    known = lab.jobs.postgresql
    if known is None:
        # `geodes_lab.jobs.postgresql` of the hub's environment is older than the operator's file, and still counts.
        address = None if settings.get("jobs.postgresql") else serving.state() / "jobs.sqlite"
        return Store(tables.opened(address))
    file, password = serving.secret(PASSWORD), None
    try:
        if file.exists():
            password = file.read_text().strip()
    except OSError as error:
        raise GeodesError(f"The secret {PASSWORD} cannot be read ({error.strerror}).") from error
    place = of_postgresql(
        known.host, known.port, known.database, known.user, password, known.sslmode or None, known.sslrootcert or None
    )
    return Store(tables.opened(place))
