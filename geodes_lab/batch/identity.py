"""Which results are the same: a key of process, inputs, place, time and Items, so that nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from geodes_lab import __version__
from geodes_lab.batch.request import Request, Unit

_TELLING = ("updated", "published", "processing:version", "processing:datetime", "file:checksum", "file:size")


def key(process: str, version: str, code: bytes | None, request: Request, unit: Unit) -> str:
    """Return the key of a unit: 64 hexadecimal digits.

    Parameters
    ----------
    process, version
        Of the process.
    code
        Of a process of a notebook.
    request
        Of the job.
    unit
        One of its units.
    """
    grid = request.grid
    place: Any = None
    if grid is not None and unit.tile is not None:
        place = [grid.epsg, grid.resolution, grid.anchor, grid.tile, unit.tile]
    else:
        place = [request.crs, request.resolution]
    parts = {
        "lab": __version__,
        "process": [process, version, hashlib.sha256(code).hexdigest() if code else ""],
        "inputs": request.inputs,
        "place": place,
        "region": request.region if request.clip or unit.tile is None else None,
        "clip": request.clip,
        "time": None if unit.time is None else request.times[unit.time],
        "output": request.output,
        "items": sorted(_of_item(request.items[n]) for n in unit.items),
    }
    if request.stamps:
        parts["files"] = request.stamps
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _of_item(item: dict[str, Any]) -> str:
    """Tell a product from another one, and from a new version of itself."""
    properties = item.get("properties") or {}
    assets = item.get("assets") or {}
    files = {
        name: [str(a.get("href", "")).partition("?")[0], *(a.get(n) for n in _TELLING)]
        for name, a in assets.items()
        if isinstance(a, dict) and "thumbnail" not in (a.get("roles") or ())
    }
    told = {n: properties.get(n) for n in _TELLING}
    return json.dumps([item.get("collection"), item.get("id"), told, files], sort_keys=True)
