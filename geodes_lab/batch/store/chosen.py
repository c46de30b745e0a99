"""Which store a person's jobs are in: that of the lab, if it has a service of jobs, else the person's own."""

from __future__ import annotations

from geodes_lab.batch.store import served, tables
from geodes_lab.batch.store.schedules import Schedules
from geodes_lab.batch.store.served import ServedStore
from geodes_lab.batch.store.served_schedules import ServedSchedules
from geodes_lab.batch.store.writing import Store

AnyStore = Store | ServedStore
AnySchedules = Schedules | ServedSchedules


def store() -> AnyStore:
    """Open the store; in a lab it is reached over HTTP with the token of this server."""
    return ServedStore() if served.address() else Store(tables.opened())


def schedules(of: AnyStore) -> AnySchedules:
    """Return the schedules of a store."""
    return Schedules(of) if isinstance(of, Store) else ServedSchedules(of.line, of.clock)
