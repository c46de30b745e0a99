"""Schedules in the store: what begins jobs by itself, what it has begun, and who looks after it now."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from geodes_lab.batch.store.leases import LeaseLost
from geodes_lab.batch.store.records import New, Record
from geodes_lab.batch.store.tables import jobs, schedules, seen
from geodes_lab.batch.store.writing import COLUMNS, Store
from geodes_lab.errors import GeodesError

MOST = 100
"""Schedules of a person."""
_HOLD = 900.0  # seconds for which one runner looks; then another one may
_AT_ONCE = 500  # values of one question: SQLite has a limit
_s, _j = schedules.c, jobs.c


@dataclass(frozen=True)
class Entry:
    """A schedule as it is in the store."""

    id: str
    person: str
    document: str
    """`geodes_lab.batch.schedules.Plan`, as JSON."""
    state: str
    reason: str
    """Why its last look failed; empty: it did not."""
    position: str
    """The begin of the next period; or from when on its products are."""
    due: float
    """When somebody looks next."""
    created: float
    begun: float | None = None
    """When it last began a job."""
    jobs: int = 0
    """That it has begun, and that are still remembered."""


@dataclass(frozen=True)
class Schedules:
    """The schedules of a database. Each function knows those of one person alone."""

    store: Store

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since 1970."""
        return self.store.clock

    def add(self, person: str, document: str, position: str) -> str:
        """Write a schedule; returns its id.

        Raises
        ------
        GeodesError
            If the person has too many.
        """
        number, now = secrets.token_hex(16), self.clock()
        row = {"id": number, "person": person, "document": document, "state": "active", "due": now, "created": now}
        with self.store.database.change() as c:
            many = c.execute(sa.select(sa.func.count()).where(_s.person == person)).scalar() or 0
            if many >= MOST:
                raise GeodesError(f"You have {many} schedules, which is the limit: remove some.")
            c.execute(sa.insert(schedules).values(**row, position=position))
        return number

    def all(self, person: str) -> list[Entry]:
        """Return a person's schedules, the oldest first."""
        return self._entries(_s.person == person)

    def one(self, number: str, person: str) -> Entry:
        """Return one schedule.

        Raises
        ------
        GeodesError
            If there is none, or it is another person's.
        """
        found = self._entries(_s.person == person, _s.id == number)
        if not found:
            raise GeodesError(f"There is no schedule {number}: gl.process.schedules() lists yours.")
        return found[0]

    def jobs(self, number: str, person: str, limit: int = 100) -> list[Record]:
        """Return the jobs that a schedule has begun, the newest first."""
        self.one(number, person)
        query = sa.select(*COLUMNS).where(_j.schedule == number, _j.person == person)
        with self.store.database.read() as c:
            rows = c.execute(query.order_by(_j.created.desc(), _j.id).limit(limit))
            return [Record(**row._mapping) for row in rows]

    def stop(self, number: str, person: str) -> None:
        """Begin no more jobs; those that have begun go on."""
        self.one(number, person)
        with self.store.database.change() as c:
            c.execute(sa.update(schedules).where(_s.id == number, _s.person == person).values(state="stopped"))

    def remove(self, number: str, person: str) -> None:
        """Forget a schedule; its jobs stay."""
        self.one(number, person)
        with self.store.database.change() as c:
            c.execute(sa.delete(seen).where(seen.c.schedule == number))
            c.execute(sa.delete(schedules).where(_s.id == number, _s.person == person))

    def take(self, person: str, owner: str) -> Entry | None:
        """Take a schedule that is due, for a runner that looks; None: none is due."""
        now = self.clock()
        due = (_s.state == "active", _s.person == person, _s.due <= now, _s.until <= now)
        with self.store.database.change() as c:
            query = sa.select(_s.id).where(*due).order_by(_s.due).limit(1).with_for_update(skip_locked=True)
            number = c.execute(query).scalar()
            if number is not None:
                c.execute(sa.update(schedules).where(_s.id == number).values(owner=owner, until=now + _HOLD))
        return None if number is None else self.one(number, person)

    def new(self, number: str, person: str, products: Collection[str]) -> list[str]:
        """Return those of some products that a schedule has begun no job for."""
        self.one(number, person)
        several, known = list(products), set[str]()
        with self.store.database.read() as c:
            for begin in range(0, len(several), _AT_ONCE):
                some = several[begin : begin + _AT_ONCE]
                query = sa.select(seen.c.product).where(seen.c.schedule == number, seen.c.product.in_(some))
                known |= set(c.execute(query).scalars())
        return [p for p in several if p not in known]

    def begun(
        self, number: str, person: str, owner: str, job: New | None, marks: Sequence[str], position: str | None
    ) -> str | None:
        """Begin a job, and record in the same transaction what it is for; returns its id.

        Parameters
        ----------
        number, person, owner
            The schedule, and the runner that has taken it.
        job
            None: there was nothing to compute for these products, or this period.
        marks
            Products that it is for.
        position
            The begin of the next period; None: as it was.

        Raises
        ------
        LeaseLost
            If another runner looks after the schedule, or it was stopped or removed.
        """
        with self.store.database.change() as c:
            self._hold(c, number, person, owner, {} if position is None else {"position": position})
            if marks:
                c.execute(sa.insert(seen), [{"schedule": number, "product": mark} for mark in marks])
            return None if job is None else self.store.add(job, c)

    def looked(self, number: str, person: str, owner: str, reason: str, every: float) -> None:
        """Record that somebody has looked, and why that failed; the next look is ``every`` seconds from now."""
        values = {"until": 0.0, "due": self.clock() + every, "reason": reason[:1000]}
        with self.store.database.change() as c:
            where = (_s.id == number, _s.person == person, _s.owner == owner)
            c.execute(sa.update(schedules).where(*where).values(**values))

    def _hold(self, c: Connection, number: str, person: str, owner: str, values: dict[str, Any]) -> None:
        where = (_s.id == number, _s.person == person, _s.owner == owner, _s.state == "active", _s.until > 0)
        if c.execute(sa.update(schedules).where(*where).values(owner=owner, **values)).rowcount != 1:
            raise LeaseLost

    def _entries(self, *where: Any) -> list[Entry]:
        names = ("id", "person", "document", "state", "reason", "position", "due", "created")
        last = sa.func.max(_j.created).label("begun")
        query = sa.select(*(_s[n] for n in names), last, sa.func.count(_j.id).label("jobs"))
        query = query.select_from(schedules.outerjoin(jobs, _j.schedule == _s.id)).where(*where)
        with self.store.database.read() as c:
            rows = c.execute(query.group_by(*(_s[n] for n in names)).order_by(_s.created, _s.id)).all()
        return [Entry(**row._mapping) for row in rows]
