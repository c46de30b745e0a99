"""Periods: a year or an interval, and the parts that a frequency of pandas makes of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pandas as pd

from geodes_lab.errors import GeodesError
from geodes_lab.util import instant

MOST = 10_000
"""Parts of a period."""
_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_EVERY = re.compile(r"\d{0,4}(?:MS|YS|QS|W|D|h)")


def interval(period: str) -> tuple[datetime, datetime]:
    """Read a period.

    Parameters
    ----------
    period
        A year, a month or a day (``2021``, ``2021-06``), or two of them with ``/`` between: the second one is included.
        Instants are possible too; a second one is then excluded.

    Returns
    -------
    tuple of datetime
        The begin, and the end, which is excluded; UTC.

    Raises
    ------
    GeodesError
        If it is none of these.
    """
    first, slash, last = str(period).partition("/")
    try:
        begin = _bounds(first.strip())[0]
        finish = _bounds((last if slash else first).strip())[1]
    except ValueError:
        raise GeodesError(
            f"period={period!r} is not a period: write '2021', '2021-06' or '2021-06-01/2021-08-31'."
        ) from None
    if not begin < finish:
        raise GeodesError(f"period={period!r} ends before it begins.")
    return begin, finish


def _bounds(text: str) -> tuple[datetime, datetime]:
    if (match := _DAY.fullmatch(text)) is None:
        moment = instant.utc(text)
        if moment is None:
            raise ValueError(text)
        return moment, moment
    year, month, day = (int(g) if g else None for g in match.groups())
    assert year is not None
    begin = datetime(year, month or 1, day or 1, tzinfo=UTC)
    step = {"days": 1} if day else {"months": 1} if month else {"years": 1}
    return begin, (pd.Timestamp(begin) + pd.DateOffset(**step)).to_pydatetime()


def parts(period: str, every: str | None) -> list[tuple[str, str]]:
    """Split a period.

    Parameters
    ----------
    period
        See `interval`.
    every
        A frequency of pandas: ``1MS`` (months), ``10D``, ``W``, ``QS``, ``YS``. None: one part.

    Returns
    -------
    list of tuple of str
        Begin and end of each part, RFC 3339 in UTC; the end is excluded.

    Raises
    ------
    GeodesError
        If the frequency is not known, or there are more than `MOST` parts.
    """
    begin, finish = interval(period)
    if every is None:
        edges = [begin, finish]
    else:
        if not isinstance(every, str) or not _EVERY.fullmatch(every) or every.startswith("0"):
            raise GeodesError(f"every={every!r} is not a frequency: write '1MS' for months, '10D', 'W', 'QS' or 'YS'.")
        offset: Any = pd.tseries.frequencies.to_offset(every)
        steps = pd.date_range(begin, finish, freq=offset) if _few(begin, finish, offset) else []
        inner = [e.to_pydatetime() for e in steps if begin < e < finish]
        edges = [begin, *inner, finish]
    if len(edges) > MOST or (every is not None and not _few(begin, finish, offset)):
        raise GeodesError(f"period={period!r} has more than {MOST} parts of {every}: choose a longer every=.")
    return [(instant.text(a), instant.text(b)) for a, b in pairwise(edges)]


def _few(begin: datetime, finish: datetime, offset: Any) -> bool:
    """Whether there are not too many parts, by the length of the first few."""
    there = begin + 20 * offset
    return bool((finish - begin) / max((there - pd.Timestamp(begin)) / 20, pd.Timedelta(1)) < MOST)
