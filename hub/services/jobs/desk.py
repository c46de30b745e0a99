"""What runners and kernels ask of the store: calls of one list, and each knows the jobs of its person alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from geodes_lab import settings
from geodes_lab.batch.own_code import MOST_BYTES
from geodes_lab.batch.request import Request, Result, Unit
from geodes_lab.batch.store.leases import LeaseLost, Leases, Task
from geodes_lab.batch.store.served import written
from geodes_lab.batch.store.tables import jobs, units
from geodes_lab.batch.store.writing import ENDED, New, Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.processing import registry
from geodes_lab.processing.process import check_id
from hub.services.bounds import check_depth
from hub.services.person import Person

MOST_UNITS = 100_000
"""Of a job."""
_MOST_LISTED = 1000
_MOST_TAKEN = 256
_LONGEST = 200  # characters of a name
_DEPTH = 64


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
            "jobs": lambda p, g: [asdict(r) for r in store.jobs(p.name, *_page(g), _states(g))],
            "job": lambda p, g: asdict(store.job(_text(g, "job"), p.name)),
            "request": lambda p, g: store.request(_text(g, "job"), p.name).text(),
            "code": self._code,
            "progress": lambda p, g: {j: asdict(n) for j, n in store.several_progress(_jobs(g), p.name).items()},
            "failures": lambda p, g: [asdict(f) for f in store.failures(_text(g, "job"), p.name, _page(g)[0])],
            "results": self._results,
            "log": lambda p, g: store.log(_text(g, "job"), p.name, _whole(g, "after", 0)),
            "dismiss": lambda p, g: asdict(store.dismiss(_text(g, "job"), p.name)),
            "retry": lambda p, g: asdict(store.retry(_text(g, "job"), p.name)),
            "remove": lambda p, g: store.remove(_text(g, "job"), p.name),
            "take": self._take,
            "take_several": self._take_several,
            "renew": lambda p, g: sorted(self._leases(p, g).renew(_numbers(g, "has"))),
            "leave": lambda p, g: self._leases(p, g).leave(),
            "next_time": lambda p, g: self._leases(p, g).next_time(),
            "same": lambda p, g: [[j, f, u.text(), r.text()] for j, f, u, r in self._leases(p, g).same(self._of(p, g))],
            "begun": lambda p, g: self._leases(p, g).begun(self._of(p, g)),
            "done": self._done,
            "postpone": self._postpone,
            "fail": lambda p, g: self._leases(p, g).fail(self._of(p, g), _text(g, "why", 5000)),
            "remote": self._remote,
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
        process = check_id(_text(given, "process"))
        self.check(person, process)
        try:
            request = Request.of(_document(given, "request"))
            several = [(Unit.of(check(unit)), str(key)) for unit, key in given["units"]]
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
        if code is None and process not in registry.installed():
            raise GeodesError(f"This lab has no process {process!r}: it has {', '.join(registry.installed())}.")
        if code is not None and len(code) > MOST_BYTES:
            raise GeodesError(f"The code of the process {process} has more than {MOST_BYTES} bytes.")
        seal = None if given.get("seal") is None else _text(given, "seal")
        title, version = _text(given, "title", 2000), _text(given, "version")
        return self.store.add(New(person.name, process, version, title, request, several, code, seal))

    def _code(self, person: Person, given: dict[str, Any]) -> list[str | None]:
        code, seal = self.store.code(_text(given, "job"), person.name)
        return [None if code is None else base64.b64encode(code).decode(), seal]

    def _results(self, person: Person, given: dict[str, Any]) -> list[list[str]]:
        number = _text(given, "job")
        self.store.job(number, person.name)
        return [[unit.text(), result.text()] for unit, result in self.store.results(number, person.name)]

    def _leases(self, person: Person, given: dict[str, Any]) -> Leases:
        leases = Leases(
            self.store.database, person.name, ("code", "portal"), float(settings.get("jobs.lease")),
            min(max(_whole(given, "slots", 1), 1), 4096), self.store.clock,
        )  # fmt: skip
        # Whatever a runner calls itself, it has nothing of another person's.
        leases.owner = f"{person.name}/{_text(given, 'owner')}"
        return leases

    def _take(self, person: Person, given: dict[str, Any]) -> dict[str, Any] | None:
        task = self._leases(person, given).take()
        return None if task is None else written(task)

    def _take_several(self, person: Person, given: dict[str, Any]) -> list[dict[str, Any]]:
        many = min(max(_whole(given, "many", 1), 1), _MOST_TAKEN)
        return [written(task) for task in self._leases(person, given).take_several(many)]

    def _of(self, person: Person, given: dict[str, Any]) -> Task:
        """Return a unit as the store has it; the runner says its number and its fence alone."""
        u = units.c
        with self.store.database.read() as c:
            query = sa.select(units).where(u.number == _whole(given, "number"), u.person == person.name)
            row = c.execute(query).one_or_none()
        if row is None:
            raise LeaseLost
        unit, fence = Unit.of(row.document), _whole(given, "fence")
        return Task(row.number, fence, row.job, row.person, unit, row.key, row.attempts, row.remote)

    def _done(self, person: Person, given: dict[str, Any]) -> None:
        try:
            result = Result.of(_document(given, "result"))
            valid = all(isinstance(i, dict) for i in result.items) and all(
                isinstance(f.path, str) and isinstance(f.size, int) and isinstance(f.sha256, str) for f in result.files
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise GeodesError("The result of the unit cannot be read: your software is another one.")
        self._leases(person, given).done(self._of(person, given), result, _seconds(given))

    def _postpone(self, person: Person, given: dict[str, Any]) -> None:
        why, counts = _text(given, "why", 5000), given.get("counts") is not False
        self._leases(person, given).postpone(self._of(person, given), why, _seconds(given), counts=counts)

    def _remote(self, person: Person, given: dict[str, Any]) -> None:
        address = None if given.get("address") is None else _text(given, "address", 4000)
        self._leases(person, given).remote(self._of(person, given), address)


def _is_unit(unit: Unit, key: str, request: Request) -> bool:
    """Whether a unit can be one: a runner of its person reads it, and pages show its name."""
    many = len(request.items)
    known = isinstance(unit.name, str) and 0 < len(unit.name) <= _LONGEST and 0 < len(key) <= _LONGEST
    numbers = isinstance(unit.items, list) and all(type(n) is int and 0 <= n < many for n in unit.items)
    return known and numbers and not unit.is_end


def check(text: Any) -> str:
    """Check a JSON text before it is parsed: how deep it is, and that its numbers are finite.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    check_depth(text.encode(), _DEPTH)
    json.loads(text, parse_constant=_no_number)
    return text


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _document(given: dict[str, Any], name: str) -> str:
    return check(given.get(name))


