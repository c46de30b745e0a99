"""The order of changes to the results: one change at a time for each person, so that nobody keeps the others out."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from fastapi import HTTPException

_WAITING = 8  # running and waiting changes of one person: each occupies a thread of the service
_SECONDS = 60.0


class Turns:
    """The running and waiting changes."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._locks: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def of(self, person: str) -> Iterator[None]:
        """Wait until this person's other changes are complete.

        Raises
        ------
        HTTPException
            If too many of them are waiting, or they take too long.
        """
        with self._guard:
            if self._asked[person] >= _WAITING:
                raise _again(f"You already have {_WAITING} requests in progress that change your results")
            self._asked[person] += 1
            lock = self._locks.setdefault(person, threading.Lock())
        try:
            if not lock.acquire(timeout=_SECONDS):
                raise _again(f"Another of your changes takes longer than {_SECONDS:g} s")
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                self._asked[person] -= 1
                if not self._asked[person]:
                    del self._asked[person], self._locks[person]


def _again(why: str) -> HTTPException:
    return HTTPException(429, f"{why}: wait, then send this request again.", headers={"Retry-After": "1"})
