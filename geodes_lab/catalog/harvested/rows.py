"""Rows of a file of Items, by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet


def records(path: str, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """The Items of some rows, in the order given; the groups of rows that have one are read."""
    groups = sorted({row // geoparquet.ROWS for row in wanted})
    # Each group but a file's last has as many rows, so that the place of a row among those that are read is known.
    first = {group: n * geoparquet.ROWS for n, group in enumerate(groups)}
    with pq.ParquetFile(path) as file:
        table = file.read_row_groups(groups)
    return geoparquet.records(table.take([first[row // geoparquet.ROWS] + row % geoparquet.ROWS for row in wanted]))


def one(path: str, row: int) -> dict[str, Any] | None:
    """The Item of one row; None if it cannot be read."""
    try:
        (found,) = records(path, [row])
    except Exception:  # whatever is wrong with it
        return None
    return found if is_whole(found) else None


def is_whole(record: Any) -> bool:
    """Whether it has the parts of an Item, so that whoever reads it finds them."""
    kinds = (("id", str), ("collection", str), ("assets", dict), ("links", list), ("properties", dict))
    return all(isinstance(record.get(n), k) for n, k in kinds) and all(
        isinstance(a, dict) for a in record["assets"].values()
    )
