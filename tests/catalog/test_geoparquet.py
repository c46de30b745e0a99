"""Rows of stac-geoparquet: objects without content, which Parquet has no type for."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from geodes_lab.catalog.harvested import geoparquet
from geodes_lab.catalog.harvested.partitions import joined


def item(assets, links=()):
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": "a", "collection": "c", "geometry": None, "links": list(links),
        "assets": assets, "properties": {"datetime": "2021-06-05T10:50:31Z", "note": {}},
    }  # fmt: skip


EMPTY = [
    item({}),
    item({"data": {"href": "a.tif", "extra": {}}}),
    item({"data": {"href": "a.tif", "extra": {"deep": [{}]}}}),
    item({}, [{"rel": "via", "href": "https://catalogue.example/a", "headers": {}}]),
]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize(
    "beside", [None, item({"data": {"href": "b.tif", "roles": ["data"]}})], ids=["alone", "joined"]
)
def test_objects_without_content_are_written_and_read_again(tmp_path, empty, beside):
    table = geoparquet.table([empty])
    if beside is not None:  # as the files of a collection's months are joined
        table = joined([table, geoparquet.table([beside])])
    geoparquet.write(table, tmp_path / "items.parquet")
    again = geoparquet.records(pq.read_table(tmp_path / "items.parquet"))
    assert again == [empty] if beside is None else empty in again and beside in again
