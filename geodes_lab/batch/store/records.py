"""What the store knows of a job: what is written of a new one, its record, how far it is, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geodes_lab.batch.request import Request, Unit

ENDED = ("successful", "failed", "dismissed")
"""The states of a job that has ended."""


@dataclass(frozen=True)
class New:
    """A job that is to be written."""

    person: str
    process: str
    version: str
    title: str
    request: Request
    units: Sequence[tuple[Unit, str]]
    """Without the end; each with its key."""
    code: bytes | None = None
    seal: str | None = None
    schedule: str | None = None
    subscriber: str | None = None


@dataclass(frozen=True)
class Record:
    """A job as it is in the store."""

    id: str
    person: str
    process: str
    version: str
    title: str
    state: str
    message: str
    created: float
    started: float | None
    finished: float | None
    updated: float
    units: int
    folder: str
    schedule: str | None
    subscriber: str | None


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    total: int
    """Units, without the end of the job."""
    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    dismissed: int = 0
    cells_done: int = 0
    """Of the notebook that runs."""
    cells: int = 0
    """Of that notebook; 0: none runs, or it has not begun."""

    @property
    def percent(self) -> int:
        """Units that are done, of all, with the part of one that says how far it is; 0 to 100."""
        part = min(self.cells_done / self.cells, 1.0) if self.cells else 0.0
        return int(100 * (self.done + part) / max(self.total, 1))

    def __str__(self) -> str:
        more = [f"{n} {what}" for n, what in ((self.running, "running"), (self.failed, "failed")) if n]
        more += [f"{self.cells_done} of {self.cells} cells"] if self.cells else []
        return ", ".join([f"{self.done} of {self.total} units", *more])


@dataclass(frozen=True)
class Failure:
    """A unit that is not done, and why."""

    name: str
    reason: str
    attempts: int
