"""A service's whole catalogue as files beside the data: what is new since the last time, in windows of publication."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geodes_lab.catalog import geoparquet, snapshot
from geodes_lab.catalog.geodes import Geodes
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.snapshot import File, Snapshot
from geodes_lab.errors import GeodesError

_WINDOW = 8_000  # Items that are asked for together: deeper pages are slow, and the catalogue grows meanwhile
_FLUSH = 40_000  # Items in memory before they are written
_FIRST = datetime(2014, 1, 1, tzinfo=UTC)  # nothing was published before
_PARTS = "parts"
_BOX = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Outcome:
    """What a harvest of one collection did."""

    collection: str
    found: int
    """Items that were new or newer."""
    total: int
    """Items that there are now."""


def harvest(
    catalogue: Geodes,
    folder: Path,
    collections: Sequence[str],
    *,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Bring a folder up to date with a catalogue.

    Parameters
    ----------
    catalogue
        The service.
    folder
        Made if needed. Searches of it go on meanwhile: they see what was there before, until a collection is done.
    collections
        Their ids.
    tell
        Called with the collection, the Items that are done and those that the service counts.

    Returns
    -------
    list of Outcome
        A harvest that was broken off goes on where it was.

    Raises
    ------
    GeodesError
        If the service fails, another harvest is at work in the folder, or the folder is that of another profile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        before = Snapshot.load(folder)
        if before.source not in ("", catalogue.profile.url):
            raise GeodesError(f"{folder} was harvested from {before.source}: give another folder.")
        titles = {c.id: c.title for c in catalogue.collections()}
        return [_one(catalogue, folder, name, titles.get(name, ""), tell) for name in collections]


def _one(catalogue: Geodes, folder: Path, name: str, title: str, tell: Callable[[str, int, int], None]) -> Outcome:
    before = Snapshot.load(folder)
    known = before.collections.get(name, snapshot.Collection())
    parts = _Parts(folder / _PARTS / name)
    since = parts.done or (datetime.fromisoformat(known.published) if known.published else _FIRST)
    until = datetime.now(UTC)
    asked = Query((name,), latest=False, sortby=(("published", False), ("id", False)))
    counted, done = catalogue.count(_published(asked, since, until)), 0
    for start, end, there in _windows(catalogue, asked, since, until, counted):
        records = catalogue.records(_published(asked, start, end)) if there else []
        parts.add(records, end)
        done += len(records)
        tell(name, min(done, counted), counted)
    parts.flush()
    after = _merged(before, folder, name, title, parts)
    replace(after, source=catalogue.profile.url, taken=snapshot.moment(datetime.now(UTC))).save()
    _tidy(folder, after)
    parts.clear()
    return Outcome(name, done, sum(f.rows for f in after.files if f.collection == name))


def _published(query: Query, start: datetime, end: datetime) -> Query:
    """What was published in a time, its end included: an Item twice is one, an Item between two windows would be lost."""
    return replace(query, filters={"published": (start, end)})


def _windows(
    catalogue: Geodes, query: Query, start: datetime, end: datetime, there: int
) -> Iterator[tuple[datetime, datetime, int]]:
    """Halve a time until each part has few enough Items; in order, so that a harvest can go on where it was."""
    if there <= _WINDOW or end - start <= timedelta(seconds=1):
        yield start, end, there
        return
    middle = start + (end - start) / 2
    first = catalogue.count(_published(query, start, middle))
    yield from _windows(catalogue, query, start, middle, first)
    # What is published at the middle itself is counted twice: the windows are rather too small than too large.
    yield from _windows(catalogue, query, middle, end, max(there - first, 1) if there > first else 0)


class _Parts:
    """What was fetched and is not yet part of the catalogue; on disk, so that nothing is fetched twice."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._waiting = folder, list[dict[str, Any]]()
        folder.mkdir(parents=True, exist_ok=True)
        self._state = folder / "done.json"
        told = json.loads(self._state.read_text()) if self._state.exists() else {"until": None, "parts": []}
        self.done = datetime.fromisoformat(told["until"]) if told["until"] else None
        """Up to what time of publication all is there."""
        self._names: list[str] = told["parts"]
        self._until = self.done

    def add(self, records: list[dict[str, Any]], until: datetime) -> None:
        """Take the Items of a window that ends at ``until``."""
        self._waiting += records
        self._until = until
        if len(self._waiting) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what waits, then that it is there."""
        if self._waiting:
            name = f"{len(self._names):06d}.parquet"
            pq.write_table(
                geoparquet.table(self._waiting), self._folder / name, compression="zstd", compression_level=1
            )
            self._names.append(name)
            self._waiting = []
        self.done = self._until
        told = {"until": self.done and self.done.isoformat(), "parts": self._names}
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps(told))
        part.replace(self._state)

    def tables(self) -> Iterator[pa.Table]:
        """What was fetched, in order of publication."""
        for name in self._names:
            yield pq.read_table(self._folder / name)

    def clear(self) -> None:
        """Forget all: it is part of the catalogue."""
        shutil.rmtree(self._folder)


def _merged(before: Snapshot, folder: Path, name: str, title: str, parts: _Parts) -> Snapshot:
    """The catalogue with what is new: each month that has some is written anew, beside what it was."""
    months: dict[str, list[pa.Table]] = {}
    known = before.collections.get(name, snapshot.Collection())
    published, queryables = known.published, dict(known.queryables)
    for table in parts.tables():
        month = pc.strftime(table["datetime"], format="%Y-%m")
        for value in pc.unique(month).to_pylist():
            months.setdefault(value, []).append(table.filter(pc.equal(month, value)))
        latest = pc.max(table["published"]).as_py() if "published" in table.column_names else None
        published = max(filter(None, (published, latest and snapshot.moment(latest))), default=None)
        queryables |= _types(table.schema)
    files = [f for f in before.files if f.collection != name or f.month not in months]
    for month, tables in months.items():
        old = [pq.read_table(folder / f.path) for f in before.files if (f.collection, f.month) == (name, month)]
        files.append(_written(folder, name, month, _newest(_joined([*old, *tables]))))
    title = title or known.title
    collections = {**before.collections, name: snapshot.Collection(title, published, queryables)}
    return replace(before, collections=collections, files=tuple(sorted(files, key=lambda f: (f.collection, f.month))))


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table of several, whose columns need not be the same."""
    texts = sorted({t for table in tables for t in geoparquet.texts(table)})
    joined = pa.concat_tables([geoparquet.with_texts(t, texts) for t in tables], promote_options="permissive")
    return joined.replace_schema_metadata(tables[-1].schema.metadata | geoparquet.said(texts))


