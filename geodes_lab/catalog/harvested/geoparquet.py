"""Items as rows of stac-geoparquet, and back: DuckDB, GDAL and other tools can read them directly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from geodes_lab.catalog import json_values
from geodes_lab.catalog.harvested.columns import REST, TIMES, TOP
from geodes_lab.catalog.harvested.columns import columns as fitting
from geodes_lab.util import instant
from geodes_lab.util.whole_file import rename_to_stay

ROWS = 2048
"""Of a group of rows, the smallest unit of a read."""
_JSON = (
    b"geodes:json"  # in a file's metadata: the columns with JSON text, because their shape differs from Item to Item
)
_BBOX = ("xmin", "ymin", "xmax", "ymax")
# Columns that every file has, because every search names them.
_ALWAYS = {
    "datetime": pa.timestamp("us", "UTC"),
    "geometry": pa.binary(),
    "bbox": pa.struct([(k, pa.float64()) for k in _BBOX]),
}
# Identifies a table as stac-geoparquet; versions of it and of the GeoParquet specification.
_STAC = b"stac-geoparquet"
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": [],
            "covering": {"bbox": {k: ["bbox", k] for k in _BBOX}},
        }
    },
}


def table(records: Sequence[dict[str, Any]]) -> pa.Table:
    """Make a table of Items (dictionaries) of one collection; the Items are not changed.

    Links are dropped, except those to other places than the Item and its catalogue. Properties whose names cannot be
    columns are stored together as JSON text; a search cannot use them.
    """
    wanted = fitting({k for r in records for k in r["properties"]})
    flat = [_flat(r, wanted) for r in records]
    columns = {n: [row.get(n) for row in flat] for n in dict.fromkeys(k for row in flat for k in row)}
    columns |= _places(records)
    ragged = [n for n, values in columns.items() if n not in TOP and _is_ragged(values)]
    arrays = {
        n: _texts(v) if n in ragged else _array(n, v) for n, v in columns.items() if any(x is not None for x in v)
    }
    for name in [n for n, array in arrays.items() if _has_empty(array.type)]:
        arrays[name] = _texts(columns[name])
        ragged.append(name)
    arrays |= {n: pa.nulls(len(records), t) for n, t in _ALWAYS.items() if n not in arrays}
    return pa.table(arrays).replace_schema_metadata(said(ragged))


def said(texts: Sequence[str]) -> dict[bytes, bytes]:
    """Return a file's metadata; ``texts`` are the columns with JSON text."""
    return {
        _JSON: json.dumps(list(texts)).encode(),
        _STAC: json.dumps({"version": "1.0.0"}).encode(),
        b"geo": json.dumps(_GEO).encode(),
    }


def texts(rows: pa.Table) -> list[str]:
    """Return the columns with JSON text, because their shape differs from Item to Item."""
    columns: list[str] = json.loads((rows.schema.metadata or {}).get(_JSON, b"[]"))
    return columns