def _text(given: dict[str, Any], name: str, most: int = _LONGEST) -> str:
    value = given.get(name)
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise GeodesError(f"{name} must be a text of at most {most} characters.")
    return value


def _whole(given: dict[str, Any], name: str, default: int | None = None) -> int:
    value = given.get(name, default)
    if type(value) is not int or not 0 <= value < 2**62:
        raise GeodesError(f"{name} must be a whole number.")
    return value


def _seconds(given: dict[str, Any]) -> float:
    value = given.get("seconds")
    if not isinstance(value, (int, float)) or not 0 <= value <= 1e7:
        raise GeodesError("seconds must be a number of seconds.")
    return float(value)


def _numbers(given: dict[str, Any], name: str) -> list[int]:
    value = given.get(name)
    if not isinstance(value, list) or len(value) > 4096 or not all(type(n) is int and 0 <= n < 2**62 for n in value):
        raise GeodesError(f"{name} must be a list of whole numbers.")
    return value


def _jobs(given: dict[str, Any]) -> list[str]:
    value = given.get("jobs")
    if not isinstance(value, list) or len(value) > _MOST_LISTED or not all(isinstance(n, str) for n in value):
        raise GeodesError(f"jobs must be a list of at most {_MOST_LISTED} ids.")
    return value


def _page(given: dict[str, Any]) -> tuple[int, int]:
    return min(_whole(given, "limit", 100), _MOST_LISTED), _whole(given, "offset", 0)


def _states(given: dict[str, Any]) -> list[str]:
    value = given.get("states", [])
    if not isinstance(value, list) or len(value) > 10 or not all(isinstance(s, str) for s in value):
        raise GeodesError("states must be a list of states.")
    return value
