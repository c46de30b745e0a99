"""Workers that die say why, to the person who waits: how much memory they had, and what they were at."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from dask.utils import format_bytes, key_split
from distributed import Nanny
from distributed.diagnostics.plugin import SchedulerPlugin

TOPIC = "geodes-lab-deaths"
"""Under which the scheduler tells."""

_READS = re.compile(r"read-(?P<variable>.+)-[0-9a-f]{8,}")  # `mosaic.Mosaic.layer`
_NEAR = 5_000  # tasks that are looked at to name what was computed
_MOST = 0.7  # of its memory: a worker that died with more died of it, if nobody has said anything else


class Witness(SchedulerPlugin):
    """Sees workers go, and tells the clients; lives in the scheduler."""

    name = "geodes-lab-witness"

    async def start(self, scheduler: Any) -> None:
        """Called when it comes to the scheduler."""
        self._scheduler, self._known = scheduler, dict(scheduler.workers)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Remember a worker: of one that is gone the scheduler knows nothing any more."""
        self._known[worker] = scheduler.workers[worker]

    def transition(self, key: Any, start: Any, finish: Any, *arguments: Any, **said: Any) -> None:
        """Tell that a task is given up, before its client hears that it has failed."""
        if finish == "erred" and start == "processing" and said.get("worker") in self._known:
            worker = said["worker"]
            if worker not in self._scheduler.workers:  # it did not fail: its worker went
                self._tell(worker, [key], given_up=str(key))

    def remove_worker(self, scheduler: Any, worker: str, **said: Any) -> None:
        """Tell that a worker is gone, if nobody wanted it to go."""
        for _, event in reversed(scheduler.get_events("all")):
            if event.get("action") == "remove-worker" and event.get("worker") == worker:
                again = [
                    k for k in event["processing-tasks"] if k in scheduler.tasks and scheduler.tasks[k].state != "erred"
                ]
                if again and not event["expected"]:
                    self._tell(worker, again)
                break
        self._known.pop(worker, None)

    def _tell(self, worker: str, keys: Iterable[Any], given_up: str = "") -> None:
        one = self._known[worker]
        killed = [e for _, e in self._scheduler.get_events("worker-restart-memory") if e["worker"] == worker]
        memory = killed[-1]["rss"] if killed else max(int(one.metrics.get("memory", 0)), _ended_at(one))
        event = {
            "worker": str(one.name),
            "memory": memory,
            "limit": int(one.memory_limit or 0),
            "of_memory": bool(killed) or (one.memory_limit or 0) * _MOST < memory,
            "at": self._named(keys),
            "given_up": given_up,
            "tries": self._scheduler.allowed_failures + 1,
            "workers": len(self._known),
        }
        self._scheduler.log_event(TOPIC, event)

    def _named(self, keys: Iterable[Any]) -> str:
        """What tasks were at, for people: the step, and how many dates of which bands it has before it."""
        steps: dict[str, None] = {}
        dates: dict[str, set[Any]] = {}
        for key in keys:
            task = self._scheduler.tasks.get(key)
            if task is None:
                continue
            own = _READS.fullmatch(_layer(key))
            steps[f"reading {own['variable']}" if own else f"computing {key_split(key).partition('-')[0]}"] = None
            seen, waiting = {task}, deque([] if own else [task])
            while waiting and len(seen) < _NEAR:
                for before in waiting.popleft().dependencies:
                    if before in seen:
                        continue
                    seen.add(before)
                    if layer := _READS.fullmatch(_layer(before.key)):
                        dates.setdefault(layer["variable"], set()).add(before.key[1])
                    else:
                        waiting.append(before)
        what = " and ".join(list(steps)[:2]) or "computing"
        if not dates:
            return what
        most = max(map(len, dates.values()))
        return f"{what} from {most} date{'s' * (most > 1)} of {', '.join(sorted(dates))}"


def _ended_at(worker: Any) -> int:
    """Return the bytes above which its nanny ended a worker; 0: it did not, or the nanny is elsewhere.

    The nanny tells the scheduler, but on a busy machine the scheduler sees the end of the worker before it.
    """
    managers = [nanny.memory_manager for nanny in list(Nanny._instances) if nanny.memory_manager is not None]
    ended = [m for m in managers if m._last_terminated_pid == worker.pid]
    return int((ended[0].memory_terminate_fraction or 0) * (worker.memory_limit or 0)) if ended else 0


def sentence(event: dict[str, Any], place: str) -> str:
    """Say what happened, and what to do.

    Parameters
    ----------
    event
        What a `Witness` told.
    place
        ``local``, ``gateway`` or ``slurm``.
    """
    tries = event["tries"]
    many = (
        f"Its work was stopped after {tries} worker{'s' * (tries > 1)} failed with it. "
        if event["given_up"]
        else "Another worker repeats its work. "
    )
    if not event["of_memory"]:
        return (
            f"A worker was lost while {event['at']}, at {format_bytes(event['memory'])} of {_limit(event)}; memory "
            f"was not the reason. {many}If it happens again, tell the operator of the lab."
        )
    if place != "local":
        larger = "take larger workers (gl.attach(memory=…))"
    elif event["workers"] > 1:
        larger = "take fewer, larger workers (gl.attach(workers=1)), or a larger profile of the server"
    else:
        larger = "take a larger profile of the server"
    return (
        f"A worker was killed at {format_bytes(event['memory'])} of {_limit(event)} while {event['at']}. {many}Use "
        f"smaller chunks (chunks={{'y': 1024, 'x': 1024}} in gl.open_cube, or fewer dates at once), or {larger}; "
        "gl.plan estimates the memory that a result needs."
    )


def _limit(event: dict[str, Any]) -> str:
    return format_bytes(event["limit"]) if event["limit"] else "no limit"


def _layer(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)
