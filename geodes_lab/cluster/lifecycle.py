"""What goes on beside a cluster while its kernel computes.

It tells of itself, lends keys, stops when idle or asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dask.utils import parse_timedelta
from tornado.ioloop import PeriodicCallback

from geodes_lab import settings
from geodes_lab.cluster import (
    first_use,
    progress_bar,
    resizing,
    running,
    versions,
    worker_failures,
    worker_imports,
)
from geodes_lab.cluster.client import LabClient
from geodes_lab.cluster.forwarding import credentials, software
from geodes_lab.cluster.forwarding.credentials import CredentialForwarding, Desk
from geodes_lab.cluster.forwarding.software import Shelf
from geodes_lab.cluster.request import ClusterRequest
from geodes_lab.cluster.worker_failures import Witness
from geodes_lab.cluster.worker_watch import WorkerWatch
from geodes_lab.errors import GeodesError


class ClusterLifecycle:
    """Keeps one cluster; made when it has started.

    Parameters
    ----------
    cluster
        Of distributed, dask-gateway or dask-jobqueue.
    place
        ``local``, ``gateway`` or ``slurm``.
    link
        Where a browser finds its dashboard.
    change
        Changes the number of its workers; gives False if it cannot.
    reserved
        Bytes that its workers may have together, even while fewer are there.
    ended
        Called when it has ended.
    missing
        Says why there are no workers, if it knows; called in a thread.
    """

    def __init__(
        self,
        cluster: Any,
        place: str,
        link: str,
        change: Callable[[ClusterLifecycle, ClusterRequest], bool],
        reserved: int = 0,
        ended: Callable[[], None] = lambda: None,
        missing: Callable[[], str] = str,
    ) -> None:
        idle()  # a setting that makes no sense is said now
        self.cluster, self.place, self._change, self._ended = cluster, place, change, ended
        self.client = LabClient(cluster, place)
        self.is_closed = False
        self.over = threading.Event()
        """Set when all that it had is free again."""
        self._checked: set[str] = set()
        self._watch = WorkerWatch(cluster, place, missing)
        self._busy = time.monotonic()
        self._ticking = False
        self._one = running.me(place, name=f"{place} {uuid.uuid4().hex[:4]}", id=str(uuid.uuid4()))
        self._one = replace(self._one, scheduler=self.client.scheduler.address, dashboard=link, reserved=reserved)
        self.client.register_plugin(Desk())
        self.client.register_plugin(Witness())
        self._lending = CredentialForwarding(self.client)
        self.client.sync(self._lending.renew)
        self.client.tell_settings()
        if self.client.software is not None:
            self.client.register_plugin(Shelf())
            self.client.subscribe_topic(software.TOPIC, self.client.software.heard)
            self.client.software.send()
        self.client.subscribe_topic(worker_failures.TOPIC, self.client.witness)
        self.client.subscribe_topic(credentials.TOPIC, self._wanted)
        self._tell()
        self._ticks = PeriodicCallback(self._tick, running.EVERY * 1000)
        self.client.loop.add_callback(self._ticks.start)
        if settings.get("cluster.ahead"):
            worker_imports.begin(self.client)

    @property
    def id(self) -> str:
        """As in the list of clusters."""
        return self._one.id

    def change(self, wanted: ClusterRequest) -> bool:
        """Change the number of workers; False if it has to be another cluster, since the workers differ."""
        return self._change(self, wanted)

    def reserve(self, memory: int) -> None:
        """Say how many bytes the workers may have together from now on."""
        self._one = replace(self._one, reserved=memory)
        self._tell()

    async def _tick(self) -> None:
        if self._ticking or self.is_closed:  # the one before still waits for a source of keys
            return
        self._ticking = True
        try:
            if self.client.status != "running":
                self._end()  # the user has closed it, or its scheduler is gone: one in this process does not come back
                return
            now = self._tell()
            if now.tasks or now.held:
                self._busy = time.monotonic()
            if running.is_to_stop(self.id) or time.monotonic() - self._busy > (idle() or math.inf):
                self._end()
                return
            if why := self._watch.look(now.workers, now.tasks):
                self.client.ended_for = why
                self._end()
                return
            await self._resize()
            with contextlib.suppress(OSError):  # the scheduler is away for a moment
                await self._lending.renew()
            if self.place != "local":
                await self._check_newcomers()
        finally:
            self._ticking = False

    async def _resize(self) -> None:
        """Do what the Dask panel asks for."""
        asked = resizing.asked(self.id)
        if asked is None:
            return
        mark, wanted = asked
        refusal = ""
        try:
            if not await asyncio.to_thread(self.change, wanted):  # it asks the queue, or the gateway
                refusal = (
                    f"{wanted.workers} workers of this size do not fit beside your other clusters: ask for fewer, or "
                    "change the existing cluster with gl.attach(workers=…, memory=…) in its notebook."
                )
        except GeodesError as error:
            refusal = str(error)
        resizing.answer(self.id, mark, refusal)
        if refusal and wanted.adaptive:  # the panel does not wait for it
            progress_bar.say(f"The Dask panel requested another size: {refusal}")

    def _tell(self) -> running.Running:
        known = getattr(getattr(self.cluster, "scheduler", None), "workers", None)
        if known is not None:  # where the scheduler is in this process it knows at once
            workers = [{"nthreads": w.nthreads, "memory_limit": w.memory_limit} for w in list(known.values())]
        else:
            workers = list(self.client.scheduler_info(n_workers=-1)["workers"].values())
        states = [f.status for f in list(self.client.futures.values())]
        tasks = states.count("pending")
        self._one = running.as_it_is(self._one, workers, tasks, len(states) - tasks)
        running.tell(self._one)
        return self._one

    async def _check_newcomers(self) -> None:
        """A worker with other software than ours is sent away at the tick after it came.

        Until then it may have taken a task.
        """
        for address in set(self.client.scheduler_info(n_workers=-1)["workers"]) - self._checked:
            self._checked.add(address)
            with contextlib.suppress(OSError):
                theirs = (await self.client._run(eval, versions.ASK, workers=[address])).get(address, {})
                try:
                    versions.refuse(theirs, f"The worker {address}", "Use one environment for kernel and workers.")
                except GeodesError as error:
                    progress_bar.say(str(error))
                    await self.client.scheduler.retire_workers(workers=[address], close_workers=True)

    async def _wanted(self, event: tuple[float, dict[str, Any]]) -> None:
        with contextlib.suppress(OSError):
            await self._lending.replace(event[1]["kind"], event[1]["mark"])

    def _end(self) -> None:
        """Close from within the loop."""
        threading.Thread(target=self.close, name="cluster-ends").start()

    def close(self) -> None:
        """Stop the cluster, with what it holds; the next computation starts another."""
        if self.is_closed:
            return
        self.is_closed = True
        self.client.loop.add_callback(self._ticks.stop)
        with contextlib.suppress(OSError):  # the scheduler may be gone
            self.client.close(timeout=5)
        try:
            # A cluster of a gateway is told apart from our connection to it.
            self.cluster.shutdown() if self.place == "gateway" else self.cluster.close(timeout=20)
        except Exception as error:
            if threading.main_thread().is_alive():  # else the process ends, and the cluster with it
                progress_bar.say(
                    f"The cluster {self._one.name} could not be stopped ({error}): it will stop by itself when it "
                    "is idle."
                )
        self._ended()
        running.remove(self.id)
        first_use.put_back()
        self.over.set()


def idle() -> float:
    """Seconds after which a cluster that does nothing stops; 0: never.

    Raises
    ------
    GeodesError
        If the setting makes no sense.
    """
    setting = settings.get("cluster.idle")
    try:
        return float(parse_timedelta(setting or 0))
    except (KeyError, ValueError):
        raise GeodesError(f"geodes_lab.cluster.idle is a time, such as '30 minutes', not {setting!r}.") from None
