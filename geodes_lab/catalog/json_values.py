"""Columns of Arrow as the values that JSON has."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa

_PLAIN = frozenset((str, int, float, bool))  # types that JSON has


def of_column(column: pa.Array) -> list[Any]:
    """Convert a column to JSON's types; missing fields of a struct are dropped.

    pyarrow's own conversion makes an object of Arrow for each value first, which takes several times as long.
    """
    kind = column.type
    if pa.types.is_struct(kind):
        names, parts = [f.name for f in kind], [of_column(p) for p in column.flatten()]
        several = zip(*parts, strict=True) if parts else ((),) * len(column)
        made = [{k: v for k, v in zip(names, row, strict=True) if v is not None} for row in several]
        return _where(column, made)
    if pa.types.is_list(kind):
        ends = column.offsets.to_pylist()
        inner = of_column(column.values)
        return _where(column, [inner[a:b] for a, b in pairwise(ends)])
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        times = column.to_numpy(zero_copy_only=False).tolist()
        return [None if v is None else v.isoformat() + "Z" for v in times]
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if pa.types.is_string(kind) or (is_number and not column.null_count):
        values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
        return values
    return list(map(of_value, column.to_pylist()))


def _where(column: pa.Array, values: list[Any]) -> list[Any]:
    """Return the values, and None where the column has none."""
    if not column.null_count:
        return values
    return [v if there else None for v, there in zip(values, column.is_valid().to_pylist(), strict=True)]


def of_value(value: Any) -> Any:
    """Convert a value to JSON's types; missing fields of a struct are dropped."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    # An Item has a hundred texts and numbers: a call for each would be most of the work.
    if kind is dict:
        return {k: v if type(v) in _PLAIN else of_value(v) for k, v in value.items() if v is not None}
    if kind is list:
        return [v if type(v) in _PLAIN else of_value(v) for v in value]
    return value.replace(tzinfo=None).isoformat() + "Z" if isinstance(value, datetime) else value
