"""The schedules of a lab, behind its service of jobs: the functions are those of `Schedules`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from geodes_lab.batch.store.records import New, Record
from geodes_lab.batch.store.schedules import Entry
from geodes_lab.batch.store.served import Line, written_job


@dataclass(frozen=True)
class ServedSchedules:
    """The schedules of one person; the service knows by the token whose they are."""

    line: Line
    clock: Callable[[], float] = time.time

    def add(self, person: str, document: str, position: str) -> str:
        """Write a schedule; returns its id."""
        return str(self.line.ask("schedule_add", document=document, position=position))

    def all(self, person: str) -> list[Entry]:
        """Return the person's schedules, the oldest first."""
        return [Entry(**e) for e in self.line.ask("schedules")]

    def one(self, number: str, person: str) -> Entry:
        """Return one schedule."""
        return Entry(**self.line.ask("schedule", schedule=number))

    def jobs(self, number: str, person: str, limit: int = 100) -> list[Record]:
        """Return the jobs that a schedule has begun, the newest first."""
        return [Record(**r) for r in self.line.ask("schedule_jobs", schedule=number, limit=limit)]

    def stop(self, number: str, person: str) -> None:
        """Begin no more jobs."""
        self.line.ask("schedule_stop", schedule=number)

    def remove(self, number: str, person: str) -> None:
        """Forget a schedule; its jobs stay."""
        self.line.ask("schedule_remove", schedule=number)

    def take(self, person: str, owner: str) -> Entry | None:
        """Take a schedule that is due."""
        found = self.line.ask("schedule_take", owner=owner)
        return None if found is None else Entry(**found)

    def new(self, number: str, person: str, products: Collection[str]) -> list[str]:
        """Return those of some products that a schedule has begun no job for."""
        return [str(p) for p in self.line.ask("schedule_new", schedule=number, products=list(products))]

    def begun(
        self, number: str, person: str, owner: str, job: New | None, marks: Sequence[str], position: str | None
    ) -> str | None:
        """Begin a job, and record in the same transaction what it is for; returns its id."""
        given = None if job is None else written_job(job)
        found = self.line.ask(
            "schedule_begun", schedule=number, owner=owner, job=given, marks=list(marks), position=position
        )
        return None if found is None else str(found)

    def looked(self, number: str, person: str, owner: str, reason: str, every: float) -> None:
        """Record that somebody has looked."""
        self.line.ask("schedule_looked", schedule=number, owner=owner, reason=reason[:1000], seconds=every)