def with_texts(rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Return the same table with some columns as JSON text, as in another table."""
    for name in set(wanted) - set(texts(rows)):
        if name in rows.column_names:
            values = [None if v is None else json.dumps(json_values.of_value(v)) for v in rows[name].to_pylist()]
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))
    return rows


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the Items of a table, as dictionaries."""
    written = set(texts(rows))
    geometries = (
        shapely.to_geojson(shapely.from_wkb(rows["geometry"].to_pylist())).tolist()
        if "geometry" in rows.column_names
        else []
    )
    others = rows.drop_columns(["geometry"] if len(geometries) else [])
    columns = {n: json_values.of_column(others[n].combine_chunks()) for n in others.column_names}
    for name in written & columns.keys():
        columns[name] = [None if v is None else orjson.loads(v) for v in columns[name]]
    items = []
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        full = {k: v for k, v in zip(columns, row, strict=True) if v is not None}
        item = {k: full.pop(k) for k in TOP if k in full}
        full |= full.pop(REST, {})
        geometry = geometries[number] if len(geometries) else None
        item["geometry"] = None if geometry is None else orjson.loads(geometry)
        if "bbox" in item:
            item["bbox"] = [item["bbox"][k] for k in _BBOX]
        full.setdefault("datetime", None)  # STAC requires the field, even with an interval
        items.append({"type": "Feature", "links": [], "assets": {}, **item, "properties": full})
    return items


def write(rows: pa.Table, path: Path, before: Callable[[pa.Table], Iterable[bytes]] = lambda _: ()) -> None:
    """Write a table, whole or not at all, sorted so that Items that are close in place and time are read together.

    Parameters
    ----------
    rows, path
        The table, and where.
    before
        Returns bytes for the sorted table, which are put after the four bytes that each Parquet file begins with;
        readers of Parquet skip them, since the end of the file says where all else is.
    """
    part = path.with_suffix(".part")
    rows = rows.take(_order(rows))
    with (
        pa.OSFile(str(part), "wb") as sink,
        pq.ParquetWriter(sink, rows.schema, compression="zstd", compression_level=6, write_statistics=True) as file,
    ):
        for some in before(rows):
            sink.write(some)
        file.write_table(rows, row_group_size=ROWS)
    rename_to_stay(part, path)


def _flat(record: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    row = {k: v for k, v in record["properties"].items() if k in wanted}
    if len(row) < len(record["properties"]):
        row[REST] = {k: v for k, v in record["properties"].items() if k not in wanted}
    row |= {k: v for k, v in record.items() if k in TOP and k not in ("geometry", "bbox")}
    row["links"] = [
        link for link in record.get("links", ()) if link.get("rel") not in ("self", "root", "parent", "collection")
    ]
    return row


def _places(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return footprints and their boxes, all at once."""
    geometries = shapely.from_geojson([g and orjson.dumps(g) for g in (r.get("geometry") for r in records)])
    bounds = shapely.bounds(geometries).tolist()
    boxes = []
    for record, geometry, around in zip(records, geometries, bounds, strict=True):
        bbox = record.get("bbox") or (None if geometry is None else around)
        if bbox is not None and len(bbox) == 6:
            bbox = _flattened(bbox)
        boxes.append(None if bbox is None else dict(zip(_BBOX, map(float, bbox), strict=True)))
    return {"geometry": shapely.to_wkb(geometries).tolist(), "bbox": boxes}


def _flattened(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return a box without its heights."""
    return bbox[0], bbox[1], bbox[3], bbox[4]


def _is_ragged(values: Sequence[Any]) -> bool:
    """Whether values have different shapes, so that no column type fits all."""
    kinds = set(map(type, values))
    return dict in kinds or (list in kinds and any(isinstance(v, (dict, list)) for some in values for v in some or ()))


def _has_empty(kind: pa.DataType) -> bool:
    """Whether objects without content are in it, for which Parquet has no type: an Item may have no assets."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty(field.type) for field in kind.fields)
    return pa.types.is_list(kind) and _has_empty(kind.value_type)


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else orjson.dumps(v).decode() for v in values], pa.string())


def _array(name: str, values: list[Any]) -> pa.Array:
    if name in TIMES:
        try:
            return pc.cast(pa.array(values, pa.string()), pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:  # one of them has no offset
            return pa.array([instant.utc(v) for v in values], pa.timestamp("us", "UTC"))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # integers and other numbers, or two kinds
        if all(v is None or isinstance(v, (int, float)) for v in values):
            return pa.array([None if v is None else float(v) for v in values])
        raise


def _order(rows: pa.Table) -> pa.Array:
    """Return the order along a space-filling curve through the centres of the boxes, then by time."""
    if "bbox" not in rows.column_names or rows["bbox"].null_count == len(rows):
        return pc.sort_indices(rows["datetime"])
    box = rows["bbox"].combine_chunks()
    west, south, east, north = (np.nan_to_num(pc.struct_field(box, k).to_numpy(zero_copy_only=False)) for k in _BBOX)
    x = ((west + east) / 2 + 180) / 360 * 65535
    y = ((south + north) / 2 + 90) / 180 * 65535
    cell = _interleaved(x.clip(0, 65535).astype("uint64")) | (
        _interleaved(y.clip(0, 65535).astype("uint64")) << np.uint64(1)
    )
    time = rows["datetime"].cast(pa.int64()).fill_null(0).to_numpy()
    return pa.array(np.lexsort((time, cell)))


def _interleaved(n: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Spread the bits of 16-bit numbers, with a gap beside each (Morton order)."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        n = (n | (n << np.uint64(shift))) & np.uint64(mask)
    return n
