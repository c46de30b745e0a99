"""Keys for the workers: the kernel lends them to its scheduler, and workers ask the scheduler.

Over TLS, from memory to memory.

So they are in no graph, no file and no environment, a worker that comes late has them too, and they are renewed in one
place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import dask
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

from geodes_lab import credentials
from geodes_lab.cluster import dashboard_gate
from geodes_lab.credentials import KINDS, Kind, Secret
from geodes_lab.errors import GeodesError

TOPIC = "geodes-lab-wanted"
"""Under which the scheduler tells the kernel that a key will not do."""

_SECONDS = 30.0  # for which a worker waits for a key that is good


class Desk(SchedulerPlugin):
    """Where keys are lent; lives in the scheduler."""

    name = "geodes-lab-keys"

    async def start(self, scheduler: Any) -> None:
        """Called when it comes to the scheduler."""
        self._lent: dict[str, dict[str, Any] | None] = {}
        self._refused: set[tuple[str, int]] = set()
        self._changed = asyncio.Condition()
        self._scheduler = scheduler
        scheduler.handlers |= {"geodes_lab_lend": self._lend, "geodes_lab_borrow": self._borrow}

    async def _lend(
        self, kind: str, values: dict[str, str] | None, left: float | None, mark: int, instead_of: int
    ) -> None:
        """The kernel has a key, or another one instead of one that would not do, or none."""
        ends = None if left is None else time.time() + left
        async with self._changed:
            self._lent[kind] = None if values is None else {"values": values, "ends": ends, "mark": mark}
            self._refused.discard((kind, instead_of))
            self._changed.notify_all()

    async def _borrow(self, kind: str, stale: int) -> dict[str, Any] | None:
        """A worker needs a key, another one than that of a mark."""
        if self._is_stale(kind, stale):
            self._refused.add((kind, stale))
            self._scheduler.log_event(TOPIC, {"kind": kind, "mark": stale})
        async with self._changed:
            answered = self._changed.wait_for(
                lambda: kind in self._lent and not (self._is_stale(kind, stale) and (kind, stale) in self._refused)
            )
            await asyncio.wait_for(answered, _SECONDS)
        held = self._lent[kind]
        if held is None:
            return None
        return {"values": held["values"], "left": None if held["ends"] is None else held["ends"] - time.time()}

    def _is_stale(self, kind: str, stale: int) -> bool:
        held = self._lent.get(kind)
        return held is not None and stale == held["mark"]


class Borrower(WorkerPlugin):
    """Lets a worker borrow, and gives it the settings of the kernel; lives in each worker.

    Parameters
    ----------
    settings
        Those of ``geodes_lab``: they have no secrets.
    """

    name = "geodes-lab-worker"
    idempotent = False

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def setup(self, worker: Any) -> None:
        """Called when it comes to the worker, or takes the place of an older one."""
        dask.config.set({"geodes_lab": self._settings})
        # Its pages tell anybody at its port what it computes, a list of them whatever their prefix: nobody has the path
        # of this gate.
        dashboard_gate.close(worker)
        if not getattr(worker, "_geodes_lab_borrows", False):
            worker._geodes_lab_borrows = True
            credentials.lend_by(lambda kind, stale: _borrowed(worker, kind, stale))


def _borrowed(worker: Any, kind: Kind, stale: int | None) -> Secret | None:
    if threading.get_ident() == worker.thread_id:
        return None  # in the worker's own loop nobody can wait for it
    asked = worker.scheduler.geodes_lab_borrow(kind=kind, stale=stale or 0)
    try:
        lent = asyncio.run_coroutine_threadsafe(asked, worker.loop.asyncio_loop).result(_SECONDS + 5)
    except Exception as error:
        raise GeodesError(
            f"The kernel did not send the key {kind} to its workers ({type(error).__name__}): check that the kernel "
            "still runs, and compute again."
        ) from None
    if lent is None:
        return None
    return Secret(lent["values"], None if lent["left"] is None else time.time() + lent["left"])


class CredentialForwarding:
    """The kernel's side: lends what it has, and another one before it ends or when it will not do.

    Parameters
    ----------
    client
        Of the cluster; its scheduler has a `Desk`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._marks: dict[Kind, tuple[int, float] | None] = {}

    async def renew(self) -> None:
        """Lend what is new; called each second in the client's loop. Sources are asked in a thread."""
        for kind in KINDS:
            before = self._marks.get(kind)
            standing = credentials.standing(kind)
            is_due = before is None or time.time() >= before[1] or standing not in (0, before[0])
            if kind in self._marks and not (credentials.known(kind) if before is None else is_due):
                continue
            await self._lend(kind, 0, await asyncio.to_thread(_asked, kind))

    async def replace(self, kind: Kind, mark: int) -> None:
        """Lend another one instead of one that a server refused; the same, if there is no other."""
        await asyncio.to_thread(_other, kind, mark)
        await self._lend(kind, mark, await asyncio.to_thread(_asked, kind))

    async def _lend(self, kind: Kind, instead_of: int, secret: Secret | None) -> None:
        scheduler = self._client.scheduler
        if scheduler is None:  # the client was closed while a source was asked
            return
        await scheduler.geodes_lab_lend(
            kind=kind,
            values=None if secret is None else dict(secret),
            left=None if secret is None or secret.expires is None else secret.left,
            mark=0 if secret is None else secret.mark,
            instead_of=instead_of,
        )
        self._marks[kind] = None if secret is None else (secret.mark, max(secret.due, time.time() + 0.5))


def _asked(kind: Kind) -> Secret | None:
    """The kernel's own; None where its source fails too: a worker then says that there is none, when it needs it."""
    try:
        return credentials.current(kind)
    except GeodesError:
        return None


def _other(kind: Kind, mark: int) -> None:
    try:
        credentials.refused(kind, mark)
    except GeodesError:
        return
