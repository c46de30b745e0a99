"""A catalogue that was harvested into files beside the data: searched by DuckDB, without a server and without pages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
from shapely.geometry.base import BaseGeometry

from geodes_lab.catalog import geoparquet
from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.cql2 import sql
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.catalog.snapshot import NAME, File, Snapshot
from geodes_lab.errors import GeodesError

_DATED = re.compile(r"_(\d{8})T\d{6}")  # the first time in the name of a Sentinel's product is that of the acquisition


def is_one(path: str) -> bool:
    """Whether a harvested catalogue lies at a path."""
    return (Path(path).expanduser() / NAME).is_file()


@dataclass(frozen=True)
class Index:
    """The catalogue of one profile, whose ``url`` is the folder."""

    profile: Profile

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.profile.name

    @property
    def snapshot(self) -> Snapshot:
        """What there is now; the file is read, since a harvest may have replaced it."""
        return Snapshot.load(Path(self.profile.url).expanduser())

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute("SET parquet_metadata_cache = true")
        connection.load_extension(_spatial())
        return connection

    def ids(self) -> Sequence[str]:
        """The ids of its collections."""
        return list(self.snapshot.collections)

    def collections(self) -> list[Collection]:
        """All of its collections."""
        found = []
        snapshot = self.snapshot
        for name, told in snapshot.collections.items():
            files = [f for f in snapshot.files if f.collection == name]
            start = min((f.start for f in files), default=None)
            end = max((f.end for f in files), default=None)
            found.append(Collection(name, told.title, _time(start), _time(end), sum(f.rows for f in files)))
        return found

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """The properties that its Items have."""
        known = self.snapshot.collections
        return {k: v for name in collections for k, v in known[name].queryables.items()}

    def items(self, query: Query) -> list[pystac.Item]:
        """The Items of a query, in order and no more than asked for."""
        return [pystac.Item.from_dict(r, migrate=False, preserve_dict=False) for r in self.records(query)]

    def records(self, query: Query, *, skip: int = 0) -> list[dict[str, Any]]:
        """The same as dictionaries, without the first ``skip``.

        Raises
        ------
        GeodesError
            If a file is missing or damaged.
        """
        snapshot = self.snapshot
        if query.ids and query.any_time and not skip and (near := self._around_names(query)) is not None:
            found = self._records(snapshot, near, 0)
            if {r["id"] for r in found} == set(query.ids):
                return found
        return self._records(snapshot, query, skip)

    def count(self, query: Query) -> int:
        """How many Items a query has, whatever its limit; of no condition but the collection without a look at them."""
        snapshot = self.snapshot
        files = list(snapshot.needed(query))
        if replace(query, limit=None, sortby=()) == Query(query.collections, latest=False, sortby=()):
            return sum(f.rows for f in files)
        with self._explained(snapshot):
            ((number,),) = (
                self._asked("count(*)", replace(query, limit=None), snapshot, files, "") if files else ((0,),)
            )
        return int(number)

    def _records(self, snapshot: Snapshot, query: Query, skip: int) -> list[dict[str, Any]]:
        files = list(snapshot.needed(query))
        if not files:
            return []
        there = _columns(snapshot, files)
        order = ", ".join(
            f'"{n}" {"DESC" if d else "ASC"} NULLS LAST' for n, d in query.sortby if n in {*there, "id", "datetime"}
        )
        tail = (
            f" ORDER BY {order}" + (f" LIMIT {query.limit:d}" if query.limit is not None else "") + f" OFFSET {skip:d}"
        )
        with self._explained(snapshot):
            found = _read(self._asked("filename, file_row_number", query, snapshot, files, tail))
        for record in found:  # it names a collection, so that STAC wants a link to it
            href = f"{snapshot.source}/collections/{record['collection']}"
            record["links"].append({"rel": "collection", "href": href, "type": "application/json"})
        return found

    @contextlib.contextmanager
    def _explained(self, snapshot: Snapshot) -> Iterator[None]:
        try:
            yield
        except (duckdb.ConversionException, duckdb.BinderException) as error:
            raise GeodesError(f"{self.name} cannot compare what is asked for: {str(error).splitlines()[0]}.") from error
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise GeodesError(
                f"The catalogue {self.name} at {snapshot.folder} cannot be read ({str(error).splitlines()[0]}): harvest it anew."
            ) from error

    def _asked(
        self, wanted: str, query: Query, snapshot: Snapshot, files: Sequence[File], tail: str
    ) -> list[tuple[Any, ...]]:
        """What DuckDB has of the rows that fit."""
        conditions, values = _conditions(query, _columns(snapshot, files))
        text = (
            f"SELECT {wanted} FROM read_parquet(?, filename = true, file_row_number = true, union_by_name = true) "
            f"WHERE {' AND '.join(conditions) or 'true'}{tail}"
        )
        paths = [str(snapshot.folder / f.path) for f in files]
        found: list[tuple[Any, ...]] = self._connection.cursor().execute(text, [paths, *values]).fetchall()
        return found

    def _around_names(self, query: Query) -> Query | None:
        """The same with the days that the names tell, if all do."""
        days = [m and datetime.strptime(m[1], "%Y%m%d").replace(tzinfo=UTC) for m in map(_DATED.search, query.ids)]
        if not all(days):
            return None
        known = [d for d in days if d]
        return replace(query, start=min(known) - timedelta(days=1), end=max(known) + timedelta(days=2))


def _columns(snapshot: Snapshot, files: Sequence[File]) -> dict[str, str]:
    """The properties that files have, with their types."""
    return {k: v for c in {f.collection for f in files} for k, v in snapshot.collections[c].queryables.items()}


def _conditions(query: Query, there: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """In SQL, with the values to be put in; what an Item does not say of itself is not held against it."""
    found: list[str] = []
    values: list[Any] = []

    def add(condition: str, *those: Any) -> None:
        found.append(condition)
        values.extend(those)

    if query.end < FAR_FUTURE:
        add("coalesce(start_datetime, datetime) < ?" if "start_datetime" in there else "datetime < ?", query.end)
    if query.start > FAR_PAST:
        add("coalesce(end_datetime, datetime) >= ?" if "end_datetime" in there else "datetime >= ?", query.start)
    if query.area is not None:
        _within(query.area, add)
    if query.ids:
        add("id IN (SELECT unnest(?))", list(query.ids))
    if query.latest and "latest" in there:
        add("latest IS DISTINCT FROM false")
    for name, wanted in query.filters.items():
        if name not in there:
            continue
        column = f'"{name}"'
        if isinstance(wanted, tuple):
            for operator, bound in zip((">=", "<="), wanted, strict=True):
                if bound is not None:
                    add(f"({column} IS NULL OR {column} {operator} ?)", bound)
        else:
            several = wanted if isinstance(wanted, list) else [wanted]
            test = f"list_has_any({column}, ?)" if there[name] == "array" else f"{column} IN (SELECT unnest(?))"
            add(f"({column} IS NULL OR {test})", several)
    if query.cql2 is not None:
        condition, bound = sql(query.cql2, there)
        add(condition, *bound)
    return found, values


def _within(area: BaseGeometry, add: Any) -> None:
    west, south, east, north = area.bounds
    # The box first: it is what the statistics of a file tell of a group of rows.
    add("bbox.xmin <= ? AND bbox.xmax >= ? AND bbox.ymin <= ? AND bbox.ymax >= ?", east, west, north, south)
    add("ST_Intersects(geometry, ST_GeomFromWKB(?))", area.wkb)


def _read(rows: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The Items of rows, in their order; of each file the groups that have one are read."""
    places: dict[str, list[tuple[int, int]]] = {}
    for at, (path, row) in enumerate(rows):
        places.setdefault(path, []).append((row, at))
    found: dict[int, dict[str, Any]] = {}
    for path, wanted in places.items():
        groups = sorted({row // geoparquet.ROWS for row, _ in wanted})
        # Each group but a file's last has as many rows, so that the place of a row among those that are read is known.
        first = {group: n * geoparquet.ROWS for n, group in enumerate(groups)}
        with pq.ParquetFile(path) as file:
            table = file.read_row_groups(groups)
        some = table.take([first[row // geoparquet.ROWS] + row % geoparquet.ROWS for row, _ in wanted])
        found.update(zip((at for _, at in wanted), geoparquet.records(some), strict=True))
    return [found[at] for at in range(len(rows))]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _spatial() -> str:
    """The extension's file: from its package, since nothing is fetched while the lab runs."""
    import duckdb_extension_spatial

    folder = Path(duckdb_extension_spatial.__file__).parent
    try:
        return str(next(folder.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")))
    except StopIteration:
        raise GeodesError(
            f"duckdb-extension-spatial is not of DuckDB's version, {duckdb.__version__}: install both of one version."
        ) from None
