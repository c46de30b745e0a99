"""Damaged parts of a catalogue: left out of everybody's searches, and reported to their owner and in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import partitions, statement
from geodes_lab.catalog.harvested.columns import family
from geodes_lab.catalog.harvested.engine import Engine
from geodes_lab.catalog.harvested.statement import Group
from geodes_lab.catalog.query import Query

_MOST = 100_000  # files whose state is remembered
_log = logging.getLogger("catalogue")


class Quarantine:
    """Unreadable files, in one process; a file never changes, so each is checked once."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[str, str]] = {}
        """By collection, the file that was found damaged last, and what is wrong: a sentence."""
        self._out, self._fine, self._named = set[str](), set[str](), set[str]()

    def without(self, group: Group) -> Group | None:
        """Return the group without its unreadable files; None if nothing remains."""
        if not self._out.intersection(group.paths):
            return group
        left = tuple(p for p in group.paths if p not in self._out)
        return Group(group.collection, left, group.rows, group.columns) if left else None

    def leave_out(self, collection: str, path: str, why: object) -> None:
        """Leave a file out from now on."""
        self._out.add(path)
        self.tell(collection, path, why)

    def tell(self, collection: str, path: str, why: object) -> None:
        """Report what is wrong, once in the log."""
        for memory in (self.told, self._named):
            if len(memory) > _MOST:
                memory.clear()
        name = Path(path).name
        self.told[collection] = (
            path,
            f"{collection} is damaged: some of {name} cannot be read and is left out of searches. Delete the "
            "collection or these Items, and publish them again.",
        )
        if path in self._named:
            return
        self._named.add(path)
        line = (str(why).splitlines() or [repr(why)])[0][:300]
        _log.error("the collection %s is damaged, and %s is left out of searches: %s", collection, path, line)

    def found(
        self, error: duckdb.Error, query: Query, groups: Sequence[Group], engine: Engine, is_current: Callable[[], bool]
    ) -> bool:
        """Search for the cause of a failed search, and leave it out.

        Whether there is one, so that the search should be repeated.

        The query itself may be wrong: then only the types of the columns are checked, not the data. A missing file is
        damage only if ``is_current``: otherwise it was replaced meanwhile.
        """
        before = len(self._out)
        if len(self._fine) > _MOST:
            self._fine.clear()
        is_about_types = isinstance(error, (duckdb.ConversionException, duckdb.BinderException))
        for group in groups:
            for path in group.paths:
                if not Path(path).exists():
                    if is_current():
                        self.leave_out(group.collection, path, "there is no such file")
                elif path not in self._fine:
                    self._look_at(group, path)
            fine = self.without(group)
            if fine and not is_about_types:
                self._read(fine, query, engine)
        return len(self._out) > before

    def _look_at(self, group: Group, path: str) -> None:
        try:
            there = partitions.types(pq.read_schema(path))
        except (OSError, pa.ArrowException, ValueError) as error:
            self.leave_out(group.collection, path, error)
            return
        reserved = sorted({"filename", "file_row_number"}.intersection(map(str.casefold, there)))
        other = [n for n, kind in group.columns.items() if n in there and family(there[n]) != family(kind)]
        if reserved or other:
            self.leave_out(
                group.collection,
                path,
                f"its columns {', '.join([*reserved, *other])[:200]} have wrong names or types",
            )
        else:
            self._fine.add(path)

    def _read(self, group: Group, query: Query, engine: Engine) -> None:
        for path in group.paths:
            try:
                engine.rows(*statement.looked_at(query, group, path))
            except duckdb.Error as error:
                if Path(path).exists():
                    self.leave_out(group.collection, path, error)
