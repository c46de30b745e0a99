"""How many examples Hypothesis draws: a third of them, always the same, in `make test`; all, and others each time, in `make test-all`."""

from __future__ import annotations

import os


def examples(number: int) -> int:
    """Return the number to draw now, of those that a property is tried with in `make test-all`."""
    return number if os.environ.get("GEODES_LAB_EXAMPLES") == "search" else max(number // 3, 5)
