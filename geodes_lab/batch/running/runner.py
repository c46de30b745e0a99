"""A runner: takes units by leases, has them computed, and records what became of them. Several may share a store."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from geodes_lab import settings
from geodes_lab.batch import places, schedules
from geodes_lab.batch.request import PLAN
from geodes_lab.batch.running import failing, publishing
from geodes_lab.batch.running.doing import NOTEBOOK, Doing
from geodes_lab.batch.running.workers import Workers
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.batch.store.leases import LeaseLost, Leases, Task
from geodes_lab.batch.store.served import ServedLeases
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import shown
from geodes_lab.util import faults
from geodes_lab.util.database import DatabaseUnusable

log = logging.getLogger("geodes_lab.jobs")
_LOOK = 0.25  # seconds between two looks for units that wait
_LOOK_OVER_HTTP = 1.0
_SCHEDULES = 10.0  # seconds between two looks for schedules that are due
_NO_WORK = 60.0  # seconds after which a runner ends that only looked after schedules
_MOST_THREADS = 256  # units at once; each has a thread that waits
_MOST_PLANS = 4


class Runner:
    """A runner of one account, which has the rights of that account and no others.

    Parameters
    ----------
    store
        The jobs.
    workers
        Who computes.
    person
        Whose units it takes; None: everybody's, but none with code of a notebook.
    folder
        The folder of the results of jobs; None: that of the settings.
    publisher
        Enters results in the catalogue.
    lease, attempts, pause
        As the settings ``geodes_lab.jobs`` say, if None.
    """

    def __init__(
        self,
        store: AnyStore,
        workers: Workers,
        *,
        person: str | None,
        folder: Path | None = None,
        publisher: publishing.Publisher = publishing.in_the_lab,
        lease: float | None = None,
        attempts: int | None = None,
        pause: float | None = None,
    ) -> None:
        self.store, self.workers, self.person, self.publisher = store, workers, person, publisher
        self.folder = folder or places.results()
        self.attempts = int(settings.get("jobs.attempts")) if attempts is None else attempts
        self.pause = float(settings.get("jobs.pause")) if pause is None else pause
        # Code, notebooks and the key of a portal are a person's own: a runner for everybody has none of them.
        takes = () if person is None else ("code", "portal", NOTEBOOK)
        seconds = float(settings.get("jobs.lease")) if lease is None else lease
        self.leases: Leases | ServedLeases
        if isinstance(store, Store):
            self.leases, self._between = Leases(store.database, person, takes, seconds, clock=store.clock), _LOOK
        else:
            self.leases, self._between = store.leases(person, takes, seconds), _LOOK_OVER_HTTP
        self._stop, self._moved = threading.Event(), threading.Event()
        self._active: dict[int, threading.Event] = {}
        # What needs no worker: ends of jobs, plans, and notebooks, each with a kernel beside this process.
        self._aside: dict[int, str] = {}
        self.notebooks = max(int(settings.get("jobs.notebooks")), 1)
        self._lock = threading.Lock()
        self._next_look = time.monotonic()
        self._doing = Doing(store, self.leases, workers, person, self.folder, publisher)

    @property
    def is_busy(self) -> bool:
        """Whether it works on a unit now."""
        return bool(self._active)

    def stop(self) -> None:
        """End it soon: units under way are given back."""
        self._stop.set()
        self._moved.set()

    def run(self, *, idle: float | None = None) -> None:
        """Take and compute units until it is stopped.

        Parameters
        ----------
        idle
            Seconds without any unit after which it ends; 0: as soon as nothing waits for now; None: never.
        """
        beat = threading.Thread(target=self._beat, name="runner-lives", daemon=True)
        self._alive()
        beat.start()
        pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="unit")
        try:
            self._take_all(pool, idle)
        finally:
            self._stop.set()
            for lost in list(self._active.values()):
                lost.set()
            pool.shutdown(wait=True)
            beat.join()
            with contextlib.suppress(DatabaseUnusable):
                self.leases.leave()
            self.workers.close()

    def _take_all(self, pool: ThreadPoolExecutor, idle: float | None) -> None:
        since, worked = time.monotonic(), False
        while not self._stop.is_set():
            self._moved.clear()
            tasks: list[Task] = []
            try:
                self._look()
                if (room := self._room()) > 0:
                    tasks = self.leases.take_several(room, self._without())
                if not tasks and not self._active and idle == 0 and self._is_over():
                    return
            except DatabaseUnusable as error:
                log.warning("%s", error)
            if tasks or self._active:
                since, worked = time.monotonic(), True
            elif idle and time.monotonic() - since > (idle if worked else min(idle, _NO_WORK)):
                return
            for task in tasks:
                faults.reach("end.taken" if task.unit.is_end else "unit.taken")
                lost = threading.Event()
                with self._lock:
                    self._active[task.number] = lost
                    if kind := _beside(task):
                        self._aside[task.number] = kind
                pool.submit(self._one, task, lost)
            if not tasks:
                self._moved.wait(self._between)

    def _room(self) -> int:
        """How many more units may be taken.

        No cluster starts before there is a unit for it: ends, plans and notebooks need none.
        """
        with self._lock:
            computed = len(self._active.keys() - self._aside.keys())
            plans = [*self._aside.values()].count(PLAN)
        if plans >= _MOST_PLANS:
            return 0
        return min(self.workers.slots, _MOST_THREADS) - computed if computed else 1

    def _without(self) -> tuple[str, ...]:
        """What is not taken now: notebooks, while as many run as may."""
        with self._lock:
            return (NOTEBOOK,) if [*self._aside.values()].count(NOTEBOOK) >= self.notebooks else ()

    def _look(self) -> None:
        """Look at the schedules now and then: in between, nothing new is expected."""
        if self.person is not None and time.monotonic() >= self._next_look:
            schedules.look(self.store, self.person, self.leases.owner)
            self._next_look = time.monotonic() + _SCHEDULES

    def _is_over(self) -> bool:
        """Whether nothing will wait within the next attempts of this call."""
        when = self.leases.next_time()
        return when is None or when > self.store.clock() + max(self.pause * 2**self.attempts, self.leases.seconds)

    def _alive(self) -> None:
        with self._lock:
            # What is taken meanwhile has a lease of its own, and is not asked for.
            known = dict(self._active)
        try:
            still = self.leases.renew(known.keys())
        except DatabaseUnusable as error:  # it does not answer now; the leases may end meanwhile
            log.warning("%s", error)
            return
        for number, lost in known.items():
            if number not in still:
                lost.set()

    def _beat(self) -> None:
        # Often enough that a job that is cancelled frees its workers soon.
        while not self._stop.wait(min(self.leases.seconds / 3, 2.0)):
            self._alive()

    def _one(self, task: Task, lost: threading.Event) -> None:
        """Do one unit, and record what became of it; nothing of it is raised."""
        try:
            self._done(task, lost)
        except LeaseLost:
            log.info("%s of job %s is no longer ours.", shown(task.unit.said()), task.job)
        except Exception as error:
            with contextlib.suppress(LeaseLost):
                self._not_done(task, error)
        finally:
            with self._lock:
                self._active.pop(task.number, None)
                self._aside.pop(task.number, None)
            self._moved.set()

    def _done(self, task: Task, lost: threading.Event) -> None:
        began = time.monotonic()
        result = self._doing.result(task, lost)
        faults.reach("end.recorded" if task.unit.is_end else "unit.computed")
        self._recorded(lambda: self.leases.done(task, result, time.monotonic() - began))
        if not task.unit.is_end:
            faults.reach("unit.recorded")

    def _recorded(self, record: Callable[[], None]) -> None:
        """Record something that is done, as soon as the store answers."""
        for pause in _longer():
            try:
                record()
                return
            except DatabaseUnusable as error:
                log.warning("%s", error)
                if self._stop.wait(pause):
                    raise LeaseLost from error

    def _not_done(self, task: Task, error: Exception) -> None:
        verdict = failing.verdict(task, error, self.attempts, self.pause)
        log.warning("%s", shown(verdict.why))
        if verdict.pause is None:
            self._recorded(lambda: self.leases.fail(task, verdict.why))
        else:
            pause = verdict.pause
            self._recorded(lambda: self.leases.postpone(task, verdict.why, pause, counts=verdict.counts))


def _beside(task: Task) -> str:
    """Return what a unit is that needs no worker; empty: it needs one."""
    if task.unit.is_end:
        return "end"
    return PLAN if task.key == PLAN else NOTEBOOK if task.is_notebook else ""


def _longer() -> Iterator[float]:
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 10.0)
