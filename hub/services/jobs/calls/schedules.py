"""What runners and kernels ask of schedules; each call knows those of its person alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from geodes_lab.batch.store.records import New
from geodes_lab.batch.store.schedules import Schedules
from geodes_lab.errors import GeodesError
from hub.services.jobs.calls import asked
from hub.services.person import Person

Given = dict[str, Any]
_LARGEST = 2_000_000  # characters of a schedule; a region is the largest part of it
_MOST_PRODUCTS = 20_000  # of one look


def calls(
    schedules: Schedules, new: Callable[[Person, Given], New], check: Callable[[Person, str], None]
) -> dict[str, Callable[[Person, Given], Any]]:
    """Return the calls by name.

    Parameters
    ----------
    schedules
        Those of all people.
    new
        Checks a job.
    check
        Checks that a person may begin a job of a process.
    """

    def add(person: Person, given: Given) -> str:
        from geodes_lab.batch.calendar import Plan  # pandas comes with it

        try:
            document = asked.document(given, "document")
        except ValueError:
            raise GeodesError("The schedule cannot be read: your software is another one.") from None
        if len(document) > _LARGEST:
            raise GeodesError(f"The schedule has more than {_LARGEST} characters: simplify its region.")
        plan = Plan.of(document)
        check(person, plan.process)
        return schedules.add(person.name, document, plan.check())

    def begun(person: Person, given: Given) -> str | None:
        job = given.get("job")
        if job is not None and not isinstance(job, dict):
            raise GeodesError("job must be an object.")
        made = None if job is None else _of(new(person, job), number(given))
        position = None if given.get("position") is None else asked.text(given, "position")
        marks = asked.texts(given, "marks", _MOST_PRODUCTS)
        return schedules.begun(number(given), person.name, owner(person, given), made, marks, position)

    def looked(person: Person, given: Given) -> None:
        reason = asked.text(given, "reason", 5000)
        schedules.looked(number(given), person.name, owner(person, given), reason, max(asked.seconds(given), 60.0))

    def take(person: Person, given: Given) -> Given | None:
        entry = schedules.take(person.name, owner(person, given))
        return None if entry is None else asdict(entry)

    return {
        "schedule_add": add,
        "schedules": lambda p, g: [asdict(e) for e in schedules.all(p.name)],
        "schedule": lambda p, g: asdict(schedules.one(number(g), p.name)),
        "schedule_jobs": lambda p, g: [asdict(r) for r in schedules.jobs(number(g), p.name, asked.page(g)[0])],
        "schedule_stop": lambda p, g: schedules.stop(number(g), p.name),
        "schedule_remove": lambda p, g: schedules.remove(number(g), p.name),
        "schedule_take": take,
        "schedule_new": lambda p, g: schedules.new(number(g), p.name, asked.texts(g, "products", _MOST_PRODUCTS)),
        "schedule_begun": begun,
        "schedule_looked": looked,
    }


def number(given: Given) -> str:
    """Return the id of a schedule."""
    return asked.text(given, "schedule")


def owner(person: Person, given: Given) -> str:
    """Return who looks: whatever a runner calls itself, it has nothing of another person's."""
    return f"{person.name}/{asked.text(given, 'owner')}"


def _of(job: New, schedule: str) -> New:
    return replace(job, schedule=schedule)
