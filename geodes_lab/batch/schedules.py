"""What begins jobs by itself: each new product of a search, and each month, or another period.

A runner of the person looks, with the rights of that person. A product, or a period, and the job for it are recorded in
one transaction: none is forgotten, and none is computed twice.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from geodes_lab.batch import calendar, places, searching, submission
from geodes_lab.batch.calendar import Plan
from geodes_lab.batch.job import Jobs
from geodes_lab.batch.splitting.units import NoProduct
from geodes_lab.batch.store import chosen
from geodes_lab.batch.store.chosen import AnySchedules, AnyStore
from geodes_lab.batch.store.leases import LeaseLost
from geodes_lab.batch.store.records import New
from geodes_lab.batch.store.schedules import Entry
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util import instant
from geodes_lab.util.database import DatabaseUnusable

log = logging.getLogger("geodes_lab.jobs")
_GATHER = 500  # products of one job
_AT_ONCE = 24  # periods that one look begins jobs for


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

    def __init__(self, store: AnyStore, id: str, person: str) -> None:
        self._store, self.id, self.person = store, id, person
        self._schedules = chosen.schedules(store)

    @property
    def entry(self) -> Entry:
        """What the store has of it now."""
        return self._schedules.one(self.id, self.person)

    @property
    def plan(self) -> Plan:
        """What it begins."""
        return Plan.of(self.entry.document)

    @property
    def status(self) -> str:
        """``active`` or ``stopped``."""
        return self.entry.state

    @property
    def reason(self) -> str:
        """Why its last look failed; empty: it did not."""
        return self.entry.reason

    @property
    def last_run(self) -> datetime | None:
        """When it last began a job; None: never yet."""
        begun = self.entry.begun
        return None if begun is None else datetime.fromtimestamp(begun, UTC)

    @property
    def next_run(self) -> datetime | None:
        """When somebody looks next, or the next period is over; None: it was stopped."""
        when = calendar.next_run(self.entry)
        return None if when is None else datetime.fromtimestamp(when, UTC)

    def jobs(self) -> Jobs:
        """Return the jobs that it has begun, the newest first."""
        return Jobs(self._store, self._schedules.jobs(self.id, self.person), self.person)

    def stop(self) -> None:
        """Begin no more jobs; those that have begun go on."""
        self._schedules.stop(self.id, self.person)

    def remove(self) -> None:
        """Forget it; its jobs stay."""
        self._schedules.remove(self.id, self.person)

    def __repr__(self) -> str:
        entry, plan = self.entry, self.plan
        why = f", {shown(entry.reason)}" if entry.reason else ""
        return f"Schedule {self.id[:8]} {plan.process} for each {plan.each}: {entry.state}{why}"


def scheduled(store: AnyStore, plan: Plan, person: str | None = None) -> Schedule:
    """Write a schedule; a runner of the person looks from now on.

    Raises
    ------
    GeodesError
        If the process is not installed, an input is not valid, or the period is none.
    """
    begin, owner = plan.check(), person or places.person()
    return Schedule(store, chosen.schedules(store).add(owner, plan.text(), begin), owner)


def listed(store: AnyStore, person: str) -> list[Schedule]:
    """Return the schedules of a person."""
    return [Schedule(store, e.id, person) for e in chosen.schedules(store).all(person)]


def look(store: AnyStore, person: str, owner: str) -> int:
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
    begun, several = 0, chosen.schedules(store)
    while (entry := several.take(person, owner)) is not None:
        reason, every = "", calendar.LONGEST
        try:
            plan = Plan.of(entry.document)
            every = plan.every
            one = _Look(several, entry, plan, owner)
            begun += one.products() if plan.each == calendar.PRODUCT else one.periods()
            every = max(every, one.until())
        except DatabaseUnusable:
            raise
        except LeaseLost:  # it was stopped, or removed
            continue
        except Exception as error:  # whatever a catalogue answers: other schedules go on
            log.info("The schedule %s could not look.", entry.id, exc_info=True)
            reason = str(error) if isinstance(error, GeodesError) else f"{type(error).__name__}: {shown(str(error))}"
        several.looked(entry.id, person, owner, reason, every)
    return begun


@dataclass(frozen=True)
class _Look:
    """One look after one schedule."""

    schedules: AnySchedules
    entry: Entry
    plan: Plan
    owner: str

    def products(self) -> int:
        found = {str(i["id"]): i for i in searching.found(self.plan.search, f"{self.entry.position}/..")}
        new = self.schedules.new(self.entry.id, self.entry.person, found)
        begun = 0
        for start in range(0, len(new), _GATHER):
            some = new[start : start + _GATHER]
            begun += self._begun([found[n] for n in some], {}, marks=some)
        return begun

    def until(self) -> float:
        """Return the seconds until the next period is over: before that, nobody needs to look."""
        if self.plan.each == calendar.PRODUCT:
            return 0.0
        now = self.schedules.one(self.entry.id, self.entry.person)
        return min(
            calendar.part(now.position, self.plan)[1].timestamp() + self.plan.wait - self.schedules.clock(),
            calendar.LONGEST,
        )

    def periods(self) -> int:
        now, begun, position = self.schedules.clock(), 0, self.entry.position
        for _ in range(_AT_ONCE):
            begin, finish = calendar.part(position, self.plan)
            if now < finish.timestamp() + self.plan.wait:
                break
            period = f"{instant.text(begin)}/{instant.text(finish)}"
            items = searching.found(self.plan.search, period)
            begun += self._begun(items, {"period": period}, position=instant.text(finish))
            position = instant.text(finish)
        return begun

    def _begun(
        self,
        items: Sequence[dict[str, Any]],
        when: Mapping[str, Any],
        *,
        marks: Sequence[str] = (),
        position: str | None = None,
    ) -> int:
        """Begin a job, and record in the same transaction what it is for."""
        new, plan, entry = None, self.plan, self.entry
        if items:
            with contextlib.suppress(NoProduct):  # they lie beside the region: there is nothing to compute
                draft = submission.prepared(plan.process, items, plan.inputs, **plan.job, **when)
                new = New(
                    entry.person, draft.process.id, draft.process.version, draft.title, draft.request, draft.units,
                    schedule=entry.id,
                )  # fmt: skip
        return self.schedules.begun(entry.id, entry.person, self.owner, new, marks, position) is not None
