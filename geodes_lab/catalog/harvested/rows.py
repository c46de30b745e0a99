"""Items in the rows of a file: as columns for searches, and each whole and packed for answers.

To make an Item from its forty columns, a group of rows is read and decoded, which takes longer than the search. So each
file has them a second time, before its first column, where readers of Parquet look at nothing: `_HEAD`, some text that
is common to its Items, the position of each, and the Items.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet

_HEAD = struct.Struct("<8sII")  # what it is, the number of Items, and the bytes of the common text
_KIND = b"GEODESI1"
_SPAN = struct.Struct("<QQ")  # where an Item begins and ends, from the first one's beginning
_ROW = struct.Struct("<I")  # before each Item, so that none is taken for another one
_FIRST = 4  # bytes of a Parquet file before it
_COMMON = 4096  # bytes that a packed Item need not repeat: two Items of most catalogues; more take longer
_LARGEST = 2**26  # bytes of an Item's JSON text


def packed(table: pa.Table) -> Iterator[bytes]:
    """Yield the Items of a table as JSON text, each compressed alone.

    One that is not whole, or that JSON cannot have, is left out: it is made from its columns.
    """
    if not len(table):
        return
    examples = [_text(r) for r in geoparquet.records(table.take([0, len(table) // 2]))]
    common = b"".join(examples)[:_COMMON]
    items = []
    for first in range(0, len(table), geoparquet.ROWS):
        records = geoparquet.records(table.slice(first, geoparquet.ROWS))
        items += [_packed(_text(r), n, common) for n, r in enumerate(records, first)]
    yield _HEAD.pack(_KIND, len(items), len(common)) + common
    ends = list(accumulate(map(len, items), initial=0))
    yield struct.pack(f"<{len(ends)}Q", *ends)
    yield from items


def records(path: str, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Return the Items of some rows, in the given order.

    Raises
    ------
    pyarrow.ArrowInvalid
        If one of them is damaged.
    """
    with Path(path).open("rb") as file:
        found = _unpacked(file, wanted)
    return found if found is not None else _made(path, wanted)


def _made(path: str, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Make Items from their columns; only the row groups with such rows are read."""
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
        (record,) = _made(path, [row])
    except Exception:  # whatever is wrong with it
        return None
    return record if is_whole(record) else None


def is_whole(record: Any) -> bool:
    """Whether a record has all parts of an Item."""
    kinds = (("id", str), ("collection", str), ("assets", dict), ("links", list), ("properties", dict))
    return all(isinstance(record.get(n), k) for n, k in kinds) and all(
        isinstance(a, dict) for a in record["assets"].values()
    )


def _text(record: dict[str, Any]) -> bytes:
    """Return an Item's text; an empty one if it is not whole, or not JSON."""
    try:
        return orjson.dumps(record) if is_whole(record) else b""
    except (TypeError, ValueError):
        return b""


def _packed(text: bytes, row: int, common: bytes) -> bytes:
    if not 0 < len(text) <= _LARGEST:
        return b""
    # A window of 8 KiB has room for the common text and an Item; a larger one is mostly cleared memory (103 and 38 µs).
    packing = zlib.compressobj(3, wbits=13, memLevel=5, zdict=common)
    return _ROW.pack(row) + packing.compress(text) + packing.flush()


def _unpacked(file: BinaryIO, wanted: Sequence[int]) -> list[dict[str, Any]] | None:
    """Return Items as they were packed; None if the file lacks some of them."""
    file.seek(_FIRST)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(_KIND):
        return None
    _, number, size = _HEAD.unpack(head)
    if size > _COMMON or any(row >= number for row in wanted):
        raise pa.ArrowInvalid("its packed Items are damaged")
    common = file.read(size)
    positions = _FIRST + _HEAD.size + size
    first = positions + 8 * (number + 1)
    items: list[dict[str, Any]] = []
    for row in wanted:
        file.seek(positions + 8 * row)
        begin, end = _SPAN.unpack(file.read(_SPAN.size).ljust(_SPAN.size, b"\0"))
        if begin == end:
            return None
        if not begin + _ROW.size < end <= begin + _LARGEST:
            raise pa.ArrowInvalid("its packed Items are damaged")
        file.seek(first + begin)
        items.append(_one(file.read(end - begin), row, common))
    return items


def _one(value: bytes, row: int, common: bytes) -> dict[str, Any]:
    unpacking = zlib.decompressobj(zdict=common)
    try:
        text = unpacking.decompress(value[_ROW.size :], _LARGEST)
    except zlib.error as error:
        raise pa.ArrowInvalid(f"a packed Item is damaged: {error}") from error
    if not unpacking.eof or value[: _ROW.size] != _ROW.pack(row):
        raise pa.ArrowInvalid("a packed Item is damaged")
    record: dict[str, Any] = orjson.loads(text)
    return record
