"""What becomes of a unit that was not done: whether it is tried again, when, and in what words it is told."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from geodes_lab.batch import remote
from geodes_lab.batch.request import Impossible
from geodes_lab.batch.store.leases import Task
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import DatabaseUnusable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM = 60.0  # seconds until a unit is tried again that found the disk full
_ASK = 5.0  # seconds until another service is asked again
_LONGEST = 3600.0  # seconds between two attempts


@dataclass(frozen=True)
class Verdict:
    """What becomes of a unit that was not done."""

    why: str
    pause: float | None = None
    """Seconds until it is tried again; None: never."""
    counts: bool = True
    """Whether it was one of its attempts."""


def verdict(task: Task, error: Exception, attempts: int, pause: float) -> Verdict:
    """Decide what becomes of a unit.

    Parameters
    ----------
    task
        The unit.
    error
        Why it was not done.
    attempts
        How often a unit is tried.
    pause
        Seconds before the second attempt; then always twice as long.
    """
    why = f"{task.unit.said()}: {_reason(error)}"
    if _is_full(error):
        why = f"{task.unit.said()}: the disk is full, or your quota is used up; it goes on when there is room."
        return Verdict(why, min(_NO_ROOM, pause * 6), counts=False)
    if isinstance(error, remote.StillRunning):
        return Verdict(why, max(pause, _ASK), counts=False)
    if isinstance(error, DatabaseUnusable):
        return Verdict(why, 0.0, counts=False)
    if _can_pass(error) and task.attempts + 1 < attempts:
        return Verdict(why, min(pause * 2**task.attempts, _LONGEST))
    return Verdict(why)


def _is_full(error: BaseException | None) -> bool:
    """Whether the disk was full, said by the error or by its cause."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def _can_pass(error: Exception) -> bool:
    """Whether the same may work later: an archive does not answer, a worker died. A fault of the process stays."""
    return isinstance(error, (GeodesError, OSError, TimeoutError, MemoryError)) and not isinstance(error, Impossible)


def _reason(error: Exception) -> str:
    if isinstance(error, GeodesError):
        return str(error)
    line: Any = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
