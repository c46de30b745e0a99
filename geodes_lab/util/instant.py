"""Instants of Items: whatever offset they are told in, they are UTC here; what is told without one is UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol


class Dated(Protocol):
    """What has a time as Items have it: a `pystac.Item` is one, and so is less than that."""

    datetime: datetime | None
    properties: Any


def utc(told: Any) -> datetime | None:
    """Read an instant.

    Parameters
    ----------
    told
        A text, as RFC 3339 or ISO 8601 write it, or a datetime.

    Returns
    -------
    datetime.datetime or None
        In UTC; None where it is none: an Item may say anything, and what is no time says none.
    """
    try:
        time = told if isinstance(told, datetime) else datetime.fromisoformat(told.strip().upper())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def text(time: datetime) -> str:
    """Write an instant of UTC as STAC does."""
    return f"{time.replace(tzinfo=None).isoformat()}Z"


def begin(item: Dated) -> datetime | None:
    """The instant that stands for an Item: its ``datetime``, else the begin of its interval, else the end.

    None if it has none.
    """
    properties: Mapping[str, Any] = item.properties
    told = (item.datetime, *(properties.get(name) for name in ("start_datetime", "end_datetime")))
    return next((time for time in map(utc, told) if time is not None), None)


def normalize(properties: dict[str, Any]) -> None:
    """Write the times of an Item's interval in UTC, where they are told otherwise."""
    for name in ("start_datetime", "end_datetime"):
        told = properties.get(name)
        if (time := utc(told)) is not None and not (isinstance(told, str) and told.endswith("Z")):
            properties[name] = text(time)
