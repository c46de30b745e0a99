"""What happened to each product of each cube in this process: windows read, filled, and why."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

_REASONS = 3  # reasons that are kept for each product: a broken one fails a thousand times in the same way


@dataclass
class Entry:
    """One product of one cube."""

    read: int = 0
    """Windows read, over all bands."""
    filled: int = 0
    """Windows that could not be read and were filled."""
    reasons: list[str] = field(default_factory=list)
    """Why windows were filled: the first few messages."""

    def add(self, other: Entry) -> None:
        """Add the counts of another process."""
        self.read += other.read
        self.filled += other.filled
        self.reasons = list(dict.fromkeys([*self.reasons, *other.reasons]))[:_REASONS]


_entries: dict[tuple[str, str], Entry] = {}
_lock = threading.Lock()


def note(cube: str, product: str, reason: str | None = None) -> None:
    """Record a window that was read, or filled for a reason.

    Parameters
    ----------
    cube
        The token of the cube.
    product
        The product's name.
    reason
        Why the window could not be read; None: it was read.
    """
    one = Entry(1) if reason is None else Entry(0, 1, [reason])
    with _lock:
        _entries.setdefault((cube, product), Entry()).add(one)


def of(cubes: set[str]) -> dict[str, Entry]:
    """Return the entries of this process for some cubes, by product."""
    entries: dict[str, Entry] = {}
    with _lock:
        for (cube, product), entry in _entries.items():
            if cube in cubes:
                entries.setdefault(product, Entry()).add(entry)
    return entries
