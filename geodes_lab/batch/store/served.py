"""The store of a lab, behind its service: the same functions over HTTP, with the person's own token."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import httpx

from geodes_lab import settings
from geodes_lab.batch.request import Request, Result, Unit
from geodes_lab.batch.store.leases import LeaseLost, Task
from geodes_lab.batch.store.records import Failure, New, Progress, Record
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import DatabaseUnusable

_SECONDS = 60.0  # for an answer


def address() -> str:
    """Return where the lab's service of jobs is; empty: this is no server of a lab, or the lab has none."""
    return str(settings.get("jobs.service") or "") if os.environ.get("JUPYTERHUB_API_TOKEN") else ""


class Line:
    """The way to the service: one call, one POST.

    Parameters
    ----------
    url
        The service's address.
    token
        Who asks.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"token {token}"}
        # The service is the lab's own: no proxy of the system's is between.
        self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=_SECONDS, trust_env=False)

    def ask(self, what: str, **given: Any) -> Any:
        """Ask for one thing.

        Raises
        ------
        GeodesError
            What the service refuses, in its own sentence; `DatabaseUnusable` if it does not answer.
        LeaseLost
            If a unit is no longer the runner's.
        """
        try:
            answer = self._client.post(f"/store/{what}", json=given)
        except httpx.HTTPError as error:
            raise DatabaseUnusable(
                f"The service of jobs does not answer ({type(error).__name__}): nothing was changed; try again."
            ) from error
        if answer.status_code == 409:
            raise LeaseLost
        if answer.status_code == 429 or answer.status_code >= 500:
            raise DatabaseUnusable(f"The service of jobs answers {answer.status_code}: try again in a moment.")
        if answer.status_code >= 400:
            raise GeodesError(_sentence(answer))
        return answer.json()


def _sentence(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:1000]
    except (ValueError, KeyError, TypeError):
        return f"The service of jobs refuses with {answer.status_code}."


class ServedStore:
    """The jobs of one person in the store of a lab; the functions are those of `Store`.

    Parameters
    ----------
    url
        The service's address; None: that of the settings.
    token
        None: that of this server of the lab.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.line = Line(url or address(), token or os.environ.get("JUPYTERHUB_API_TOKEN", ""))
        self.clock = time.time

    def add(self, new: New) -> str:
        """Write a job and its units; returns its id."""
        return str(self.line.ask("add", **written_job(new)))

    def jobs(self, person: str | None, limit: int = 100, offset: int = 0, states: Sequence[str] = ()) -> list[Record]:
        """Return the newest jobs first."""
        return [Record(**r) for r in self.line.ask("jobs", limit=limit, offset=offset, states=list(states))]

    def job(self, number: str, person: str | None) -> Record:
        """Return one job."""
        return Record(**self.line.ask("job", job=number))

    def request(self, number: str, person: str | None) -> Request:
        """Return what was asked of a job."""
        return Request.of(self.line.ask("request", job=number))

    def code(self, number: str, person: str | None) -> tuple[bytes | None, str | None]:
        """Return the pickled process of a notebook, if the job has one, and its seal."""
        code, seal = self.line.ask("code", job=number)
        return None if code is None else base64.b64decode(code), seal

    def progress(self, number: str, person: str | None) -> Progress:
        """Count the units of a job."""
        return self.several_progress([number], person).get(number) or Progress(0)

    def several_progress(self, numbers: Sequence[str], person: str | None) -> dict[str, Progress]:
        """Count the units of some jobs, by id."""
        return {j: Progress(**p) for j, p in self.line.ask("progress", jobs=list(numbers)).items()}

    def failures(self, number: str, person: str | None, limit: int = 100) -> list[Failure]:
        """Return the units that failed, or that wait for another attempt."""
        return [Failure(**f) for f in self.line.ask("failures", job=number, limit=limit)]

    def results(self, number: str, person: str | None) -> list[tuple[Unit, Result]]:
        """Return the units that are done, with what they made."""
        return [(Unit.of(u), Result.of(r)) for u, r in self.line.ask("results", job=number)]

    def log(self, number: str, person: str | None, after: int = 0) -> list[tuple[int, float, str]]:
        """Return what happened to a job."""
        return [(n, at, text) for n, at, text in self.line.ask("log", job=number, after=after)]

    def dismiss(self, number: str, person: str | None) -> Record:
        """Cancel a job."""
        return Record(**self.line.ask("dismiss", job=number))

    def retry(self, number: str, person: str | None) -> Record:
        """Let the units wait again that failed or were dismissed."""
        return Record(**self.line.ask("retry", job=number))

    def remove(self, number: str, person: str | None) -> None:
        """Forget a job that has ended."""
        self.line.ask("remove", job=number)

    def has_runner(self, person: str) -> bool:
        """Whether a runner is alive; if not, the service starts one."""
        return True

    def leases(self, person: str | None, takes: Sequence[str], seconds: float) -> ServedLeases:
        """Return the leases of one runner."""
        return ServedLeases(self.line, seconds)


