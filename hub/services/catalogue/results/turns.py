"""The order of changes to the results: one change at a time for each person, so that nobody keeps the others out."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from fastapi import HTTPException

from hub.services.slots import Slots

_WAITING = 8  # running and waiting changes of one person: each occupies a thread of the service
_SECONDS = 60.0
_LOOK = 0.01  # seconds between two looks whether another process has ended its change


class Turns:
    """The running and waiting changes, of all processes of the service.

    Parameters
    ----------
    shared
        What the processes have in common (`hub.services.processes.shared`).
    """

    def __init__(self, shared: int | None = None) -> None:
        self._guard = threading.Lock()
        self._places, self._turn = Slots("changes", shared), Slots("the turn", shared)
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def of(self, person: str) -> Iterator[None]:
        """Wait until this person's other changes are complete.

        Raises
        ------
        HTTPException
            If too many of them are waiting, or they take too long.
        """
        place = self._places.take(person, _WAITING)
        if place is None:
            raise _again(f"You already have {_WAITING} requests in progress that change your results")
        try:
            end = time.monotonic() + _SECONDS
            with self._first_here(person), self._first_of_all(person, end):
                yield
        finally:
            self._places.give(person, place)

    @contextlib.contextmanager
    def _first_here(self, person: str) -> Iterator[None]:
        """Wait for the other threads of this process."""
        with self._guard:
            lock, waiting = self._locks.get(person, (threading.Lock(), 0))
            self._locks[person] = lock, waiting + 1
        try:
            if not lock.acquire(timeout=_SECONDS):
                raise _again(_TOO_LONG)
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                waiting = self._locks[person][1] - 1
                self._locks[person] = lock, waiting
                if not waiting:
                    del self._locks[person]

    @contextlib.contextmanager
    def _first_of_all(self, person: str, end: float) -> Iterator[None]:
        """Wait for the other processes."""
        while (turn := self._turn.take(person, 1)) is None:
            if time.monotonic() >= end:
                raise _again(_TOO_LONG)
            time.sleep(_LOOK)
        try:
            yield
        finally:
            self._turn.give(person, turn)


_TOO_LONG = f"Another of your changes takes longer than {_SECONDS:g} s"


def _again(why: str) -> HTTPException:
    return HTTPException(429, f"{why}: wait, then send this request again.", headers={"Retry-After": "1"})
