"""Items as rows of stac-geoparquet, and back: what DuckDB, GDAL and other tools of the field read as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from geodes_lab.catalog.harvested.columns import REST, TIMES, TOP
from geodes_lab.catalog.harvested.columns import columns as fitting
from geodes_lab.util import instant

ROWS = 2048
"""Of a group, which is the least that is read."""
_JSON = (
    b"geodes:json"  # in a file's metadata: the columns that are JSON text, since their shape differs from Item to Item
)
_BBOX = ("xmin", "ymin", "xmax", "ymax")
# Columns that every file has, since every search names them.
_ALWAYS = {
    "datetime": pa.timestamp("us", "UTC"),
    "geometry": pa.binary(),
    "bbox": pa.struct([(k, pa.float64()) for k in _BBOX]),
}
# What says that a table is stac-geoparquet; versions of its own and of GeoParquet's specification.
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
    """Make a table of Items of one collection, given as dictionaries; they are left as they are.

    Links go, but for those that lead elsewhere than to the Item and its catalogue. Properties whose names cannot be
    columns are kept together as JSON text; nobody can ask for them.
    """
    wanted = fitting({k for r in records for k in r["properties"]})
    flat = [_flat(r, wanted) for r in records]
    columns = {n: [row.get(n) for row in flat] for n in dict.fromkeys(k for row in flat for k in row)}
    columns |= _places(records)
    ragged = [n for n, values in columns.items() if n not in TOP and _is_ragged(values)]
    for name in ragged:
        columns[name] = [None if v is None else orjson.dumps(v).decode() for v in columns[name]]
    arrays = {n: _array(n, v) for n, v in columns.items() if any(x is not None for x in v)}
    arrays |= {n: pa.nulls(len(records), t) for n, t in _ALWAYS.items() if n not in arrays}
    return pa.table(arrays).replace_schema_metadata(said(ragged))


def said(texts: Sequence[str]) -> dict[bytes, bytes]:
    """What a file of Items says of itself; ``texts`` are the columns that are JSON text."""
    return {
        _JSON: json.dumps(list(texts)).encode(),
        _STAC: json.dumps({"version": "1.0.0"}).encode(),
        b"geo": json.dumps(_GEO).encode(),
    }


def texts(rows: pa.Table) -> list[str]:
    """The columns that are JSON text, because their shape differs from Item to Item."""
    found: list[str] = json.loads((rows.schema.metadata or {}).get(_JSON, b"[]"))
    return found


def with_texts(rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """The same with some columns as JSON text, as another table has them."""
    for name in set(wanted) - set(texts(rows)):
        if name in rows.column_names:
            values = [None if v is None else json.dumps(_said(v)) for v in rows[name].to_pylist()]
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))
    return rows


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """The Items of a table, as dictionaries."""
    written = set(texts(rows))
    geometries = (
        shapely.to_geojson(shapely.from_wkb(rows["geometry"].to_pylist())).tolist()
        if "geometry" in rows.column_names
        else []
    )
    found = []
    for number, row in enumerate(rows.drop_columns(["geometry"] if len(geometries) else []).to_pylist()):
        full = {k: orjson.loads(v) if k in written else _said(v) for k, v in row.items() if v is not None}
        item = {k: full.pop(k) for k in TOP if k in full}
        full |= full.pop(REST, {})
        geometry = geometries[number] if len(geometries) else None
        item["geometry"] = None if geometry is None else orjson.loads(geometry)
        if "bbox" in item:
            item["bbox"] = [item["bbox"][k] for k in _BBOX]
        full.setdefault("datetime", None)  # STAC wants it said, where there is an interval instead
        found.append({"type": "Feature", "links": [], "assets": {}, **item, "properties": full})
    return found


def write(rows: pa.Table, path: Path) -> None:
    """Write a table, sorted so that what lies together and was taken together is read together; whole or not there."""
    part = path.with_suffix(".part")
    pq.write_table(
        rows.take(_order(rows)),
        part,
        compression="zstd",
        compression_level=6,
        row_group_size=ROWS,
        write_statistics=True,
    )
    part.replace(path)


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
    """Footprints and their boxes, all at once."""
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
    """A box with heights without them."""
    return bbox[0], bbox[1], bbox[3], bbox[4]


def _is_ragged(values: Sequence[Any]) -> bool:
    """Whether values have shapes of their own, so that no column has a type for all."""
    kinds = set(map(type, values))
    return dict in kinds or (list in kinds and any(isinstance(v, (dict, list)) for some in values for v in some or ()))


def _array(name: str, values: list[Any]) -> pa.Array:
    if name in TIMES:
        try:
            return pc.cast(pa.array(values, pa.string()), pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid:  # one of them is told without an offset
            return pa.array([instant.utc(v) for v in values], pa.timestamp("us", "UTC"))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # whole numbers and others, or two kinds
        if all(v is None or isinstance(v, (int, float)) for v in values):
            return pa.array([None if v is None else float(v) for v in values])
        raise


def _said(value: Any) -> Any:
    """A value as JSON has it; of a struct without what is not there."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, dict):
        return {k: _said(v) for k, v in value.items() if v is not None}
    return [_said(v) for v in value] if isinstance(value, list) else value


def _order(rows: pa.Table) -> pa.Array:
    """Along a space-filling curve through the middles of the boxes, then by time."""
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
    """The bits of 16-bit numbers, each with room for another beside it (Morton's order)."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        n = (n | (n << np.uint64(shift))) & np.uint64(mask)
    return n
