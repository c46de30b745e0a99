"""What was asked of a job, as a request that can be sent again: changed, or as it was."""

from __future__ import annotations

import json
from typing import Any

from geodes_lab.batch.request import Request
from geodes_lab.batch.store.records import Record
from geodes_lab.errors import GeodesError
from geodes_lab.processing import registry


def request_of(record: Record, request: Request, has_code: bool) -> dict[str, Any]:
    """Return process and inputs of a job, as the execution of a process takes them.

    Parameters
    ----------
    record, request
        The job.
    has_code
        Whether its process is one of a notebook.

    Raises
    ------
    GeodesError
        If nobody but its notebook, or another service, can begin it again.
    """
    process = registry.installed().get(record.process)
    inputs: dict[str, Any] = dict(request.inputs)
    if request.output == "notebook" and not has_code:
        inputs |= {"collection": request.collection or "", "title": record.title}
        return {"process": record.process, "inputs": inputs | ({"readers": request.readers} if request.readers else {})}
    if has_code or request.output == "remote" or process is None:
        raise GeodesError(f"The process {record.process} is not one of this lab: begin the job again where it began.")
    noted = json.loads(record.subscriber or "{}")
    search = noted.get("search")
    inputs |= {"search": search} if search else {"items": request.items}
    if process.region is None and request.region is not None:
        inputs["region"] = request.region
    grid = request.grid
    if grid is not None:
        inputs |= {"crs": grid.epsg, "resolution": grid.resolution, "tile": grid.tile}
    given = {"period": request.period, "every": request.every, "crs": request.crs, "resolution": request.resolution}
    inputs |= {name: value for name, value in given.items() if value is not None and name not in inputs}
    if request.output in ("zarr", "cog") and process.gives == "raster":
        inputs["output"] = request.output
    inputs |= {"collection": request.collection or "", "title": record.title}
    if request.clip:
        inputs["clip"] = True
    if request.readers:
        inputs["readers"] = request.readers
    return {"process": record.process, "inputs": inputs}
