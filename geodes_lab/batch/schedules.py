"""What begins jobs by itself: each new product of a search, and each month, or another period.

A runner of the person looks, with the rights of that person. A product, or a period, and the job for it are recorded in
one transaction: none is forgotten, and none is computed twice.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from geodes_lab.batch import places, submission
from geodes_lab.batch.job import Jobs
from geodes_lab.batch.splitting import periods
from geodes_lab.batch.splitting.units import NoProduct
from geodes_lab.batch.store.tables import jobs as jobs_table
from geodes_lab.batch.store.tables import schedules, seen
from geodes_lab.batch.store.writing import New, Store
from geodes_lab.catalog import search as search_
from geodes_lab.catalog.items import Items
from geodes_lab.errors import GeodesError
from geodes_lab.processing.registry import installed
from geodes_lab.util import instant
from geodes_lab.util.database import DatabaseUnusable

_s = schedules.c
_HOLD = 900.0  # seconds for which one runner looks; then another one may
_GATHER = 500  # products of one job
_AT_ONCE = 24  # periods that one look begins jobs for


@dataclass(frozen=True)
class Plan:
    """When a job begins, and what it is; stored as JSON."""

    process: str
    search: dict[str, Any]
    """The arguments of `geodes_lab.search`, without ``datetime``."""
    each: str
    """``product``, or a frequency of pandas."""
    start: str
    """Products and periods from then on, RFC 3339."""
    wait: float
    """Seconds after the end of a period, in which its last products come."""
    every: float
    """Seconds between two looks."""
    inputs: dict[str, Any]
    job: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `geodes_lab.process`: the region, the tile, the collection."""


class Schedule:
    """A schedule: what ``gl.process.schedule`` returns.

    Parameters
    ----------
    store
        Where it is remembered.
    id
        Its id there.
    person
        Whose it is.
    """

    def __init__(self, store: Store, id: str, person: str) -> None:
        self._store, self.id, self.person = store, id, person

    @property
    def plan(self) -> Plan:
        """What it begins."""
        return Plan(**json.loads(self._row().document))

    @property
    def status(self) -> str:
        """``active`` or ``stopped``."""
        return str(self._row().state)

    @property
    def reason(self) -> str:
        """Why its last look failed; empty: it did not."""
        return str(self._row().reason)

    def jobs(self) -> Jobs:
        """Return the jobs that it has begun, the newest first."""
        with self._store.database.change() as c:
            query = sa.select(jobs_table.c.id).where(jobs_table.c.schedule == self.id)
            numbers = list(c.execute(query.order_by(jobs_table.c.created.desc())).scalars())
        return Jobs(self._store, [self._store.job(n, self.person) for n in numbers], self.person)

    def stop(self) -> None:
        """Begin no more jobs; those that have begun go on."""
        with self._store.database.change() as c:
            c.execute(sa.update(schedules).where(_s.id == self.id).values(state="stopped"))

    def _row(self) -> Any:
        with self._store.database.change() as c:
            row = c.execute(sa.select(schedules).where(_s.id == self.id, _s.person == self.person)).one_or_none()
        if row is None:
            raise GeodesError(f"There is no schedule {self.id}.")
        return row

    def __repr__(self) -> str:
        row, plan = self._row(), self.plan
        why = f", {row.reason}" if row.reason else ""
        return f"Schedule {self.id[:8]} {plan.process} for each {plan.each}: {row.state}{why}"


