"""Why the hub's database does not answer: JupyterHub logs the reason only where it logs everything."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import OperationalError
from traitlets.log import get_logger

from geodes_lab.util.database import advice


def explained() -> None:
    """Log each connection that a PostgreSQL refuses, in a sentence that says what to do. No I/O happens here."""
    if not event.contains(Engine, "handle_error", _log):
        event.listen(Engine, "handle_error", _log)


def _log(context: ExceptionContext) -> None:
    refused = context.connection is None and isinstance(context.sqlalchemy_exception, OperationalError)
    if not refused or context.dialect.name != "postgresql":
        return
    line = (str(context.original_exception).splitlines() or [""])[0][:300]
    get_logger().critical("The database of the hub cannot be used (%s): %s.", line, advice(line))
