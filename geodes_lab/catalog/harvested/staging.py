"""Items that a harvest has downloaded and not yet merged: on disk, so that nothing is downloaded twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet
from geodes_lab.util.whole_file import fsync_file, rename_to_stay

_FLUSH = 40_000  # Items in memory before they are written


class Staging:
    """The new Items of one collection.

    Parameters
    ----------
    folder
        Their folder; created if needed, and read if a harvest was interrupted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._waiting = folder, list[dict[str, Any]]()
        folder.mkdir(parents=True, exist_ok=True)
        self._state = folder / "done.json"
        state = json.loads(self._state.read_text()) if self._state.exists() else {"until": None, "months": {}}
        self.done = datetime.fromisoformat(state["until"]) if state["until"] else None
        """The time of publication up to which everything is here."""
        self._months: dict[str, list[str]] = state["months"]
        self._until = self.done

    def add(self, records: list[dict[str, Any]], until: datetime) -> None:
        """Add the Items of a window that ends at ``until``."""
        self._waiting += records
        self._until = until
        if len(self._waiting) >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory, then record that it is on disk."""
        if self._waiting:
            name = f"{len(self._months):06d}.parquet"
            self._months[name] = _write(geoparquet.table(self._waiting), self._folder / name)
            self._waiting = []
        self.done = self._until
        state = {"until": self.done and self.done.isoformat(), "months": self._months}
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps(state))
        rename_to_stay(part, self._state)

    @property
    def months(self) -> list[str]:
        """Return the months in which the acquisitions begin."""
        return sorted({m for several in self._months.values() for m in several})

    def of(self, month: str) -> Iterator[pa.Table]:
        """Yield the downloads of a month, in order of publication."""
        for name, months in self._months.items():
            if month in months:
                with pq.ParquetFile(self._folder / name) as file:
                    yield file.read_row_group(months.index(month))

    def clear(self) -> None:
        """Remove everything: it has been merged."""
        shutil.rmtree(self._folder)


def _write(table: pa.Table, path: Path) -> list[str]:
    """Write a table with each month as a row group that can be read alone; return the months in order."""
    months = pc.strftime(table["datetime"], format="%Y-%m")
    order = pc.sort_indices(months)  # a stable sort
    table, counts = table.take(order), pc.value_counts(months.take(order))
    first = 0
    with pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1) as file:
        for number in (c["counts"].as_py() for c in counts):
            file.write_table(table.slice(first, number), row_group_size=number)
            first += number
    fsync_file(path)  # before the state names it
    months_in_order: list[str] = counts.field("values").to_pylist()
    return months_in_order
