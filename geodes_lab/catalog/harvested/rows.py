"""Rows of a file of Items, by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet


def records(path: str, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Return the Items of some rows, in the given order; only the row groups with such rows are read."""
    groups = sorted({row // geoparquet.ROWS for row in wanted})
    # All row groups except a file's last have the same number of rows, which gives a row's position among those that
    # are read.
    first = {group: n * geoparquet.ROWS for n, group in enumerate(groups)}
    # One thread: the columns of a group are small, and other searches have the other cores.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        table = file.read_row_groups(groups, use_threads=False)
    return geoparquet.records(table.take([first[row // geoparquet.ROWS] + row % geoparquet.ROWS for row in wanted]))


def one(path: str, row: int) -> dict[str, Any] | None:
    """Return the Item of one row; None if it cannot be read."""
    try:
        (record,) = records(path, [row])
    except Exception:  # whatever is wrong with it
        return None
    return record if is_whole(record) else None


def is_whole(record: Any) -> bool:
    """Whether a record has all parts of an Item."""
    kinds = (("id", str), ("collection", str), ("assets", dict), ("links", list), ("properties", dict))
    return all(isinstance(record.get(n), k) for n, k in kinds) and all(
        isinstance(a, dict) for a in record["assets"].values()
    )
