"""Copies a service's catalogue into files beside the data.

What was published since the last time, in windows of time.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from geodes_lab.catalog.catalogue import named
from geodes_lab.catalog.harvested.partitions import merged
from geodes_lab.catalog.harvested.snapshot import Collection, Snapshot, alone, moment
from geodes_lab.catalog.harvested.staging import Staging
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.remote.geodes import Geodes
from geodes_lab.errors import GeodesError

_WINDOW = 8_000  # Items that are requested together: deeper pages are slow, and the catalogue grows meanwhile
_FIRST = datetime(2014, 1, 1, tzinfo=UTC)  # nothing was published earlier
_PARTS = "parts"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """The result of the harvest of one collection."""

    collection: str
    found: int
    """Items that were new or newer."""
    total: int
    """Items in the harvest now."""
    counted: int
    """Items that the service counts.

    If it differs from ``total``, Items were removed there, or changed without a new publication.
    """


def harvest(
    catalogue: Geodes,
    folder: Path,
    collections: Sequence[str],
    *,
    anew: bool = False,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Bring a folder up to date with a catalogue.

    Parameters
    ----------
    catalogue
        The service.
    folder
        Created if needed. Searches can continue: they see the old state of a collection until its harvest is complete.
    collections
        Their ids.
    anew
        Whether everything is downloaded again, not only what was published since the last time. A product can stop
        being the latest version without a publication, so do this from time to time.
    tell
        Called with the collection, the number of Items so far, and the service's count.

    Returns
    -------
    list of Outcome
        An interrupted harvest continues where it stopped.

    Raises
    ------
    GeodesError
        If the service fails, another harvest uses the folder, or the folder belongs to another profile.
    """
    for name in collections:
        named(name)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, "Another harvest is running"), _without_collector():
        before = Snapshot.load(folder)
        if before.source not in ("", catalogue.profile.url):
            raise GeodesError(f"{folder} was harvested from {before.source}: give another folder.")
        titles = {c.id: c.title for c in catalogue.collections()}
        return [_one(catalogue, folder, name, titles.get(name, ""), anew, tell) for name in collections]


def _one(
    catalogue: Geodes, folder: Path, name: str, title: str, anew: bool, tell: Callable[[str, int, int], None]
) -> Outcome:
    before = Snapshot.load(folder)
    known = before.collections.get(name, Collection())
    parts = Staging(folder / _PARTS / (f"{name}-anew" if anew else name))
    last = None if anew or not known.published else datetime.fromisoformat(known.published)
    since, until = parts.done or last or _FIRST, datetime.now(UTC)
    query = Query((name,), latest=False, sortby=(("published", False), ("id", False)))
    counted, done = catalogue.count(_published(query, since, until)), 0
    for records, end in _ahead(_fetched(catalogue, query, _windows(catalogue, query, since, until, counted))):
        parts.add(records, end)
        done += len(records)
        tell(name, min(done, counted), counted)
    parts.flush()
    after = merged(before, name, title, parts, anew=anew)
    replace(after, source=catalogue.profile.url, taken=moment(datetime.now(UTC))).save()
    after.tidy()
    parts.clear()
    total = sum(f.rows for f in after.files if f.collection == name)
    return Outcome(name, done, total, catalogue.count(query))


def _fetched(
    catalogue: Geodes, query: Query, windows: Iterator[tuple[datetime, datetime, int]]
) -> Iterator[tuple[list[dict[str, Any]], datetime]]:
    for start, end, there in windows:
        yield (catalogue.records(_published(query, start, end)) if there else []), end


def _ahead(several: Iterator[_T]) -> Iterator[_T]:
    """Yield the same values; the next one is computed while the last is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, several, None)
        while (one := coming.result()) is not None:
            coming = pool.submit(next, several, None)
            yield one


def _published(query: Query, start: datetime, end: datetime) -> Query:
    """Restrict a query to the publications of a time, including its end.

    A duplicate Item is harmless, but an Item between two windows would be lost.
    """
    return replace(query, filters={"published": (start, end)})


def _windows(
    catalogue: Geodes, query: Query, start: datetime, end: datetime, there: int
) -> Iterator[tuple[datetime, datetime, int]]:
    """Halve a time until each part has few enough Items; in order, so that an interrupted harvest can continue."""
    if there <= _WINDOW or end - start <= timedelta(seconds=1):
        yield start, end, there
        return
    middle = start + (end - start) / 2
    first = catalogue.count(_published(query, start, middle))
    yield from _windows(catalogue, query, start, middle, first)
    # Publications at the middle itself are counted twice: windows may be too small, but never too large.
    yield from _windows(catalogue, query, middle, end, max(there - first, 1) if there > first else 0)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Turn off the garbage collector: Items are trees without cycles, and the search for cycles doubles the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
