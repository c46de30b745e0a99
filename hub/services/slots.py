"""Places that somebody takes and gives back: a few for each person, in all processes of a service together."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading

_MOST = 256


class Slots:
    """So many places for each person.

    Between processes, a place is the lock of one byte of a file that they have in common: nothing is written, to take
    one costs a microsecond, and the system gives back what a process had when it ends, however that happens.

    Parameters
    ----------
    of
        What they are for: others than those of another name. A process has one object for each name.
    shared
        The descriptor of the common file (`hub.services.processes.shared`); None: there is one process.
    """

    def __init__(self, of: str, shared: int | None = None) -> None:
        self._of, self._shared = of, shared
        self._guard = threading.Lock()
        self._taken: dict[str, set[int]] = {}

    def take(self, who: str, most: int) -> int | None:
        """Take a place of a person; return its number. None: all ``most`` places are taken."""
        if not 0 < most <= _MOST:
            raise ValueError(f"There are 1 to {_MOST} places, not {most}.")
        with self._guard:
            own = self._taken.get(who, set())
            free = (n for n in range(most) if n not in own)
            slot = next((n for n in free if self._locked(who, n)), None)
            if slot is not None:
                self._taken.setdefault(who, own).add(slot)
            return slot

    def give(self, who: str, slot: int) -> None:
        """Give a place back."""
        with self._guard:
            own = self._taken[who]
            own.remove(slot)
            if not own:
                del self._taken[who]
            if self._shared is not None:
                fcntl.lockf(self._shared, fcntl.LOCK_UN, 1, self._place(who, slot), os.SEEK_SET)

    def _locked(self, who: str, slot: int) -> bool:
        if self._shared is None:
            return True
        try:
            fcntl.lockf(self._shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._place(who, slot), os.SEEK_SET)
        except OSError:  # another process has it
            return False
        return True

    def _place(self, who: str, slot: int) -> int:
        mark = hashlib.sha256(f"{self._of}\0{who}".encode()).digest()[:6]
        return int.from_bytes(mark) * _MOST + slot