def _newest(table: pa.Table) -> pa.Table:
    """Of Items that came twice the last one."""
    key = "geodes:urn" if "geodes:urn" in table.column_names else "id"
    numbered = pa.table({"key": table[key], "row": pa.array(range(len(table)))})
    return table.take(numbered.group_by("key").aggregate([("row", "max")])["row_max"])


def _written(folder: Path, name: str, month: str, table: pa.Table) -> File:
    # Under a name of its own: whoever reads the snapshot before goes on reading what that one names.
    stamp = hashlib.sha256(f"{name}{month}{datetime.now(UTC).isoformat()}".encode()).hexdigest()[:12]
    path = Path("items") / name / f"{month}-{stamp}.parquet"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    geoparquet.write(table, folder / path)
    start = table["start_datetime" if "start_datetime" in table.column_names else "datetime"]
    end = table["end_datetime" if "end_datetime" in table.column_names else "datetime"]
    box = None
    if "bbox" in table.column_names and not table["bbox"].null_count:
        edges = [pc.struct_field(table["bbox"], k) for k in _BOX]
        west, south, east, north = (f(e).as_py() for f, e in zip((pc.min, pc.min, pc.max, pc.max), edges, strict=True))
        box = (west, south, east, north)
    first, last = (snapshot.moment(t) for t in (pc.min(start).as_py(), pc.max(end).as_py()))
    return File(str(path), name, month, len(table), first, last, box)


def _types(schema: pa.Schema) -> dict[str, str]:
    """The properties among the columns, with their types in the words of JSON."""
    found = {}
    for column in schema:
        if column.name not in geoparquet.TOP:
            kind = column.type
            names = (
                (pa.types.is_boolean, "boolean"), (pa.types.is_integer, "integer"), (pa.types.is_floating, "number"),
                (pa.types.is_timestamp, "date"), (pa.types.is_list, "array"), (pa.types.is_struct, "object"),
            )  # fmt: skip
            found[column.name] = next((n for test, n in names if test(kind)), "string")
    return found


def _tidy(folder: Path, now: Snapshot) -> None:
    """Remove files that neither this snapshot names nor the one before it did: a search may still be at them."""
    wanted = {f.path for f in now.files}
    for path in itertools.chain((folder / "items").rglob("*.parquet"), (folder / "items").rglob("*.part")):
        age = datetime.now(UTC).timestamp() - path.stat().st_mtime
        if str(path.relative_to(folder)) not in wanted and age > 3600:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GeodesError(f"Another harvest is at work in {folder}: wait until it is done.") from None
        yield
