"""A catalogue that was harvested into files beside the data: searched by DuckDB, without a server and without pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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

    def records(self, query: Query) -> list[dict[str, Any]]:
        """The same as dictionaries.

        Raises
        ------
        GeodesError
            If a file is missing or damaged.
        """
        snapshot = self.snapshot
        if query.ids and query.any_time and (near := self._around_names(query)) is not None:
            found = self._records(snapshot, near)
            if {r["id"] for r in found} == set(query.ids):
                return found
        return self._records(snapshot, query)

    def _records(self, snapshot: Snapshot, query: Query) -> list[dict[str, Any]]:
        files = list(snapshot.needed(query))
        if not files:
            return []
        paths = [str(snapshot.folder / f.path) for f in files]
        try:
            found = _read(self._rows(query, paths, snapshot, files))
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise GeodesError(
                f"The catalogue {self.name} at {snapshot.folder} cannot be read ({str(error).splitlines()[0]}): harvest it anew."
            ) from error
        for record in found:  # it names a collection, so that STAC wants a link to it
            href = f"{snapshot.source}/collections/{record['collection']}"
            record["links"].append({"rel": "collection", "href": href, "type": "application/json"})
        return found

    def _rows(self, query: Query, paths: list[str], snapshot: Snapshot, files: Sequence[File]) -> list[tuple[str, int]]:
        """The file and the row of each Item, in order."""
        there = {k for c in {f.collection for f in files} for k in snapshot.collections[c].queryables}
        conditions, values = _conditions(query, there)
        order = ", ".join(
            f'"{n}" {"DESC" if d else "ASC"} NULLS LAST' for n, d in query.sortby if n in there | {"id", "datetime"}
        )
        sql = (
            "SELECT filename, file_row_number FROM read_parquet(?, filename = true, file_row_number = true, "
            f"union_by_name = true) WHERE {' AND '.join(conditions) or 'true'} ORDER BY {order}"
        )
        if query.limit is not None:
            sql += f" LIMIT {query.limit:d}"
        found: list[tuple[str, int]] = self._connection.cursor().execute(sql, [paths, *values]).fetchall()
        return found

    def _around_names(self, query: Query) -> Query | None:
        """The same with the days that the names tell, if all do."""
        days = [m and datetime.strptime(m[1], "%Y%m%d").replace(tzinfo=UTC) for m in map(_DATED.search, query.ids)]
        if not all(days):
            return None
        known = [d for d in days if d]
        return replace(query, start=min(known) - timedelta(days=1), end=max(known) + timedelta(days=2))


def _conditions(query: Query, there: set[str]) -> tuple[list[str], list[Any]]:
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
            is_list = name in ("sar:polarizations", "keywords", "continent_code", "instruments")
            test = f"list_has_any({column}, ?)" if is_list else f"{column} IN (SELECT unnest(?))"
            add(f"({column} IS NULL OR {test})", several)
    return found, values


def _within(area: BaseGeometry, add: Any) -> None:
    west, south, east, north = area.bounds
    # The box first: it is what the statistics of a file tell of a group of rows.
    add("bbox.xmin <= ? AND bbox.xmax >= ? AND bbox.ymin <= ? AND bbox.ymax >= ?", east, west, north, south)
    add("ST_Intersects(geometry, ST_GeomFromWKB(?))", area.wkb)


def _read(rows: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The Items of rows, in their order; of each file the groups that have one are read."""
    places: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for at, (path, row) in enumerate(rows):
        places.setdefault((path, row // geoparquet.ROWS), []).append((row % geoparquet.ROWS, at))
    found: dict[int, dict[str, Any]] = {}
    for (path, group), wanted in places.items():
        with pq.ParquetFile(path) as file:
            some = file.read_row_group(group).take([row for row, _ in wanted])
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
