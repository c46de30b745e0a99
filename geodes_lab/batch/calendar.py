"""When a schedule begins its jobs, and what they are; nothing is searched or begun here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from geodes_lab.batch.splitting import periods
from geodes_lab.batch.store.schedules import Entry
from geodes_lab.errors import GeodesError
from geodes_lab.processing.registry import installed
from geodes_lab.util import instant

PRODUCT = "product"
"""Instead of a frequency: a job for what is new."""
LONGEST = 366 * 86400.0
"""Seconds between two looks, and of waiting, at most."""


@dataclass(frozen=True)
class Plan:
    """When a job begins, and what it is; stored as JSON."""

    process: str
    search: dict[str, Any]
    """The arguments of `geodes_lab.search`, without ``datetime``; or ``stac``: a search of STAC in the lab."""
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

    def text(self) -> str:
        """Write it as JSON.

        Raises
        ------
        GeodesError
            If something in it cannot be.
        """
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise GeodesError(f"The search or an input of the schedule cannot be written as JSON ({error}).") from None

    @classmethod
    def of(cls, text: str) -> Plan:
        """Read it.

        Raises
        ------
        GeodesError
            If it is none.
        """
        try:
            plan = cls(**json.loads(text))
            is_plain = all(isinstance(d, dict) for d in (plan.search, plan.inputs, plan.job))
            is_plain &= all(isinstance(t, str) for t in (plan.process, plan.each, plan.start))
            is_plain &= 0 <= float(plan.wait) <= LONGEST and 60 <= float(plan.every) <= LONGEST
        except (TypeError, ValueError, RecursionError):
            is_plain = False
        if not is_plain:
            raise GeodesError("The schedule cannot be read: your software is another one.")
        return plan

    def check(self) -> str:
        """Check it; returns the moment that it begins with.

        Raises
        ------
        GeodesError
            If the process is not installed, an input is not valid, or the period is none.
        """
        process = installed().get(self.process)
        if process is None:
            raise GeodesError(
                f"A schedule needs a process that is installed where jobs run, and {self.process!r} is not: make a "
                "package of it (entry point geodes_lab.processes)."
            )
        if process.gives == "notebook":
            raise GeodesError("A schedule begins processes over products; a notebook cannot be scheduled yet.")
        process.inputs.checked(self.inputs)
        if self.each != PRODUCT:
            periods.parts("2021", self.each)
        if "datetime" in self.search or "datetime" in (self.search.get("stac") or {}):
            raise GeodesError("The search of a schedule has no datetime: start= says from when on.")
        return instant.text(periods.interval(self.start)[0])


def plan(
    process: str,
    search: Mapping[str, Any],
    inputs: Mapping[str, Any],
    job: Mapping[str, Any],
    *,
    each: str = PRODUCT,
    start: str | None = None,
    wait: str = "0h",
    every: str = "1h",
) -> Plan:
    """Make the plan of a schedule of what a person writes; see ``gl.process.schedule``.

    Parameters
    ----------
    process, search, inputs, job
        See `Plan`.
    each, start, wait, every
        See `geodes_lab.batch.front.Processing.schedule`.

    Raises
    ------
    GeodesError
        If a time is none.
    """
    now = datetime.now(UTC)
    first = start or (f"{now:%Y-%m-%d}" if each == PRODUCT else f"{now:%Y-%m-01}")
    seconds = _seconds("wait", wait, 0), _seconds("every", every, 60)
    return Plan(process, dict(search), each, first, *seconds, dict(inputs), dict(job))


def _seconds(name: str, text: str, least: float) -> float:
    try:
        seconds = pd.Timedelta(text).total_seconds()
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= LONGEST:
        raise GeodesError(f"{name}={text!r} is no such time: write '30min', '6h' or '5D'.")
    return float(seconds)


def next_run(entry: Entry) -> float | None:
    """Return when a schedule may begin its next job, in seconds since 1970; None: never."""
    if entry.state != "active":
        return None
    plan = Plan.of(entry.document)
    return entry.due if plan.each == PRODUCT else max(entry.due, part(entry.position, plan)[1].timestamp() + plan.wait)


def part(position: str, plan: Plan) -> tuple[datetime, datetime]:
    """Return begin and end of the period that a schedule is at."""
    begin = instant.utc(position)
    assert begin is not None
    # The first part of a long period is one of the frequency.
    _, end = periods.parts(f"{position}/{instant.text(begin + timedelta(days=800))}", plan.each)[0]
    finish = instant.utc(end)
    assert finish is not None
    return begin, finish
