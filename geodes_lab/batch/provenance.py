"""STAC Items of the results of a job: what they were made of, by what, with which inputs, and their checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pystac
import shapely
from shapely.geometry import mapping, shape

from geodes_lab.batch import places
from geodes_lab.batch.request import File, Request, Result, Unit
from geodes_lab.batch.running import outputs
from geodes_lab.batch.store.records import Record
from geodes_lab.results.publish import item_of
from geodes_lab.util import instant

_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_LARGE = 20_000  # characters of inputs that an Item repeats; of longer ones it has the checksum
_PARQUET = "application/vnd.apache.parquet"
_NOTEBOOK = "application/x-ipynb+json"


def items(
    record: Record, request: Request, done: Sequence[tuple[Unit, Result]], folder: Path
) -> list[dict[str, Any] | pystac.Item]:
    """Describe what is done of a job.

    Parameters
    ----------
    record, request
        The job.
    done
        Its units that are done, with what they made.
    folder
        Of the job; metadata of its files are read.
    """
    several = [(u, r) for u, r in done if not u.is_end]
    if request.output == "zarr":
        return [_cube(record, request, several, folder)] if any(r.files for _, r in several) else []
    described: list[dict[str, Any] | pystac.Item] = []
    for unit, result in several:
        if request.output in ("items", "remote"):
            for document in result.items:
                item = pystac.Item.from_dict(document)
                _added(item, record, request, unit.items)
                described.append(item)
        elif request.output == "notebook":
            described.append(_of_notebook(record, request, result, folder))
        elif result.files:
            described.append(_of_file(record, request, unit, result.files[0], folder))
    return described


def _cube(record: Record, request: Request, done: list[tuple[Unit, Result]], folder: Path) -> pystac.Item:
    times = [request.times[u.time] for u, _ in done if u.time is not None] or [
        _span(request, range(len(request.items)))
    ]
    interval = f"{min(t[0] for t in times)}/{max(t[1] for t in times)}"
    item = item_of(folder / outputs.CUBE, name=record.folder, datetime=interval)
    files = sorted((f.path, f.sha256) for _, r in done for f in r.files)
    asset = item.assets["zarr"]
    # Of all tiles together: a cube is a folder, and has no checksum of its own.
    asset.extra_fields["geodes:tiles"] = len(files)
    asset.extra_fields["geodes:checksum"] = f"1220{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"
    asset.extra_fields["file:size"] = sum(f.size for _, r in done for f in r.files)
    _added(item, record, request, sorted({n for u, _ in done for n in u.items}))
    return item


def _of_file(record: Record, request: Request, unit: Unit, file: File, folder: Path) -> pystac.Item:
    begin, end = request.times[unit.time] if unit.time is not None else _span(request, unit.items)
    path = places.within(folder, file.path)
    name = f"{record.folder}_{unit.file}"
    if request.output == "table":
        item = _of_table(request, unit, name, begin, end)
        item.add_asset("table", pystac.Asset(path.as_uri(), media_type=_PARQUET, roles=["data"], title=path.name))
    else:
        item = item_of(path, name=name, datetime=f"{begin}/{end}")
    asset = next(iter(item.assets.values()))
    asset.extra_fields |= {"file:size": file.size, "file:checksum": f"1220{file.sha256}"}
    _added(item, record, request, unit.items)
    return item


def _of_notebook(record: Record, request: Request, result: Result, folder: Path) -> pystac.Item:
    """Describe an executed notebook: it has no place on the earth, and its time is that of the run."""
    (file,), (about,) = result.files, result.items
    path = places.within(folder, file.path)
    began, ended = (datetime.fromtimestamp(t, UTC) for t in (record.started or record.created, path.stat().st_mtime))
    known = {"geodes:kernel": str(about["kernel"]), "geodes:notebook_sha256": str(about["sha256"])}
    item = pystac.Item(
        record.folder, None, None, None, {**known, "title": record.title}, start_datetime=min(began, ended),
        end_datetime=ended,
    )  # fmt: skip
    asset = pystac.Asset(path.as_uri(), path.name, media_type=_NOTEBOOK, roles=["data"])
    asset.extra_fields |= {"file:size": file.size, "file:checksum": f"1220{file.sha256}"}
    item.add_asset("notebook", asset)
    _added(item, record, request, [])
    return item


def _of_table(request: Request, unit: Unit, name: str, begin: str, end: str) -> pystac.Item:
    if request.region is not None:
        area = shape(request.region)
    else:
        area = shapely.union_all(
            [shape(request.items[n]["geometry"]) for n in unit.items if request.items[n].get("geometry")]
        )
    first, last = instant.utc(begin), instant.utc(end)
    return pystac.Item(name, mapping(area), list(area.bounds), None, {}, start_datetime=first, end_datetime=last)


def _span(request: Request, numbers: Any) -> tuple[str, str]:
    """Return the first and last moment of some Items."""
    moments = [m for n in numbers if (m := instant.begin(pystac.Item.from_dict(request.items[n]))) is not None]
    if not moments:
        return "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"
    return instant.text(min(moments)), instant.text(max(moments))


def _added(item: pystac.Item, record: Record, request: Request, numbers: Sequence[int]) -> None:
    """Say what a result was made of, and how."""
    sources = [request.items[n] for n in numbers]
    inputs: Any = request.inputs
    if len(text := json.dumps(inputs, sort_keys=True)) > _LARGE:
        inputs = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "characters": len(text)}
    item.properties |= {
        "derived_from": [str(s.get("id")) for s in sources],
        "processing:software": {"geodes_lab": version("geodes-lab"), record.process: record.version},
        "processing:lineage": f"{record.process} {record.version}, job {record.id}",
        "geodes:job": record.id,
        "geodes:process": record.process,
        "geodes:inputs": inputs,
    }
    for source in sources:
        links = source.get("links") or ()
        href = next(
            (k["href"] for k in links if isinstance(k, dict) and k.get("rel") == "self" and k.get("href")), None
        )
        if isinstance(href, str):
            item.add_link(pystac.Link("derived_from", href, "application/geo+json", str(source.get("id"))))
    item.stac_extensions = list(dict.fromkeys([*item.stac_extensions, _PROCESSING, _FILE]))
