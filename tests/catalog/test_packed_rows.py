"""Items that a file has whole beside its columns: the same ones, and never wrong ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geodes_lab.catalog.harvested import geoparquet, rows
from geodes_lab.catalog.harvested.partitions import written

ITEMS = [
    {
        "type": "Feature", "stac_version": "1.1.0", "id": f"é{n}", "collection": "c", "geometry": None,
        "links": [{"rel": "via", "href": "https://catalogue.example/a"}] if n % 2 else [],
        "assets": {"data": {"href": f"{n}.tif"}} if n != 5 else {},
        "properties": {"datetime": f"2021-06-05T10:{n % 60:02d}:31Z", "n": n, "odd name": [{"a": None}]},
    }
    for n in range(geoparquet.ROWS + 100)
]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    return folder / written(folder, "c", "2021-06", geoparquet.table(ITEMS)).path


def test_packed_items_are_those_of_the_columns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = geoparquet.records(pq.read_table(path))
    assert sorted(i["properties"]["n"] for i in columns) == list(range(len(ITEMS)))
    wanted = [geoparquet.ROWS + 3, 0, 17, geoparquet.ROWS - 1]
    bare = path.with_name("bare.parquet")
    geoparquet.write(pq.read_table(path), bare)  # as an earlier version wrote it
    assert rows.records(str(bare), wanted) == [columns[n] for n in wanted]
    monkeypatch.setattr(rows, "_made", None)  # the columns are not needed
    assert rows.records(str(path), wanted) == [columns[n] for n in wanted]


def test_items_that_are_not_whole_are_made_from_their_columns(tmp_path: Path) -> None:
    table = geoparquet.table(ITEMS[:3])
    table = table.set_column(table.column_names.index("id"), "id", pa.array(["a", None, "c"]))
    geoparquet.write(table, tmp_path / "a.parquet", rows.packed)
    assert [r.get("id") for r in rows.records(str(tmp_path / "a.parquet"), [0, 1, 2])] == ["a", None, "c"]


def test_damaged_packed_items_are_never_answered(path: Path) -> None:
    whole = path.read_bytes()
    expected = rows.records(str(path), [1])
    _, number, common = rows._HEAD.unpack_from(whole, 4)
    positions = 4 + rows._HEAD.size + common
    first = positions + 8 * (number + 1)
    begin, end = rows._SPAN.unpack_from(whole, positions + 8)
    damaged = path.with_name("damaged.parquet")
    for place in (12, 16, *range(positions + 8, positions + 24), *range(first + begin, first + end)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        damaged.write_bytes(changed)
        try:
            assert rows.records(str(damaged), [1]) == expected  # the columns' own
        except pa.ArrowInvalid:
            continue
