"""What runners and kernels ask of the store: calls of one list, and each knows the jobs of its person alone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from geodes_lab import settings
from geodes_lab.batch.own_code import MOST_BYTES
from geodes_lab.batch.request import Request, Result, Unit
from geodes_lab.batch.store.leases import LeaseLost, Leases, Task
from geodes_lab.batch.store.records import ENDED, New
from geodes_lab.batch.store.schedules import Schedules
from geodes_lab.batch.store.served import written
from geodes_lab.batch.store.tables import jobs, units
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.processing import registry
from geodes_lab.processing.process import check_id
from geodes_lab.processing.shipped import notebooks
from hub.services.jobs import callbacks
from hub.services.jobs.calls import asked
from hub.services.jobs.calls import schedules as schedule_calls
from hub.services.person import Person

MOST_UNITS = 100_000
"""Of a job."""
_MOST_TAKEN = 256
_TAKES = ("code", "portal", "notebook")


class NotAllowed(GeodesError):
    """The person's groups do not have this process."""


class Desk:
    """The store, for one person at a time.

    Parameters
    ----------
    lab
        The operator's file.
    store
        The jobs of all people.
    """

    def __init__(self, lab: Lab, store: Store) -> None:
        self.lab, self.store = lab, store
        self._calls: dict[str, Callable[[Person, dict[str, Any]], Any]] = {
            "add": self._add,
            "jobs": lambda p, g: [asdict(r) for r in store.jobs(p.name, *asked.page(g), asked.states(g))],
            "job": lambda p, g: asdict(store.job(asked.text(g, "job"), p.name)),
            "request": lambda p, g: store.request(asked.text(g, "job"), p.name).text(),
            "code": self._code,
            "progress": self._progress,
            "failures": self._failures,
            "results": self._results,
            "log": lambda p, g: store.log(asked.text(g, "job"), p.name, asked.whole(g, "after", 0)),
            "dismiss": lambda p, g: asdict(store.dismiss(asked.text(g, "job"), p.name)),
            "retry": lambda p, g: asdict(callbacks.tried_again(store, asked.text(g, "job"), p.name)),
            "remove": lambda p, g: store.remove(asked.text(g, "job"), p.name),
            "take": self._take,
            "take_several": self._take_several,
            "renew": lambda p, g: sorted(self._leases(p, g).renew(asked.numbers(g, "has"))),
            "leave": lambda p, g: self._leases(p, g).leave(),
            "next_time": lambda p, g: self._leases(p, g).next_time(),
            "same": lambda p, g: [[j, f, u.text(), r.text()] for j, f, u, r in self._leases(p, g).same(self._of(p, g))],
            "begun": lambda p, g: self._leases(p, g).begun(self._of(p, g)),
            "stepped": self._stepped,
            "done": self._done,
            "postpone": self._postpone,
            "fail": lambda p, g: self._leases(p, g).fail(self._of(p, g), asked.text(g, "why", 5000)),
            "remote": self._remote,
            **schedule_calls.calls(Schedules(store), self.new, self.check),
        }

    def answer(self, person: Person, what: str, given: Any) -> Any:
        """Answer a call.

        Raises
        ------
        GeodesError
            A sentence: there is no such call, what is given cannot be, or the job is not this person's.
        LeaseLost
            If a unit is not the runner's.
        """
        call = self._calls.get(what)
        if call is None:
            raise GeodesError(f"The store of jobs has no call {what[:40]!r}: this lab and your software differ.")
        if not isinstance(given, dict):
            raise GeodesError("The request must be a JSON object.")
        return call(person, given)

    def allowed(self, person: Person, process: str) -> bool:
        """Whether a person's groups have a process."""
        groups = self.lab.jobs.processes.get(process)
        return groups is None or bool(person.groups & set(groups))

    def check(self, person: Person, process: str) -> None:
        """Check that a person may begin one more job of a process.

        Raises
        ------
        GeodesError
            If not.
        """
        if not self.allowed(person, process):
            raise NotAllowed(f"None of your groups can use the process {process}: ask {self.lab.contact}.")
        with self.store.database.read() as c:
            where = (jobs.c.person == person.name, jobs.c.state.not_in(ENDED))
            many = c.execute(sa.select(sa.func.count()).where(*where)).scalar() or 0
        if many >= self.lab.jobs.waiting:
            raise GeodesError(f"{many} of your jobs have not ended, which is the limit: wait, or cancel some.")

    def _add(self, person: Person, given: dict[str, Any]) -> str:
        return self.store.add(self.new(person, given))

    def new(self, person: Person, given: dict[str, Any]) -> New:
        """Check a job that a kernel or a runner brings.

        Raises
        ------
        GeodesError
            If it cannot be one, or the person may not begin it.
        """
        process = check_id(asked.text(given, "process"))
        self.check(person, process)
        try:
            request = Request.of(asked.document(given, "request"))
            several = [(Unit.of(asked.check(unit)), str(key)) for unit, key in given["units"]]
            code = None if given.get("code") is None else base64.b64decode(given["code"], validate=True)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GeodesError(
                f"The job cannot be read ({type(error).__name__}): your software is another one."
            ) from None
        if not 0 < len(several) <= MOST_UNITS:
            raise GeodesError(f"The job has {len(several)} units, and can have 1 to {MOST_UNITS}: choose larger tiles.")
        names = {unit.name for unit, _ in several}
        if len(names) < len(several) or not all(_is_unit(unit, key, request) for unit, key in several):
            raise GeodesError("The units of the job cannot be: names, keys or numbers of products are wrong.")
        if request.output == "notebook" and (process != notebooks.ID or len(several) != 1):
            raise GeodesError(f"A notebook is run by the process {notebooks.ID}, as one unit.")
        if code is None and process not in registry.installed():
            raise GeodesError(f"This lab has no process {process!r}: it has {', '.join(registry.installed())}.")
        if code is not None and len(code) > MOST_BYTES:
            raise GeodesError(f"The code of the process {process} has more than {MOST_BYTES} bytes.")
        seal = None if given.get("seal") is None else asked.text(given, "seal")
        title, version = asked.text(given, "title", 2000), asked.text(given, "version")
        return New(person.name, process, version, title, request, several, code, seal)

    def _code(self, person: Person, given: dict[str, Any]) -> list[str | None]:
        code, seal = self.store.code(asked.text(given, "job"), person.name)
        return [None if code is None else base64.b64encode(code).decode(), seal]

    def _results(self, person: Person, given: dict[str, Any]) -> list[list[str]]:
        number = asked.text(given, "job")
        self.store.job(number, person.name)
        return [[unit.text(), result.text()] for unit, result in self.store.results(number, person.name)]

    def _progress(self, person: Person, given: dict[str, Any]) -> dict[str, Any]:
        counts = self.store.several_progress(asked.jobs_of(given), person.name)
        return {number: asdict(progress) for number, progress in counts.items()}

    def _failures(self, person: Person, given: dict[str, Any]) -> list[dict[str, Any]]:
        several = self.store.failures(asked.text(given, "job"), person.name, asked.page(given)[0])
        return [asdict(failure) for failure in several]

    def _leases(self, person: Person, given: dict[str, Any]) -> Leases:
        leases = Leases(
            self.store.database, person.name, _TAKES, float(settings.get("jobs.lease")),
            min(max(asked.whole(given, "slots", 1), 1), 4096), self.store.clock,
        )  # fmt: skip
        # Whatever a runner calls itself, it has nothing of another person's.
        leases.owner = f"{person.name}/{asked.text(given, 'owner')}"
        return leases

    def _take(self, person: Person, given: dict[str, Any]) -> dict[str, Any] | None:
        task = self._leases(person, given).take()
        return None if task is None else written(task)

    def _take_several(self, person: Person, given: dict[str, Any]) -> list[dict[str, Any]]:
        many = min(max(asked.whole(given, "many", 1), 1), _MOST_TAKEN)
        without = given.get("without", [])
        if not isinstance(without, list) or not all(what in _TAKES for what in without):
            raise GeodesError(f"without must be a list of some of {', '.join(_TAKES)}.")
        return [written(task) for task in self._leases(person, given).take_several(many, without)]

    def _of(self, person: Person, given: dict[str, Any]) -> Task:
        """Return a unit as the store has it; the runner says its number and its fence alone."""
        u = units.c
        with self.store.database.read() as c:
            query = sa.select(units).where(u.number == asked.whole(given, "number"), u.person == person.name)
            row = c.execute(query).one_or_none()
        if row is None:
            raise LeaseLost
        unit, fence = Unit.of(row.document), asked.whole(given, "fence")
        return Task(row.number, fence, row.job, row.person, unit, row.key, row.attempts, row.remote)

    def _stepped(self, person: Person, given: dict[str, Any]) -> None:
        done, total = (min(asked.whole(given, name), 10**6) for name in ("done", "total"))
        self._leases(person, given).stepped(self._of(person, given), done, total)

    def _done(self, person: Person, given: dict[str, Any]) -> None:
        try:
            result = Result.of(asked.document(given, "result"))
            valid = all(isinstance(i, dict) for i in result.items) and all(
                isinstance(f.path, str) and isinstance(f.size, int) and isinstance(f.sha256, str) for f in result.files
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise GeodesError("The result of the unit cannot be read: your software is another one.")
        self._leases(person, given).done(self._of(person, given), result, asked.seconds(given))

    def _postpone(self, person: Person, given: dict[str, Any]) -> None:
        why, counts = asked.text(given, "why", 5000), given.get("counts") is not False
        self._leases(person, given).postpone(self._of(person, given), why, asked.seconds(given), counts=counts)

    def _remote(self, person: Person, given: dict[str, Any]) -> None:
        address = None if given.get("address") is None else asked.text(given, "address", 4000)
        self._leases(person, given).remote(self._of(person, given), address)


def _is_unit(unit: Unit, key: str, request: Request) -> bool:
    """Whether a unit can be one: a runner of its person reads it, and pages show its name."""
    many = len(request.items)
    known = isinstance(unit.name, str) and 0 < len(unit.name) <= asked.LONGEST and 0 < len(key) <= asked.LONGEST
    numbers = isinstance(unit.items, list) and all(type(n) is int and 0 <= n < many for n in unit.items)
    return known and numbers and not unit.is_end
