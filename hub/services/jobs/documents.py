"""The documents of OGC API – Processes 1.0: processes, jobs, results, exceptions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from geodes_lab.batch.store.records import Progress, Record
from geodes_lab.processing.process import Process
from hub.services.jobs.words import french
from hub.services.pages import Language

_CLASSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
CONFORMANCE = [
    f"{_CLASSES}/{name}" for name in ("core", "ogc-process-description", "json", "job-list", "callback", "dismiss")
]
"""What is true of this service; a test goes through each."""
_RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0"
_EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_JSON, _GEOJSON = "application/json", "application/geo+json"
_GEOMETRY = {"type": "object", "format": "geojson-geometry"}


def _input(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "description": title, "minOccurs": 0, "maxOccurs": 1, "schema": schema}


OF_JOBS: dict[str, dict[str, Any]] = {
    "items": _input(
        "The products: STAC Items, as a list or as a collection of features.",
        {
            "oneOf": [
                {"type": "array", "items": {"type": "object"}},
                {"type": "object", "format": "stac-itemcollection"},
            ]
        },
    ),
    "search": _input(
        "Or a search of STAC that finds them in the lab's catalogue, with your rights: collections, datetime, bbox, "
        "intersects, ids, query, filter. Without bbox and intersects, the region.",
        {"type": "object"},
    ),
    "region": _input(
        "The region, GeoJSON in degrees: the job is split into tiles of a fixed grid, and needs crs and resolution.",
        {"oneOf": [_GEOMETRY, {"type": "object", "format": "geojson-feature-collection"}]},
    ),
    "period": _input("A year, a month, a day, or two of them: 2021, 2021-06/2021-08.", {"type": "string"}),
    "every": _input("What splits the period, such as 1MS: each month.", {"type": "string"}),
    "tile": _input("Pixels of a side of a tile.", {"type": "integer", "default": 1024}),
    "crs": _input("The EPSG code of the results.", {"type": "integer"}),
    "resolution": _input("The size of a pixel, in units of the CRS.", {"type": "number", "exclusiveMinimum": 0}),
    "clip": _input("Whether pixels outside the region become no data.", {"type": "boolean", "default": False}),
    "output": _input("One cube, or a GeoTIFF of each unit.", {"type": "string", "enum": ["zarr", "cog"]}),
    "collection": _input("Your collection of the catalogue for the results; empty: none.", {"type": "string"}),
    "readers": _input("Groups that can see it.", {"type": "array", "items": {"type": "string"}}),
    "title": _input("What you call the job.", {"type": "string", "maxLength": 200}),
}
"""Inputs of each job; an input of the process that has the same name counts instead."""
OF_NOTEBOOKS = ("collection", "readers", "title")
"""Those that a notebook has too."""


def landing(at: str, title: str) -> dict[str, Any]:
    """Return the first document."""
    links = [
        _link(f"{at}/", "self", "This document"),
        {"href": f"{at}/api", "rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.1"},
        _link(f"{at}/conformance", f"{_RELATIONS}/conformance", "What is true of this service"),
        _link(f"{at}/conformance", "conformance", "What is true of this service"),
        _link(f"{at}/processes", f"{_RELATIONS}/processes", "The processes"),
        _link(f"{at}/jobs", f"{_RELATIONS}/job-list", "Your jobs"),
    ]
    return {"title": title, "description": "Processes near the data, as jobs that go on without you.", "links": links}


def summary(process: Process, at: str, tongue: Language = "en") -> dict[str, Any]:
    """Return what the list of processes has of one."""
    whole = _described(process, tongue)
    names = ("id", "version", "title", "description", "jobControlOptions")
    one = {name: whole[name] for name in names}
    # What a form asks for depends on it: whether the process gives maps, and whether one for each product.
    one["keywords"] = [process.gives, process.over]
    one["outputTransmission"] = ["reference", "value"]
    one["links"] = [_link(f"{at}/processes/{process.id}", "self", process.title)]
    return one


def _described(process: Process, tongue: Language) -> dict[str, Any]:
    whole = process.describe()
    if tongue == "fr":
        whole |= {name: french.of(whole[name]) for name in ("title", "description")}
        for given in whole["inputs"].values():
            given["description"] = french.of(given["description"])
    return whole


def description(process: Process, at: str, tongue: Language = "en") -> dict[str, Any]:
    """Return all of a process: its own inputs, and those of each job."""
    whole = _described(process, tongue)
    execution = _link(f"{at}/processes/{process.id}/execution", f"{_RELATIONS}/execute", "Begin a job")
    return {
        **whole,
        **summary(process, at, tongue),
        "inputs": {**_of_jobs(process), **whole["inputs"]},
        "links": [_link(f"{at}/processes/{process.id}", "self", process.title), execution],
    }


def _of_jobs(process: Process) -> dict[str, dict[str, Any]]:
    return {n: OF_JOBS[n] for n in OF_NOTEBOOKS} if process.gives == "notebook" else OF_JOBS


def status(record: Record, progress: Progress, at: str) -> dict[str, Any]:
    """Return how far a job is."""
    document: dict[str, Any] = {
        "processID": record.process,
        "type": "process",
        "jobID": record.id,
        "status": record.state,
        "message": record.message or f"{progress}.",
        "progress": 100 if record.state == "successful" else min(progress.percent, 99),
        "title": record.title,
        # Beyond the standard, which knows a percentage alone.
        "units": {
            "total": progress.total,
            "done": progress.done,
            "running": progress.running,
            "failed": progress.failed,
        },
        "links": [_link(f"{at}/jobs/{record.id}", "self", "This job")],
    }
    if progress.cells:
        document["cells"] = {"total": progress.cells, "done": progress.cells_done}
    times = {"created": record.created, "started": record.started, "finished": record.finished}
    times["updated"] = record.updated
    document |= {name: instant(value) for name, value in times.items() if value is not None}
    links = document["links"]
    links.append(_link(f"{at}/jobs/{record.id}/log", "related", "What happened"))
    if record.state == "successful":
        links.append(_link(f"{at}/jobs/{record.id}/results", f"{_RELATIONS}/results", "The results"))
    return document


def results(record: Record, at: str) -> dict[str, Any]:
    """Return the results by reference."""
    return {"items": {"href": f"{at}/jobs/{record.id}/items", "type": _GEOJSON, "title": record.title}}


def exception(kind: str, status_: int, sentence: str) -> dict[str, Any]:
    """Return why something is not done."""
    return {"type": f"{_EXCEPTIONS}/{kind}", "title": kind, "status": status_, "detail": sentence}


def instant(seconds: float) -> str:
    """Write a time as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _link(href: str, rel: str, title: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": _JSON, "title": title}
