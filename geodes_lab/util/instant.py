"""Instants of Items: converted to UTC; an instant without an offset is UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol


class Dated(Protocol):
    """An object with times as Items have them, such as a `pystac.Item`."""

    datetime: datetime | None
    properties: Any


def utc(told: Any) -> datetime | None:
    """Read an instant.

    Parameters
    ----------
    told
        Text in RFC 3339 or ISO 8601, or a datetime.

    Returns
    -------
    datetime.datetime or None
        In UTC; None if the value is not a time, because an Item may contain anything.
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
    """Return the instant that represents an Item: its ``datetime``, else the begin of its interval, else the end.

    None if it has none.
    """
    properties: Mapping[str, Any] = item.properties
    times = (item.datetime, *(properties.get(name) for name in ("start_datetime", "end_datetime")))
    return next((time for time in map(utc, times) if time is not None), None)


def normalize(properties: dict[str, Any]) -> None:
    """Write the times of an Item's interval in UTC, if they have another offset."""
    for name in ("start_datetime", "end_datetime"):
        value = properties.get(name)
        if (time := utc(value)) is not None and not (isinstance(value, str) and value.endswith("Z")):
            properties[name] = text(time)
