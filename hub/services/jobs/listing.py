"""The list of a person's jobs, with the parameters of OGC API – Processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from geodes_lab.batch.request import PLAN
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.tables import jobs
from geodes_lab.batch.store.writing import COLUMNS, Store
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant

MOST = 1000
STATES = ("accepted", "running", "successful", "failed", "dismissed")
_j = jobs.c
_KNOWN = ("limit", "offset", "type", "processID", "status", "datetime", "minDuration", "maxDuration", "f")


def listed(store: Store, person: str, query: Mapping[str, str], lists: Mapping[str, list[str]]) -> list[Record]:
    """Return the newest jobs first, and one more than asked for, if there is one.

    Parameters
    ----------
    store, person
        Whose jobs.
    query
        The parameters of the request.
    lists
        The same, each with all its values.

    Raises
    ------
    GeodesError
        A parameter that is not known, or cannot be.
    """
    for name in query:
        if name not in _KNOWN:
            raise GeodesError(f"The list of jobs has no parameter {name[:40]!r}: it has {', '.join(_KNOWN[:-1])}.")
    limit, offset = whole(query, "limit", 100, 1), whole(query, "offset", 0, 0)
    where: list[Any] = [_j.person == person, _j.process != PLAN]
    if "type" in query:
        where.append(sa.true() if "process" in _split(lists["type"]) else sa.false())
    if "processID" in query:
        where.append(_j.process.in_(_split(lists["processID"])))
    if "status" in query:
        states = _split(lists["status"])
        if wrong := set(states) - set(STATES):
            raise GeodesError(f"status cannot be {sorted(wrong)[0][:40]!r}: it is one of {', '.join(STATES)}.")
        where.append(_j.state.in_(states))
    if "datetime" in query:
        where += _in_time(query["datetime"])
    lasted = sa.func.coalesce(_j.finished, store.clock()) - _j.started
    if "minDuration" in query:
        where.append(lasted >= whole(query, "minDuration", 0, 0))
    if "maxDuration" in query:
        where.append(lasted <= whole(query, "maxDuration", 0, 0))
    order = sa.select(*COLUMNS).where(*where).order_by(_j.created.desc(), _j.id)
    with store.database.read() as c:
        return [Record(**row._mapping) for row in c.execute(order.limit(min(limit, MOST) + 1).offset(offset))]


def whole(query: Mapping[str, str], name: str, default: int, least: int) -> int:
    """Return a parameter that is a whole number."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        raise GeodesError(f"{name} cannot be {text[:40]!r}: it is a whole number from {least} on.")
    return int(text)


def _split(several: list[str]) -> list[str]:
    return [part for text in several for part in text.split(",")][:100]


def _in_time(text: str) -> list[Any]:
    begin, _, end = text.partition("/")
    bounds = []
    for part in (begin, end if "/" in text else begin):
        moment = None if part in ("", "..") else instant.utc(part[:40])
        if moment is None and part not in ("", ".."):
            raise GeodesError(f"datetime cannot be {text[:80]!r}: it is a time of RFC 3339, or two with / between.")
        bounds.append(moment.timestamp() if moment is not None else math.nan)
    first, last = bounds
    where = [] if math.isnan(first) else [_j.created >= math.floor(first)]
    return where if math.isnan(last) else [*where, _j.created < math.floor(last) + 1]
