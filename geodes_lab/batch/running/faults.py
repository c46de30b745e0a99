"""Named points between two steps: a test ends the process at each of them, and looks at what is left."""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "unit.taken",
    "unit.begun",
    "unit.computed",
    "unit.recorded",
    "end.taken",
    "end.described",
    "end.published",
    "end.recorded",
)
"""In the order in which a job passes them."""


def _nothing(point: str) -> None:
    pass


on_reach: Callable[[str], None] = _nothing
"""Called at each point; a test puts something else here."""


def reach(point: str) -> None:
    """Say that a point is reached."""
    assert point in POINTS, point
    on_reach(point)
