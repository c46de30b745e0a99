"""Jobs in the store: written before anything is answered, listed, dismissed, tried again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from geodes_lab.batch.request import PLAN, Request, Result, Unit
from geodes_lab.batch.store.records import ENDED, Failure, New, Progress, Record
from geodes_lab.batch.store.tables import jobs, log, runners, steps, units
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import Database

_j, _u = jobs.c, units.c
COLUMNS = [c for c in jobs.c if c.name not in ("request", "code", "seal", "served")]


@dataclass(frozen=True)
class Store:
    """The jobs of a database. Each function that has ``person`` knows the jobs of that person alone."""

    database: Database
    clock: Callable[[], float] = field(default=time.time, compare=False)
    """Seconds since 1970."""

    def add(self, new: New, within: Connection | None = None) -> str:
        """Write a job and its units, in one transaction; returns its id.

        Parameters
        ----------
        new
            The job.
        within
            A transaction that the job belongs to.
        """
        if within is None:
            with self.database.change() as c:
                return self.add(new, c)
        now, number = self.clock(), secrets.token_hex(16)
        # Names of folders have no characters of people: the process's id is checked.
        row = {
            "id": number, "person": new.person, "process": new.process, "version": new.version,
            "title": new.title[:200], "state": "accepted", "created": now, "updated": now, "units": len(new.units),
            "request": new.request.text(), "folder": f"{new.process.lstrip('_')}-{number[:12]}", "code": new.code,
            "seal": new.seal, "schedule": new.schedule, "subscriber": new.subscriber,
        }  # fmt: skip
        within.execute(sa.insert(jobs).values(**row))
        own = {"remote": "portal", "notebook": "notebook"}
        needs = own.get(new.request.output) or ("code" if new.code else "")
        end = Unit("end", [], is_end=True)
        several = [
            {
                "job": number, "person": new.person, "needs": needs, "position": n, "name": unit.name,
                "document": unit.text(), "key": key, "state": "blocked" if unit.is_end else "waiting",
            }
            for n, (unit, key) in enumerate([*new.units, (end, "")])
        ]  # fmt: skip
        within.execute(sa.insert(units), several)
        tell(within, number, f"{new.process} {new.version} was accepted with {len(new.units)} units.", now)
        return number

    def jobs(
        self, person: str | None, limit: int = 100, offset: int = 0, states: Sequence[str] = (), process: str = ""
    ) -> list[Record]:
        """Return the newest jobs first, of a process or of all but plans; ``person`` is None for a service."""
        query = sa.select(*COLUMNS).order_by(_j.created.desc(), _j.id).limit(limit).offset(offset)
        query = query.where(_j.process == process if process else _j.process != PLAN)
        query = query if person is None else query.where(_j.person == person)
        query = query.where(_j.state.in_(states)) if states else query
        with self.database.read() as c:
            return [Record(**row._mapping) for row in c.execute(query)]

    def job(self, number: str, person: str | None) -> Record:
        """Return one job.

        Raises
        ------
        GeodesError
            If there is none, or it is another person's.
        """
        with self.database.read() as c:
            return self._job(c, number, person)

    def _job(self, c: Connection, number: str, person: str | None) -> Record:
        row = c.execute(sa.select(*COLUMNS).where(_j.id == number)).one_or_none()
        if row is None or person not in (None, row.person):
            raise GeodesError(f"There is no job {number}: gl.jobs() lists yours.")
        return Record(**row._mapping)

    def request(self, number: str, person: str | None) -> Request:
        """Return what was asked of a job."""
        with self.database.read() as c:
            self._job(c, number, person)
            return Request.of(str(c.execute(sa.select(_j.request).where(_j.id == number)).scalar()))

    def code(self, number: str, person: str | None) -> tuple[bytes | None, str | None]:
        """Return the pickled process of a notebook, if the job has one, and its seal."""
        with self.database.read() as c:
            self._job(c, number, person)
            row = c.execute(sa.select(_j.code, _j.seal).where(_j.id == number)).one()
            return row.code, row.seal

    def progress(self, number: str, person: str | None) -> Progress:
        """Count the units of a job."""
        return self.several_progress([number], person).get(number) or Progress(0)

    def several_progress(self, numbers: Sequence[str], person: str | None) -> dict[str, Progress]:
        """Count the units of some jobs, by id; in one query."""
        state = sa.case((sa.and_(_u.state == "waiting", _u.until > self.clock()), "running"), else_=_u.state).label(
            "now"
        )
        query = sa.select(_u.job, state, sa.func.count().label("many"))
        query = query.where(_u.job.in_(numbers), _u.key != "").group_by(_u.job, state)
        query = query if person is None else query.where(_u.person == person)
        counts: dict[str, dict[str, int]] = {}
        cells: dict[str, tuple[int, int]] = {}
        with self.database.read() as c:
            for row in c.execute(query):
                counts.setdefault(row.job, {})[row.now] = row.many
            if under_way := [j for j, n in counts.items() if n.get("running")]:
                known = sa.select(steps.c.job, steps.c.done, steps.c.total).where(steps.c.job.in_(under_way))
                cells = {row.job: (row.done, row.total) for row in c.execute(known)}
        names = ("done", "running", "waiting", "failed", "dismissed")
        several = {j: Progress(sum(n.values()), *(n.get(name, 0) for name in names)) for j, n in counts.items()}
        for number, (done, total) in cells.items():
            several[number] = replace(several[number], cells_done=done, cells=total)
        return several

    def failures(self, number: str, person: str | None, limit: int = 100) -> list[Failure]:
        """Return the units that failed, or that wait for another attempt, with the last reason of each."""
        where = [_u.job == number, _u.reason != "", _u.state.in_(("failed", "waiting"))]
        where += [] if person is None else [_u.person == person]
        query = sa.select(_u.name, _u.reason, _u.attempts).where(*where).order_by(_u.position).limit(limit)
        with self.database.read() as c:
            return [Failure(*row) for row in c.execute(query)]

    def results(self, number: str, person: str | None) -> list[tuple[Unit, Result]]:
        """Return the units that are done, in their order, with what they made; the end of the job too."""
        where = [_u.job == number, _u.state == "done"] + ([] if person is None else [_u.person == person])
        query = sa.select(_u.document, _u.result).where(*where).order_by(_u.position)
        with self.database.read() as c:
            return [(Unit.of(row.document), Result.of(row.result)) for row in c.execute(query)]

    def log(self, number: str, person: str | None, after: int = 0) -> list[tuple[int, float, str]]:
        """Return what happened to a job: number, seconds since 1970, sentence."""
        with self.database.read() as c:
            self._job(c, number, person)
            query = sa.select(log.c.number, log.c.time, log.c.text).where(log.c.job == number, log.c.number > after)
            return [(r.number, r.time, r.text) for r in c.execute(query.order_by(log.c.number))]

    def dismiss(self, number: str, person: str | None) -> Record:
        """Cancel a job: units that wait are not begun, those under way end without a result; what is done stays.

        A job that has ended stays as it is.
        """
        now = self.clock()
        with self.database.change() as c:
            known = self._job(c, number, person)
            if known.state not in ENDED:
                where = (_u.job == number, _u.state.in_(("waiting", "blocked")))
                c.execute(sa.update(units).where(*where).values(state="dismissed", until=0.0))
                end(c, number, "dismissed", "It was cancelled.", now)
            return self._job(c, number, person)

    def retry(self, number: str, person: str | None) -> Record:
        """Let the units wait again that failed or were dismissed; what is done is not computed again."""
        now = self.clock()
        with self.database.change() as c:
            known = self._job(c, number, person)
            if known.state in ("failed", "dismissed"):
                where = (_u.job == number, _u.state.in_(("failed", "dismissed")))
                values = {"attempts": 0, "later": 0.0, "until": 0.0, "reason": "", "remote": None}
                c.execute(sa.update(units).where(*where, _u.key != "").values(state="waiting", **values))
                left = sa.select(sa.func.count()).where(_u.job == number, _u.key != "", _u.state != "done")
                state = "blocked" if c.execute(left).scalar() else "waiting"
                c.execute(sa.update(units).where(*where, _u.key == "").values(state=state, **values))
                values = {"state": "running", "message": "", "finished": None, "updated": now}
                c.execute(sa.update(jobs).where(_j.id == number).values(**values))
                tell(c, number, "Its units that were not done are tried again.", now)
            return self._job(c, number, person)

    def remove(self, number: str, person: str | None) -> None:
        """Forget a job that has ended; its files stay."""
        with self.database.change() as c:
            if self._job(c, number, person).state not in ENDED:
                raise GeodesError(f"The job {number} has not ended: cancel it first.")
            for table, column in ((units, _u.job), (steps, steps.c.job), (log, log.c.job), (jobs, _j.id)):
                c.execute(sa.delete(table).where(column == number))

    def has_runner(self, person: str) -> bool:
        """Whether a runner is alive that takes the units of a person."""
        r = runners.c
        with self.database.read() as c:
            query = sa.select(r.owner).where(r.until > self.clock(), r.person.in_(("", person))).limit(1)
            return c.execute(query).first() is not None


def tell(c: Connection, number: str, text: str, now: float) -> None:
    """Write a sentence into the log of a job."""
    c.execute(sa.insert(log).values(job=number, time=now, text=text[:1000]))


def end(c: Connection, number: str, state: str, message: str, now: float) -> None:
    """Record the end of a job."""
    values: dict[str, Any] = {"state": state, "message": message[:1000], "finished": now, "updated": now}
    c.execute(sa.update(jobs).where(_j.id == number, _j.state.not_in(ENDED)).values(**values))
    tell(c, number, f"The job is {state}. {message}".strip(), now)


def settle(c: Connection, number: str, now: float) -> None:
    """Bring a job further after one of its units has ended: its last unit begins its end, or it has failed."""
    # First: of two last units that end at the same moment, the second sees the first.
    c.execute(sa.update(jobs).where(_j.id == number).values(updated=now))
    counts = {
        row.state: row.many
        for row in c.execute(
            sa.select(_u.state, sa.func.count().label("many")).where(_u.job == number, _u.key != "").group_by(_u.state)
        )
    }
    if counts.get("waiting"):
        return
    failed = counts.get("failed", 0)
    if failed:
        first: Row[Any] | None = c.execute(
            sa.select(_u.reason).where(_u.job == number, _u.state == "failed").order_by(_u.position).limit(1)
        ).first()
        why = first.reason if first is not None else ""
        end(c, number, "failed", f"{failed} of {sum(counts.values())} units failed. {why}", now)
    else:
        where = (_u.job == number, _u.key == "", _u.state == "blocked")
        c.execute(sa.update(units).where(*where).values(state="waiting"))
