"""Units that wait, each taken by one runner at a time: a lease ends, so that a dead runner's units are taken over."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from geodes_lab.batch.request import PLAN, Result, Unit
from geodes_lab.batch.store.tables import jobs, runners, steps, units
from geodes_lab.batch.store.writing import end, settle, tell
from geodes_lab.util.database import Database

_u = units.c


class LeaseLost(Exception):
    """Another runner has taken this unit over, or its job was cancelled: whatever is known of it is out of date."""


@dataclass(frozen=True)
class Task:
    """One unit that a runner works on, until its lease ends."""

    number: int
    fence: int
    """Counts the runners that took it; one with an older number may change nothing."""
    job: str
    person: str
    unit: Unit
    key: str
    attempts: int
    remote: str | None
    is_new: bool = False
    """Whether nobody has made the same before: it was recorded already that its computation begins."""
    is_notebook: bool = False


class Leases:
    """The leases of one runner.

    Parameters
    ----------
    database
        The store.
    person
        Whose units it takes; None: everybody's.
    takes
        What it can do beyond the processes that it can import: ``code``, ``portal``, ``notebook``.
    seconds
        After which a runner that shows no sign of life is dead.
    slots
        How many units it works on at once.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        person: str | None,
        takes: Collection[str],
        seconds: float,
        slots: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database, self.person, self.seconds, self.slots, self.clock = database, person, seconds, slots, clock
        self.takes = ["", *takes]
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"

    def take(self) -> Task | None:
        """Take the next unit; None: none waits now.

        Of the people whose units wait, the one comes first who has the fewest under way, then the one who was served
        longest ago. Of a person a plan comes first, since somebody waits for it, then the oldest job.
        """
        return next(iter(self.take_several(1)), None)

    def take_several(self, most: int, without: Collection[str] = ()) -> list[Task]:
        """Take the next units as `take` does, in one transaction: each of these waits for the disk.

        Parameters
        ----------
        most
            How many at most.
        without
            What the runner has no room for now, of what it takes: ``notebook``.
        """
        now, taken = self.clock(), list[Task]()
        takes = [what for what in self.takes if what not in without]
        with self.database.change() as c:
            while len(taken) < most and (row := self._next(c, now, takes)) is not None:
                taken.append(self._taken(c, row, now))
        return taken

    def _next(self, c: Connection, now: float, takes: Collection[str]) -> Row[Any] | None:
        waits = [_u.state == "waiting", _u.later <= now, _u.until <= now, _u.needs.in_(takes)]
        for person in self._people(c, now) if self.person is None else [self.person]:
            query = sa.select(units).where(*waits, _u.person == person).order_by(_u.number).limit(1)
            query = query.with_for_update(skip_locked=True)
            row = c.execute(query.where(_u.key == PLAN)).first() or c.execute(query).first()
            if row is not None:
                return row
        return None

    def _people(self, c: Connection, now: float) -> list[str]:
        """Return the people who have jobs, whose turn it is first; looks at jobs and leases, never at all units."""
        j = jobs.c
        query = (
            sa.select(j.person, sa.func.max(j.served)).where(j.state.in_(("accepted", "running"))).group_by(j.person)
        )
        served = {person: last or 0.0 for person, last in c.execute(query)}
        leased = sa.select(_u.person, sa.func.count()).where(_u.until > now).group_by(_u.person)
        under_way: dict[str, int] = dict(c.execute(leased).tuples().all())
        return sorted(served, key=lambda person: (under_way.get(person, 0), served[person], person))

    def _taken(self, c: Connection, row: Row[Any], now: float) -> Task:
        if row.owner and row.until:
            tell(
                c, row.job, f"{row.name}: the runner that had it has shown no sign of life; it is computed again.", now
            )
        is_new = row.key not in ("", PLAN) and row.needs != "portal" and not self._is_made(c, row)
        values = {"owner": self.owner, "fence": row.fence + 1, "until": now + self.seconds}
        values |= {"computed": row.computed + 1} if is_new else {}
        c.execute(sa.update(units).where(_u.number == row.number).values(**values))
        c.execute(sa.update(jobs).where(jobs.c.id == row.job).values(served=now))
        where = (jobs.c.id == row.job, jobs.c.state == "accepted")
        c.execute(sa.update(jobs).where(*where).values(state="running", started=now, updated=now))
        unit = Unit.of(row.document)
        return Task(
            row.number, row.fence + 1, row.job, row.person, unit, row.key, row.attempts, row.remote, is_new,
            row.needs == "notebook" and not unit.is_end,
        )  # fmt: skip

    def _is_made(self, c: Connection, row: Row[Any]) -> bool:
        """Whether a unit of the same person has made the same."""
        where = (_u.person == row.person, _u.key == row.key, _u.state == "done")
        return c.execute(sa.select(_u.number).where(*where).limit(1)).first() is not None

    def renew(self, numbers: Collection[int]) -> set[int]:
        """Show a sign of life.

        Parameters
        ----------
        numbers
            The units that this runner works on, by number.

        Returns
        -------
        set of int
            Those that it still has.
        """
        now = self.clock()
        mine = (_u.number.in_(numbers), _u.owner == self.owner, _u.state == "waiting", _u.until > 0.0)
        r = runners.c
        row = {
            "person": self.person or "", "host": socket.gethostname(), "pid": os.getpid(), "slots": self.slots,
            "until": now + self.seconds,
        }  # fmt: skip
        with self.database.change() as c:
            c.execute(sa.update(units).where(*mine).values(until=now + self.seconds))
            if not c.execute(sa.update(runners).where(r.owner == self.owner).values(**row)).rowcount:
                c.execute(sa.insert(runners).values(owner=self.owner, **row))
                c.execute(sa.delete(runners).where(r.until < now - 86400))
            return set(c.execute(sa.select(_u.number).where(*mine)).scalars())

    def leave(self) -> None:
        """Give back what this runner still has, and say that it is gone."""
        with self.database.change() as c:
            mine = (_u.owner == self.owner, _u.state == "waiting")
            c.execute(sa.update(units).where(*mine).values(until=0.0))
            c.execute(sa.delete(runners).where(runners.c.owner == self.owner))

    def begun(self, task: Task) -> None:
        """Record that the computation of a unit begins.

        Raises
        ------
        LeaseLost
            If the unit is no longer this runner's; the same for all changes below.
        """
        with self.database.change() as c:
            self._move(c, task, computed=_u.computed + 1)

    def stepped(self, task: Task, done: int, total: int) -> None:
        """Record how far a unit is, such as how many cells of a notebook are done."""
        with self.database.change() as c:
            self._move(c, task, owner=self.owner)
            c.execute(sa.delete(steps).where(steps.c.number == task.number))
            c.execute(sa.insert(steps).values(number=task.number, job=task.job, done=done, total=total))

    def done(self, task: Task, result: Result, seconds: float) -> None:
        """Record what a unit made."""
        now = self.clock()
        values = {"state": "done", "until": 0.0, "reason": "", "result": result.text(), "seconds": seconds}
        with self.database.change() as c:
            self._move(c, task, **values)
            if task.unit.is_end:
                count = len(result.items)
                end(c, task.job, "successful", f"{count} Item{'' if count == 1 else 's'}.", now)
            else:
                settle(c, task.job, now)

    def postpone(self, task: Task, why: str, seconds: float, *, counts: bool = True) -> None:
        """Try a unit again later; ``counts`` is False if it is not the unit's fault."""
        now = self.clock()
        with self.database.change() as c:
            known = c.execute(sa.select(_u.reason).where(_u.number == task.number)).scalar()
            attempts = task.attempts + counts
            self._move(c, task, until=0.0, owner="", later=now + seconds, attempts=attempts, reason=why[:1000])
            if known != why[:1000]:
                tell(c, task.job, why, now)

    def fail(self, task: Task, why: str) -> None:
        """Give a unit up; the others go on, and then the job has failed."""
        now = self.clock()
        with self.database.change() as c:
            values = {"state": "failed", "until": 0.0, "attempts": task.attempts + 1, "reason": why[:1000]}
            self._move(c, task, **values)
            tell(c, task.job, why, now)
            if task.unit.is_end:
                end(c, task.job, "failed", why, now)
            else:
                settle(c, task.job, now)

    def remote(self, task: Task, address: str | None) -> None:
        """Record where another service computes a unit; None: nowhere."""
        with self.database.change() as c:
            self._move(c, task, remote=address)

    def same(self, task: Task) -> list[tuple[str, str, Unit, Result]]:
        """Return units of the same person that have made the same: job, its folder, unit and result; newest first."""
        where = (_u.person == task.person, _u.key == task.key, _u.state == "done", _u.number != task.number)
        query = sa.select(_u.job, jobs.c.folder, _u.document, _u.result).join(jobs, jobs.c.id == _u.job)
        with self.database.read() as c:
            rows = c.execute(query.where(*where).order_by(_u.number.desc()).limit(5)).all()
        return [(r.job, r.folder, Unit.of(r.document), Result.of(r.result)) for r in rows]

    def next_time(self) -> float | None:
        """Return when the next unit may be taken; None: none waits."""
        when = sa.case((_u.until > _u.later, _u.until), else_=_u.later)
        where = [_u.state == "waiting", _u.needs.in_(self.takes)]
        where += [] if self.person is None else [_u.person == self.person]
        with self.database.change() as c:
            earliest: float | None = c.execute(sa.select(sa.func.min(when)).where(*where)).scalar()
        return earliest

    def _move(self, c: Connection, task: Task, **values: Any) -> None:
        where = (_u.number == task.number, _u.fence == task.fence, _u.owner == self.owner, _u.state == "waiting")
        if c.execute(sa.update(units).where(*where).values(**values)).rowcount != 1:
            raise LeaseLost
