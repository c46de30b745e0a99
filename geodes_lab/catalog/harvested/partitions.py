"""The partitions of a harvested catalogue by month: new Items are merged, in files that searches can skip."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet, rows
from geodes_lab.catalog.harvested.columns import REST, TOP
from geodes_lab.catalog.harvested.snapshot import Collection, File, Snapshot, moment
from geodes_lab.catalog.harvested.staging import Staging
from geodes_lab.util.whole_file import make_folder

_BOUNDS = ("start_datetime", "end_datetime")
_BOX = ("xmin", "ymin", "xmax", "ymax")


def merged(before: Snapshot, name: str, title: str, parts: Staging, *, anew: bool) -> Snapshot:
    """Merge new Items into the catalogue: each affected month is written to a new file beside the old one.

    Parameters
    ----------
    before
        The present catalogue.
    name, title
        The id of the collection.
    parts
        The new Items of the collection; one month is in memory at a time.
    anew
        Whether all other Items of the collection are dropped.
    """
    known = before.collections.get(name, Collection())
    published, queryables = (None, {}) if anew else (known.published, dict(known.queryables))
    files = [f for f in before.files if f.collection != name or not (anew or f.month in parts.months)]
    for month in parts.months:
        tables = list(parts.of(month))
        for table in tables:
            latest = pc.max(table["published"]).as_py() if "published" in table.column_names else None
            published = max(filter(None, (published, latest and moment(latest))), default=None)
            queryables |= types(table.schema)
        old = [] if anew else [f for f in before.files if (f.collection, f.month) == (name, month)]
        tables = [*(pq.read_table(before.folder / f.path) for f in old), *tables]
        files.append(written(before.folder, name, month, _newest(joined(tables))))
    collection = replace(known, title=title or known.title, published=published, queryables=queryables)
    collections = {**before.collections, name: collection}
    return replace(before, collections=collections, files=tuple(sorted(files, key=lambda f: (f.collection, f.month))))


def joined(tables: list[pa.Table]) -> pa.Table:
    """Concatenate tables whose columns may differ."""
    texts = sorted({t for table in tables for t in geoparquet.texts(table)})
    joined = pa.concat_tables([geoparquet.with_texts(t, texts) for t in tables], promote_options="permissive")
    return joined.replace_schema_metadata(tables[-1].schema.metadata | geoparquet.said(texts))


def _newest(table: pa.Table) -> pa.Table:
    """Of duplicate Items, keep the last one."""
    key = "geodes:urn" if "geodes:urn" in table.column_names else "id"
    numbered = pa.table({"key": table[key], "row": pa.array(range(len(table)))})
    return table.take(numbered.group_by("key").aggregate([("row", "max")])["row_max"])


def written(folder: Path, name: str, month: str, table: pa.Table) -> File:
    """Write the Items of one month, and return a description of the file."""
    # With a unique name: readers of the previous snapshot continue with the files that it names.
    stamp = hashlib.sha256(f"{name}{month}{datetime.now(UTC).isoformat()}".encode()).hexdigest()[:12]
    path = Path("items") / name / f"{month}-{stamp}.parquet"
    make_folder((folder / path).parent)
    geoparquet.write(table, folder / path, rows.packed)
    start, end = (pc.coalesce(*(table[c] for c in (k, "datetime") if c in table.column_names)) for k in _BOUNDS)
    box = None
    if "bbox" in table.column_names and not table["bbox"].null_count:
        edges = [pc.struct_field(table["bbox"], k) for k in _BOX]
        west, south, east, north = (f(e).as_py() for f, e in zip((pc.min, pc.min, pc.max, pc.max), edges, strict=True))
        box = (west, south, east, north)
    first, last = (moment(t) for t in (pc.min(start).as_py(), pc.max(end).as_py()))
    size = max(table.nbytes, (folder / path).stat().st_size)
    return File(str(path), name, month, len(table), first, last, box, size)


def types(schema: pa.Schema) -> dict[str, str]:
    """Return the properties among the columns, with their JSON types."""
    by_name = {}
    for column in schema:
        if column.name not in (*TOP, REST):
            kind = column.type
            names = (
                (pa.types.is_boolean, "boolean"), (pa.types.is_integer, "integer"), (pa.types.is_floating, "number"),
                (pa.types.is_timestamp, "date"), (pa.types.is_list, "array"), (pa.types.is_struct, "object"),
            )  # fmt: skip
            by_name[column.name] = next((n for test, n in names if test(kind)), "string")
    return by_name