def scheduled(store: Store, plan: Plan, person: str | None = None) -> Schedule:
    """Write a schedule; a runner of the person looks from now on.

    Raises
    ------
    GeodesError
        If the process is not installed, an input is not valid, or the period is none.
    """
    process = installed().get(plan.process)
    if process is None:
        raise GeodesError(
            f"A schedule needs a process that is installed where jobs run, and {plan.process!r} is not: make a package "
            "of it (entry point geodes_lab.processes)."
        )
    process.inputs.checked(plan.inputs)
    if plan.each != "product":
        periods.parts("2021", plan.each)
    if "datetime" in plan.search:
        raise GeodesError("The search of a schedule has no datetime: start= says from when on.")
    begin = periods.interval(plan.start)[0]
    owner, number, now = person or places.person(), secrets.token_hex(16), store.clock()
    try:
        document = json.dumps(asdict(plan), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GeodesError(f"The search or an input of the schedule cannot be written as JSON ({error}).") from None
    row = {"id": number, "person": owner, "document": document, "state": "active", "due": now, "created": now}
    with store.database.change() as c:
        c.execute(sa.insert(schedules).values(**row, position=instant.text(begin)))
    return Schedule(store, number, owner)


def listed(store: Store, person: str) -> list[Schedule]:
    """Return the schedules of a person."""
    with store.database.change() as c:
        numbers = list(c.execute(sa.select(_s.id).where(_s.person == person).order_by(_s.created)).scalars())
    return [Schedule(store, n, person) for n in numbers]


def look(store: Store, person: str, owner: str) -> int:
    """Look for what is new for the schedules of a person that are due; returns how many jobs began.

    Parameters
    ----------
    store
        The schedules.
    person
        Whose: their rights are those of this account.
    owner
        The runner that looks; no other one does so meanwhile.
    """
    begun = 0
    while (row := _taken(store, person, owner)) is not None:
        plan, reason = Plan(**json.loads(row.document)), ""
        try:
            begun += _products(store, row, plan) if plan.each == "product" else _periods(store, row, plan)
        except DatabaseUnusable:
            raise
        except GeodesError as error:
            reason = str(error)[:1000]
        with store.database.change() as c:
            values = {"until": 0.0, "due": store.clock() + plan.every, "reason": reason}
            c.execute(sa.update(schedules).where(_s.id == row.id, _s.owner == owner).values(**values))
    return begun


def _taken(store: Store, person: str, owner: str) -> Any:
    now = store.clock()
    due = (_s.state == "active", _s.person == person, _s.due <= now, _s.until <= now)
    with store.database.change() as c:
        query = sa.select(schedules).where(*due).order_by(_s.due).limit(1).with_for_update(skip_locked=True)
        row = c.execute(query).first()
        if row is not None:
            c.execute(sa.update(schedules).where(_s.id == row.id).values(owner=owner, until=now + _HOLD))
    return row


def _products(store: Store, row: Any, plan: Plan) -> int:
    found = {str(i.id): i for i in _found(plan, f"{row.position}/..")}
    with store.database.change() as c:
        known = set(c.execute(sa.select(seen.c.product).where(seen.c.schedule == row.id)).scalars())
    new = [i for number, i in found.items() if number not in known]
    begun = 0
    for start in range(0, len(new), _GATHER):
        some = new[start : start + _GATHER]
        begun += _begun(store, row, plan, some, {}, marks=[str(i.id) for i in some])
    return begun


def _periods(store: Store, row: Any, plan: Plan) -> int:
    now, begun, position = datetime.fromtimestamp(store.clock(), UTC), 0, row.position
    for _ in range(_AT_ONCE):
        begin = instant.utc(position)
        assert begin is not None
        # The first part of a long period is one of the frequency.
        _, end = periods.parts(f"{position}/{instant.text(begin + timedelta(days=800))}", plan.each)[0]
        finish = instant.utc(end)
        assert finish is not None
        if now < finish + timedelta(seconds=plan.wait):
            break
        items = list(_found(plan, f"{position}/{end}"))
        begun += _begun(store, row, plan, items, {"period": f"{position}/{end}"}, position=end)
        position = end
    return begun


def _found(plan: Plan, datetime: str) -> Items:
    found = search_(**plan.search, datetime=datetime)
    if found.missing:  # of several catalogues: a part is not what was asked for, and nobody reads a warning here
        raise GeodesError(f"The search of the schedule is not complete. {' '.join(found.missing)}")
    return found.distinct()


def _begun(
    store: Store,
    row: Any,
    plan: Plan,
    items: Sequence[Any],
    when: Mapping[str, Any],
    *,
    marks: Sequence[str] = (),
    position: str | None = None,
) -> int:
    """Begin a job, and record in the same transaction what it is for."""
    draft = None
    if items:
        with contextlib.suppress(NoProduct):  # they lie beside the region: there is nothing to compute
            draft = submission.prepared(plan.process, items, plan.inputs, **plan.job, **when)
    with store.database.change() as c:
        for mark in marks:
            c.execute(sa.insert(seen).values(schedule=row.id, product=mark))
        if position is not None:
            c.execute(sa.update(schedules).where(_s.id == row.id).values(position=position))
        if draft is None:
            return 0
        new = New(
            row.person, draft.process.id, draft.process.version, draft.title, draft.request, draft.units,
            schedule=row.id,
        )  # fmt: skip
        store.add(new, c)
    return 1
