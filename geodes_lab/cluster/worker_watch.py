"""Looks after the workers of a cluster: those that are gone are replaced, and who waits for them reads why.

Distributed replaces a worker that dies, by its nanny; a nanny that ends, or a worker that was stopped, it does not. It
measures silence by the clock, and so gives up all workers of a laptop that slept; here only seconds count in which this
process was awake.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import dask
import psutil
from dask.utils import parse_timedelta

from geodes_lab.cluster import progress_bar

DISTRIBUTEDS = "3650 days"
"""In the place of distributed's own ``worker-ttl``, in clusters that are looked after here."""

_GONE = 2  # looks, a second each, after which a worker that is not there is replaced
_STOPPED = 5  # looks after which one is replaced that somebody has stopped
_SILENT = 20  # looks after which it is said that one does not answer
_WAITING = 10  # looks after which it is said that there are none
_TRIES = 3  # starts of workers that fail, after which the cluster is given up

_NOBODY = {
    "slurm": "its jobs are waiting in the queue or have ended (check with squeue --me)",
    "gateway": "the gateway has not started a worker yet, or has ended them",
}


class WorkerWatch:
    """Looks after the workers of one cluster.

    Parameters
    ----------
    cluster
        Of distributed, dask-gateway or dask-jobqueue.
    place
        ``local``, ``gateway`` or ``slurm``. Local workers are replaced; of others it is said that there are none.
    missing
        Says why there are none, if it knows.
    """

    def __init__(self, cluster: Any, place: str, missing: Callable[[], str] = str) -> None:
        self._cluster, self._place, self._missing = cluster, place, missing
        self._looks: Counter[Any] = Counter()
        self._heard: dict[str, float] = {}
        self._failures = 0
        self._replacing: asyncio.Task[None] | None = None
        setting = dask.config.get("distributed.scheduler.worker-ttl")
        self._longest = parse_timedelta(setting) if setting else 0

    def look(self, workers: int, tasks: int) -> str:
        """Look, once a second in the loop of the cluster.

        Parameters
        ----------
        workers
            How many there are.
        tasks
            Results that are waited for.

        Returns
        -------
        str
            Why the cluster is to be given up; mostly nothing.
        """
        if self._place != "local":
            if self._lasts("none", tasks > 0 and workers == 0) == _WAITING:
                threading.Thread(target=self._say_that_there_are_none, name="workers-missing", daemon=True).start()
            return ""
        self._replace_stopped()
        self._replace_silent(tasks)
        return self._replace_gone(tasks)

    def _say_that_there_are_none(self) -> None:
        """Say it, with the reason if it is known, which the queue is asked for."""
        if why := self._missing():
            progress_bar.say(f"Your cluster has no worker. {why}")
            return
        progress_bar.say(
            f"Your cluster has no worker: {_NOBODY[self._place]}. The computation waits for one; "
            "gl.attach(workers=…) asks for others."
        )

    def _lasts(self, what: Any, now: bool) -> int:
        """For how many looks something has been so."""
        self._looks[what] = self._looks[what] + 1 if now else 0
        return self._looks[what]

    def _replace_stopped(self) -> None:
        for name, nanny in list(self._cluster.workers.items()):
            if nanny.pid and self._lasts(("stopped", nanny.pid), _is_stopped(nanny.pid)) == _STOPPED:
                progress_bar.say(
                    f"Worker {name} of your cluster was stopped from outside (SIGSTOP): another worker replaces it."
                )
                _kill(nanny)

    def _replace_silent(self, tasks: int) -> None:
        for address, worker in list(self._cluster.scheduler.workers.items()):
            silent = self._lasts(("silent", address), self._heard.get(address) == worker.last_seen)
            self._heard[address] = worker.last_seen
            if silent == _SILENT and tasks:
                progress_bar.say(
                    f"Worker {worker.name} of your cluster has not answered for {silent} s: its computation holds "
                    "Python's lock, or the machine is out of memory. The cluster waits for it."
                )
            if self._longest and silent > self._longest and worker.name in self._cluster.workers:
                progress_bar.say(
                    f"Worker {worker.name} of your cluster has not answered for {silent} s: another worker replaces it."
                )
                self._lasts(("silent", address), False)
                _kill(self._cluster.workers[worker.name])
        for address in set(self._heard) - set(self._cluster.scheduler.workers):
            del self._heard[address]
            del self._looks[("silent", address)]

    def _replace_gone(self, tasks: int) -> str:
        if self._replacing is not None and not self._replacing.done():
            return ""
        there = {worker.name for worker in self._cluster.scheduler.workers.values()}
        gone = [n for n in self._cluster.worker_spec if n not in there and _has_ended(self._cluster.workers.get(n))]
        if self._lasts("gone", bool(gone)) < _GONE:
            return ""
        if self._failures >= _TRIES:
            return (
                f"Your cluster lost its workers, and {self._failures} attempts to start others failed, so it was "
                "stopped. Compute again: this starts another cluster. If that one has no workers either, restart the "
                "kernel."
            )
        if tasks:
            progress_bar.say("Your cluster has lost workers: other workers replace them.")
        for name in gone:
            self._cluster.workers.pop(name, None)
        self._replacing = asyncio.ensure_future(self._replace())
        return ""

    async def _replace(self) -> None:
        try:
            await self._cluster  # starts those that it should have
            self._failures = 0
        except Exception:
            self._failures += 1


def _has_ended(nanny: Any) -> bool:
    return nanny is None or nanny.status.name in ("closed", "failed")


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def _kill(nanny: Any) -> None:
    """End the process of a worker; its nanny starts another."""
    if nanny.pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(nanny.pid, signal.SIGKILL)
