"""A catalogue that was harvested into files beside the data.

Searched with DuckDB, without a server and without pages.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pystac

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.harvested import rows, statement
from geodes_lab.catalog.harvested.engine import Engine, Limits
from geodes_lab.catalog.harvested.newest import NewestSnapshot
from geodes_lab.catalog.harvested.quarantine import Quarantine
from geodes_lab.catalog.harvested.snapshot import File, Snapshot
from geodes_lab.catalog.harvested.statement import Group
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from geodes_lab.util.pystac_safe import roots as pystac_roots

_DATED = re.compile(r"_(\d{8})T\d{6}", re.ASCII)  # the first time in a Sentinel product's name is its acquisition
_SMALL = 50_000  # rows of the files of a search that one core looks at
_AGAIN = 4  # attempts of a search whose files are replaced meanwhile


@dataclass(frozen=True)
class Page:
    """Some of the Items that a query finds, in its order."""

    records: list[dict[str, Any]]
    """The Items; fewer than its limit if they are large, or damaged."""
    after: int
    """The position of the next page."""
    matched: int | None
    """How many Items match the query, if the page tells: it is not full. None: `Index.count` finds out."""


@dataclass(frozen=True)
class Index:
    """The catalogue of one profile, whose ``url`` is the folder."""

    profile: Profile
    beside: tuple[Path, ...] = ()
    """More folders of the same form, searched together with it; if two collections have one name, the first is used."""
    limits: Limits = field(default_factory=Limits)
    quarantine: Quarantine | None = None
    """Leaves out what is damaged; without it, damage is an error."""

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return self.profile.name

    @property
    def snapshot(self) -> Snapshot:
        """Return the present snapshot; the file is read, because a harvest may have replaced it."""
        return self._kept[0].now()

    @property
    def snapshots(self) -> list[Snapshot]:
        """Return the snapshots of all its folders."""
        return [k.now() for k in self._kept]

    @cached_property
    def _kept(self) -> list[NewestSnapshot]:
        return [
            NewestSnapshot(f, forgiving=self.quarantine is not None)
            for f in (Path(self.profile.url).expanduser(), *self.beside)
        ]

    @cached_property
    def _engine(self) -> Engine:
        return Engine(tuple(k.folder for k in self._kept), self.limits)

    def ids(self) -> Sequence[str]:
        """Return the ids of its collections."""
        return list(dict.fromkeys(n for s in self.snapshots for n in s.collections))

    def collections(self) -> list[Collection]:
        """Return all of its collections."""
        result = []
        snapshot = self.snapshot
        for name, collection in snapshot.collections.items():
            files = [f for f in snapshot.files if f.collection == name]
            start = min((f.start for f in files), default=None)
            end = max((f.end for f in files), default=None)
            result.append(Collection(name, collection.title, _time(start), _time(end), sum(f.rows for f in files)))
        return result

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """Return the properties that a search of its Items can use."""
        properties: dict[str, str] = {}
        for snapshot in reversed(self.snapshots):
            for name in collections:
                if name in snapshot.collections:
                    properties |= snapshot.collections[name].askable
        return properties

    def items(self, query: Query) -> list[pystac.Item]:
        """Return the Items of a query, in order and at most as many as its limit."""
        items = (pystac.Item.from_dict(r, migrate=False, preserve_dict=False) for r in self.records(query))
        return [pystac_roots.settle(item) for item in items]

    def records(self, query: Query, *, skip: int = 0) -> list[dict[str, Any]]:
        """Return the same as dictionaries, without the first ``skip``.

        Raises
        ------
        GeodesError
            If a file is missing or damaged.
        """
        return self.page(query, skip).records

    def page(self, query: Query, skip: int = 0) -> Page:
        """Return a page of the Items of a query, after ``skip``.

        Raises
        ------
        GeodesError
            See `records`.
        """
        if query.ids and query.any_time and not skip and (near := _around_names(query)) is not None:
            page = self._page(near, 0)
            if {r["id"] for r in page.records} == set(query.ids):
                return replace(page, matched=None)
        return self._page(query, skip)

    def count(self, query: Query) -> int:
        """Return how many Items match a query, whatever its limit; without conditions, the files are not read."""
        with self._explained():
            snapshots = self.snapshots
            if replace(query, limit=None, sortby=()) == Query(query.collections, latest=False, sortby=()):
                return sum(g.rows for g in self._groups(query, snapshots))
            rows = self._asked(lambda groups: statement.counted(query, groups), query)
        return int(rows[0][0]) if rows else 0

    def _page(self, query: Query, skip: int) -> Page:
        with self._explained():
            for attempt in range(_AGAIN):
                before = self.snapshots
                rows = self._asked(lambda groups: statement.found(query, groups, skip), query)
                places = self._few(rows, before)
                try:
                    records = self._read(places, before)
                    break
                except OSError:
                    if attempt == _AGAIN - 1 or self._is(before):
                        raise
        for record in records:  # the Item names a collection, so STAC requires a link to it
            source = next((s.source for s in before if record["collection"] in s.collections), "")
            href = f"{source}/collections/{record['collection']}"
            record["links"].append({"rel": "collection", "href": href, "type": "application/json"})
        is_last = (bool(rows) or not skip) and (query.limit is None or len(rows) < query.limit)
        return Page(records, skip + len(places), skip + len(rows) if is_last else None)

    def _few(self, places: list[tuple[Any, ...]], snapshots: Sequence[Snapshot]) -> list[tuple[Any, ...]]:
        """Return as many of the first rows as fit in one answer; at least one."""
        if not self.limits.answer or len(places) < 2:
            return places
        mean = {str(s.folder / f.path): f.size / max(f.rows, 1) for s in snapshots for f in s.files}
        size = itertools.accumulate(mean.get(path, 0) for path, _ in places)
        return places[: max(1, sum(s <= self.limits.answer for s in size))]

    def _groups(self, query: Query, snapshots: Sequence[Snapshot]) -> list[Group]:
        """Return the files that may have matching Items, by collection."""
        groups, seen = [], set[str]()
        for snapshot in snapshots:
            files: dict[str, list[File]] = {}
            for file in snapshot.needed(query):
                if file.collection not in seen:
                    files.setdefault(file.collection, []).append(file)
            for name, several in files.items():
                collection = snapshot.collections[name]
                if collection.damaged and self.quarantine is None:
                    raise GeodesError(collection.damaged)
                paths = tuple(str(snapshot.folder / f.path) for f in several)
                group = Group(name, paths, sum(f.rows for f in several), collection.askable)
                left = self.quarantine.without(group) if self.quarantine else group
                if left and not collection.damaged:
                    groups.append(left)
            seen |= snapshot.collections.keys()
        return groups

    def _asked(
        self, written: Callable[[Sequence[Group]], tuple[str, list[Any]]], query: Query
    ) -> list[tuple[Any, ...]]:
        """Return DuckDB's result for the matching rows; without damaged files, if these are to be left out."""
        for attempt in itertools.count(1):
            before = self.snapshots
            groups = self._groups(query, before)
            try:
                if not groups:
                    return []
                return self._engine.rows(*written(groups), small=sum(g.rows for g in groups) <= _SMALL)
            except duckdb.Error as error:
                if attempt == _AGAIN or isinstance(error, (duckdb.InterruptException, duckdb.OutOfMemoryException)):
                    raise
                # A file that was replaced meanwhile is not damaged: there is a newer snapshot.
                is_current = functools.partial(self._is, before)
                if is_current() and not (
                    self.quarantine and self.quarantine.found(error, query, groups, self._engine, is_current)
                ):
                    raise
        raise AssertionError

    def _is(self, snapshots: Sequence[Snapshot]) -> bool:
        """Whether there is no newer snapshot."""
        return self.snapshots == snapshots

    def _read(self, places: Sequence[tuple[str, int]], snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
        """Return the Items of rows, in their order; only the row groups with such rows are read."""
        several: dict[str, list[tuple[int, int]]] = {}
        for at, (path, row) in enumerate(places):
            several.setdefault(path, []).append((row, at))
        by_position: dict[int, dict[str, Any]] = {}
        for path, wanted in several.items():
            try:
                records: Sequence[dict[str, Any] | None] = rows.records(path, [row for row, _ in wanted])
                if self.quarantine and not all(map(rows.is_whole, records)):
                    raise ValueError("the parts of an Item have wrong types")
            except Exception as error:
                if self.quarantine is None or not (Path(path).exists() or self._is(snapshots)):
                    raise
                records = [rows.one(path, row) for row, _ in wanted]
                self.quarantine.tell(Path(path).parent.name, path, error)
            by_position.update((at, r) for (_, at), r in zip(wanted, records, strict=True) if r is not None)
        return [by_position[at] for at in sorted(by_position)]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.ConversionException, duckdb.BinderException) as error:
            raise GeodesError(f"{self.name} cannot compare the values of this search: {_line(error)}.") from error
        except duckdb.OutOfMemoryException as error:
            raise GeodesError(
                f"The search needs more memory than {self.name} allows for one search: search for less at once."
            ) from error
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            folder = self._kept[0].folder
            raise GeodesError(
                f"The catalogue {self.name} at {folder} cannot be read ({_line(error)}): harvest it again."
            ) from error


def _around_names(query: Query) -> Query | None:
    """Restrict a query to the days in the product names, if all names have one."""
    try:
        days = [m and datetime.strptime(m[1], "%Y%m%d").replace(tzinfo=UTC) for m in map(_DATED.search, query.ids)]
        known = [d for d in days if d]
        if len(known) < len(days):
            return None
        return replace(query, start=min(known) - timedelta(days=1), end=max(known) + timedelta(days=2))
    except (ValueError, OverflowError):  # digits that are not a day
        return None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
