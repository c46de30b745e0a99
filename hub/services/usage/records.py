"""What the accounts record and sum up: a running server, the use in a month, and the month itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal


@dataclass(frozen=True)
class Use:
    """The usage in a month."""

    core_hours: float = 0.0
    memory_hours: float = 0.0
    """GiB × hours."""
    read: int = 0
    """Bytes."""
    storage: int | None = None
    """Bytes, at the last measurement; None: the home was not measured yet."""


@dataclass(frozen=True)
class Item:
    """What a person used in a month while in certain groups, of one kind: what has one price."""

    person: str
    """Empty where the name is no longer stored."""
    groups: tuple[str, ...]
    kind: Literal["server", "storage", "read"]
    size: str = ""
    """Of servers."""
    hours: float = 0.0
    """Of servers: how long they ran, together."""
    core_hours: float = 0.0
    memory_hours: float = 0.0
    byte_days: int = 0
    """Of storage: the bytes of each day, together."""
    read: int = 0
    """Bytes."""


@dataclass(frozen=True)
class Session:
    """A running server."""

    person: str
    server: str
    started: datetime
    profile: str
    cores: float
    memory: int
    groups: tuple[str, ...]


def span(month: str) -> tuple[datetime, datetime]:
    """Return a month's first moment, and that of the next month.

    Raises
    ------
    ValueError
        If it is not a month.
    """
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def this_month(now: datetime) -> str:
    """Return the current month."""
    return now.astimezone(UTC).strftime("%Y-%m")
