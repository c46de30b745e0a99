"""The SQL of a search: names are looked up and quoted, and the text never contains values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from geodes_lab.catalog.harvested.columns import family, quoted
from geodes_lab.catalog.harvested.cql2 import sql
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query

_SORTED = {"number": "DOUBLE", "string": "VARCHAR", "boolean": "BOOLEAN", "date": "TIMESTAMPTZ"}


@dataclass(frozen=True)
class Group:
    """The files of one collection, with one type for each column; another collection's types do not affect it."""

    collection: str
    paths: tuple[str, ...]
    rows: int
    columns: Mapping[str, str]
    """The properties that a search can use, with their kinds."""

    @property
    def table(self) -> str:
        """The table in SQL; its question mark is `paths`."""
        # To unite the columns of several files costs a quarter of a small search; one file has its own.
        united = ", union_by_name = true" if len(self.paths) > 1 else ""
        return f"read_parquet(?, filename = true, file_row_number = true{united})"


def found(query: Query, groups: Sequence[Group], skip: int) -> tuple[str, list[Any]]:
    """Return the statement for the positions of the matching Items, in order: the file and the row number in it."""
    order = _order(query, groups)
    tail = f" LIMIT {int(query.limit)}" if query.limit is not None else ""
    tail += f" OFFSET {int(skip)}"
    known = _known(groups)
    if len(groups) == 1:
        ((text, values),) = (_where(query, g, known) for g in groups)
        columns = [_sorting(n, k, groups[0], alone=True) for n, k, _ in order]
        by = ", ".join(f"{c} {'DESC' if d else 'ASC'} NULLS LAST" for c, (_, _, d) in zip(columns, order, strict=True))
        return f"SELECT filename, file_row_number {text} ORDER BY {by}{tail}", values
    parts, bound = [], list[Any]()
    for group in groups:
        columns = [f"{_sorting(n, k, group, alone=False)} AS s{i}" for i, (n, k, _) in enumerate(order)]
        text, values = _where(query, group, known)
        parts.append(f"SELECT {', '.join(['filename AS f, file_row_number AS n', *columns])} {text}")
        bound += values
    by = ", ".join(f"s{i} {'DESC' if d else 'ASC'} NULLS LAST" for i, (_, _, d) in enumerate(order))
    return f"SELECT f, n FROM ({' UNION ALL '.join(parts)}) ORDER BY {by}{tail}", bound


def counted(query: Query, groups: Sequence[Group]) -> tuple[str, list[Any]]:
    """Return the statement that counts the matching Items."""
    known = _known(groups)
    parts = [_where(query, g, known) for g in groups]
    text = " UNION ALL ".join(f"SELECT count(*) AS n {text}" for text, _ in parts)
    return f"SELECT sum(n) FROM ({text})", [v for _, values in parts for v in values]


def looked_at(query: Query, group: Group, path: str) -> tuple[str, list[Any]]:
    """Return the statement that reads everything a search may need of one file, to find out whether it can be read."""
    names = [n for n in group.columns if n in dict(query.sortby)] + ["id"]
    if query.area is not None or query.cql2 is not None:
        names = [*group.columns, "id", "geometry", "bbox"]
    several = ", ".join(f"count({quoted(n)})" for n in dict.fromkeys(names))
    return f"SELECT count(filename), count(file_row_number), {several} FROM {group.table}", [[path]]


def _known(groups: Sequence[Group]) -> dict[str, set[str]]:
    """Return the properties of all groups, with their kinds."""
    known: dict[str, set[str]] = {}
    for group in groups:
        for name, kind in group.columns.items():
            known.setdefault(name, set()).add(kind)
    return known


def _order(query: Query, groups: Sequence[Group]) -> list[tuple[str, str, bool]]:
    """Return the sort keys, with the kind of values that most of the Items have."""
    order = []
    for name, descending in query.sortby:
        rows: dict[str, int] = {"string": 0} if name == "id" else {"date": 0} if name == "datetime" else {}
        for group in groups:
            if name in group.columns:
                kind = family(group.columns[name])
                rows[kind] = rows.get(kind, 0) + group.rows
        if rows:
            order.append((name, max(sorted(rows), key=lambda k: rows[k]), descending))
    return order


def _sorting(name: str, kind: str, group: Group, *, alone: bool) -> str:
    is_here = name == "id" or family(group.columns.get(name, "")) == kind
    if alone:
        return quoted(name) if is_here else "CAST(NULL AS BOOLEAN)"
    wanted = _SORTED.get(kind, "VARCHAR")
    return f"CAST({quoted(name) if is_here else 'NULL'} AS {wanted})"


def _where(query: Query, group: Group, known: Mapping[str, Set[str]]) -> tuple[str, list[Any]]:
    conditions, values = _conditions(query, group.columns, known)
    return f"FROM {group.table} WHERE {' AND '.join(conditions) or 'true'}", [list(group.paths), *values]


def _conditions(query: Query, here: Mapping[str, str], known: Mapping[str, Set[str]]) -> tuple[list[str], list[Any]]:
    """Return SQL conditions, with their values; a property that an Item lacks does not exclude it."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *those: Any) -> None:
        conditions.append(condition)
        values.extend(those)

    if query.end < FAR_FUTURE:
        add(f"{_time('start_datetime', here)} < ?", query.end)
    if query.start > FAR_PAST:
        add(f"{_time('end_datetime', here)} >= ?", query.start)
    if query.area is not None:
        _within(query.area, add)
    if query.ids:
        add("id IN (SELECT unnest(?))", list(query.ids))
    if query.latest and here.get("latest") == "boolean":
        add("latest IS DISTINCT FROM false")
    for name, wanted in query.filters.items():
        if name in here:
            _filtered(quoted(name), wanted, here[name] == "array", add)
    if query.cql2 is not None:
        condition, bound = sql(query.cql2, here, known)
        add(condition, *bound)
    return conditions, values


def _filtered(column: str, wanted: Any, is_array: bool, add: Any) -> None:
    """Restrict a property to bounds (a tuple), or to some values."""
    if isinstance(wanted, tuple):
        for operator, bound in zip((">=", "<="), wanted, strict=True):
            if bound is not None:
                add(f"({column} IS NULL OR {column} {operator} ?)", bound)
        return
    test = f"list_has_any({column}, ?)" if is_array else f"{column} IN (SELECT unnest(?))"
    add(f"({column} IS NULL OR {test})", wanted if isinstance(wanted, list) else [wanted])


def _time(bound: str, here: Mapping[str, str]) -> str:
    several = [n for n in (bound, "datetime") if here.get(n) == "date"]
    return f"coalesce({', '.join(several)})" if len(several) > 1 else "".join(several) or "CAST(NULL AS TIMESTAMPTZ)"


def _within(area: BaseGeometry, add: Any) -> None:
    west, south, east, north = area.bounds
    # The box first: row groups have statistics for it.
    add("bbox.xmin <= ? AND bbox.xmax >= ? AND bbox.ymin <= ? AND bbox.ymax >= ?", east, west, north, south)
    add("ST_Intersects(geometry, ST_GeomFromWKB(?))", area.wkb)