class ServedLeases:
    """The leases of one runner of the person; the functions are those of `Leases`.

    Of a unit whose answer was lost on its way nothing is known here, so its lease ends by itself.
    """

    def __init__(self, line: Line, seconds: float) -> None:
        self.line, self.seconds, self.slots = line, seconds, 1
        self.owner = f"{socket.gethostname()[:40]}/{os.getpid()}/{secrets.token_hex(8)}"

    def take(self) -> Task | None:
        """Take the next unit."""
        found = self._ask("take", slots=self.slots)
        return None if found is None else Task(**found | {"unit": Unit.of(found["unit"])})

    def take_several(self, most: int, without: Collection[str] = ()) -> list[Task]:
        """Take the next units."""
        found = self._ask("take_several", slots=self.slots, many=most, without=sorted(without))
        return [Task(**one | {"unit": Unit.of(one["unit"])}) for one in found]

    def renew(self, numbers: Collection[int]) -> set[int]:
        """Show a sign of life; returns those of these units that this runner still has."""
        return set(self._ask("renew", has=sorted(numbers), slots=self.slots))

    def leave(self) -> None:
        """Give back what this runner still has."""
        self._ask("leave")

    def begun(self, task: Task) -> None:
        """Record that the computation of a unit begins."""
        self._move("begun", task)

    def stepped(self, task: Task, done: int, total: int) -> None:
        """Record how far a unit is."""
        self._move("stepped", task, done=done, total=total)

    def done(self, task: Task, result: Result, seconds: float) -> None:
        """Record what a unit made."""
        self._move("done", task, result=result.text(), seconds=seconds)

    def postpone(self, task: Task, why: str, seconds: float, *, counts: bool = True) -> None:
        """Try a unit again later."""
        self._move("postpone", task, why=why, seconds=seconds, counts=counts)

    def fail(self, task: Task, why: str) -> None:
        """Give a unit up."""
        self._move("fail", task, why=why)

    def remote(self, task: Task, address: str | None) -> None:
        """Record where another service computes a unit."""
        self._move("remote", task, address=address)

    def same(self, task: Task) -> list[tuple[str, str, Unit, Result]]:
        """Return units of the same person that have made the same."""
        found = self._ask("same", number=task.number, fence=task.fence)
        return [(job, folder, Unit.of(unit), Result.of(result)) for job, folder, unit, result in found]

    def next_time(self) -> float | None:
        """Return when the next unit may be taken."""
        when: float | None = self._ask("next_time")
        return when

    def _move(self, what: str, task: Task, **given: Any) -> None:
        self._ask(what, number=task.number, fence=task.fence, **given)

    def _ask(self, what: str, **given: Any) -> Any:
        return self.line.ask(what, owner=self.owner, **given)


def written_job(new: New) -> dict[str, Any]:
    """Write a new job as JSON; whose it is, the service knows."""
    return {
        "process": new.process, "version": new.version, "title": new.title, "request": new.request.text(),
        "units": [[unit.text(), key] for unit, key in new.units],
        "code": None if new.code is None else base64.b64encode(new.code).decode(), "seal": new.seal,
    }  # fmt: skip


def written(task: Task) -> dict[str, Any]:
    """Write a task as JSON."""
    return asdict(task) | {"unit": task.unit.text()}
