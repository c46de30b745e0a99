"""What a harvest has fetched and is not yet part of the catalogue: on disk, so that nothing is fetched twice."""

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

_FLUSH = 40_000  # Items in memory before they are written


class Staging:
    """The parts of one collection.

    Parameters
    ----------
    folder
        Where they lie; made if needed, and read if a harvest was broken off.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._waiting = folder, list[dict[str, Any]]()
        folder.mkdir(parents=True, exist_ok=True)
        self._state = folder / "done.json"
        told = json.loads(self._state.read_text()) if self._state.exists() else {"until": None, "months": {}}
        self.done = datetime.fromisoformat(told["until"]) if told["until"] else None
        """Up to what time of publication all is there."""
        self._months: dict[str, list[str]] = told["months"]
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
            name = f"{len(self._months):06d}.parquet"
            self._months[name] = _write(geoparquet.table(self._waiting), self._folder / name)
            self._waiting = []
        self.done = self._until
        told = {"until": self.done and self.done.isoformat(), "months": self._months}
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps(told))
        part.replace(self._state)

    @property
    def months(self) -> list[str]:
        """In which the acquisitions begin."""
        return sorted({m for several in self._months.values() for m in several})

    def of(self, month: str) -> Iterator[pa.Table]:
        """What was fetched of a month, in order of publication."""
        for name, months in self._months.items():
            if month in months:
                with pq.ParquetFile(self._folder / name) as file:
                    yield file.read_row_group(months.index(month))

    def clear(self) -> None:
        """Forget all: it is part of the catalogue."""
        shutil.rmtree(self._folder)


def _write(table: pa.Table, path: Path) -> list[str]:
    """Write a table, each month as a group of rows that can be read alone; give the months in order."""
    months = pc.strftime(table["datetime"], format="%Y-%m")
    order = pc.sort_indices(months)  # it keeps the order of equal ones
    table, counts = table.take(order), pc.value_counts(months.take(order))
    first = 0
    with pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1) as file:
        for number in (c["counts"].as_py() for c in counts):
            file.write_table(table.slice(first, number), row_group_size=number)
            first += number
    found: list[str] = counts.field("values").to_pylist()
    return found
