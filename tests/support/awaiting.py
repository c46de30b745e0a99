"""Waiting for what another process does, which cannot call us."""

from __future__ import annotations

import time
from collections.abc import Callable


def awaited(what: Callable[[], object], seconds: float = 120) -> object:
    """Give what it gives, as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found
