"""One unit is done: its job's code is checked, its result is computed, or taken from an earlier job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from geodes_lab import extras
from geodes_lab.batch import own_code, places, planned, remote
from geodes_lab.batch.request import Request, Result
from geodes_lab.batch.running import outputs, publishing
from geodes_lab.batch.running.computing import Call
from geodes_lab.batch.running.workers import Workers
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.batch.store.leases import LeaseLost, Leases, Task
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.served import ServedLeases
from geodes_lab.cube.grid import NothingThere
from geodes_lab.util import faults

NOTEBOOK = "notebook"
_JOBS = 64  # whose code and request are remembered


@dataclass(frozen=True)
class _Known:
    """What does not change of a job."""

    record: Record
    request: Request
    code: bytes | None
    seal: str | None


class Doing:
    """Does units of jobs.

    Parameters
    ----------
    store, leases
        The jobs, and what this runner has of them.
    workers
        Who computes.
    person
        Whose jobs they are; None: everybody's.
    folder
        The folder of the results of jobs.
    publisher
        Enters results in the catalogue.
    """

    def __init__(
        self, store: AnyStore, leases: Leases | ServedLeases, workers: Workers, person: str | None, folder: Path,
        publisher: publishing.Publisher,
    ) -> None:  # fmt: skip
        self.store, self.leases, self.workers, self.person = store, leases, workers, person
        self.folder, self.publisher = folder, publisher
        self._known: Callable[[str], _Known] = lru_cache(_JOBS)(self._read)

    def _read(self, number: str) -> _Known:
        record = self.store.job(number, self.person)
        code, seal = self.store.code(number, self.person)
        return _Known(record, self.store.request(number, self.person), code, seal)

    def result(self, task: Task, lost: threading.Event) -> Result:
        """Do one unit.

        Parameters
        ----------
        task
            The unit, leased.
        lost
            Is set when another runner has it, or nobody wants it any more.

        Raises
        ------
        LeaseLost
            If ``lost`` was set meanwhile.
        """
        known = self._known(task.job)
        folder = places.folder_of(known.record.folder, self.folder)
        if task.unit.is_end:
            result = publishing.ended(self.store, known.record, known.request, folder, self.publisher)
        elif known.request.planned:
            result = planned.made(known.record, known.request)
        elif known.request.output == NOTEBOOK:
            with extras.needed("A notebook as a job"):  # a runner without Jupyter has other work
                from geodes_lab.batch.notebooks import running as notebooks
            given = known.record, known.request, known.code, known.seal
            result = notebooks.made(self.leases, task, *given, folder, lost)
        elif known.request.output == "remote":
            result = remote.worked(self.leases, task, known.request, known.record)
        else:
            reused = None if task.is_new else self._reused(task, known, folder)
            result = reused or self._computed(task, known, folder, lost)
        if lost.is_set():
            raise LeaseLost
        return result

    def _computed(self, task: Task, known: _Known, folder: Path, lost: threading.Event) -> Result:
        record, request = known.record, known.request
        if known.code is not None:
            own_code.loaded(known.code, known.seal, record.person)  # the seal is checked here, not on workers
        if not task.is_new:
            self.leases.begun(task)
        faults.reach("unit.begun")
        numbers = task.unit.items
        alone = replace(request, items=[request.items[n] for n in numbers])
        unit = replace(task.unit, items=list(range(len(numbers))))
        threads = 1 if unit.tile is not None else self.workers.threads
        call = Call(record.process, record.version, known.code, alone, unit, str(folder), threads)
        computation = self.workers.submit(call)
        while not computation.done(0.5):
            if lost.is_set():
                computation.cancel()
                raise LeaseLost
        try:
            return computation.result()
        except NothingThere:  # by its footprint a product is there, by its pixels not
            return Result([])

    def _reused(self, task: Task, known: _Known, folder: Path) -> Result | None:
        for job, name, unit, result in self.leases.same(task):
            source = places.folder_of(name, self.folder)
            if job != task.job and not result.items:
                files = outputs.reused(source, folder, unit, result.files, known.request, task.unit)
                if files is not None:
                    return Result(files, reused=job)
        return None
