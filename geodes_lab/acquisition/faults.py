"""Named points between two steps: a test ends the process at each of them, and looks at what is left."""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "look.answered",
    "look.recorded",
    "look.acknowledged",
    "work.taken",
    "fetch.begun",
    "fetch.whole",
    "verify.done",
    "store.begun",
    "store.copied",
    "store.named",
    "store.recorded",
    "catalogue.begun",
    "catalogue.written",
    "catalogue.recorded",
    "news.taken",
    "news.sent",
    "convert.taken",
    "convert.written",
    "convert.recorded",
    "retention.hidden",
    "retention.removed",
)
"""In the order in which a product passes them."""


def _nothing(point: str) -> None:
    pass


on_reach: Callable[[str], None] = _nothing
"""Called at each point; a test puts something else here."""


def reach(point: str) -> None:
    """Say that a point is reached."""
    assert point in POINTS, point
    on_reach(point)
