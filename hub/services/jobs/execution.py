"""A request to begin a job becomes a draft; nothing is opened on the way, neither files nor addresses that it names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geodes_lab.errors import GeodesError
from geodes_lab.processing.process import Process
from hub.services.jobs.calls.desk import MOST_UNITS
from hub.services.jobs.documents import OF_JOBS, OF_NOTEBOOKS

if TYPE_CHECKING:
    from geodes_lab.batch.submission import Draft

_log = logging.getLogger("jobs")
MOST_ITEMS = 20_000
_GEOJSON = (
    "Feature", "FeatureCollection", "Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString",
    "GeometryCollection",
)  # fmt: skip
_QUALIFIED = {"value", "mediaType", "encoding", "schema"}
_WORDS = {"inputs", "outputs", "response", "subscriber"}

Search = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""Finds Items in the lab's catalogue, as the person who asks."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    draft: Draft
    raw: bool
    """Whether the results are wanted as they are, not in a document."""
    by_value: bool
    """Whether the document of the results has the Items in it, not their address."""
    search: dict[str, Any] | None = None
    """Of the products, if the request has one."""


def read(process: Process, body: Any, search: Search) -> Asked:
    """Check a request to execute a process.

    Parameters
    ----------
    process
        The process.
    body
        The request, as JSON was parsed.
    search
        Finds the products, where the request has a search.

    Raises
    ------
    GeodesError
        One sentence.
    """
    if not isinstance(body, dict):
        raise GeodesError("The request must be a JSON object with inputs.")
    if unknown := set(body) - _WORDS:
        raise GeodesError(f"The request has {_few(unknown)}, which is not known: it has {', '.join(sorted(_WORDS))}.")
    inputs = body.get("inputs", {})
    if not isinstance(inputs, dict):
        raise GeodesError("inputs must be a JSON object.")
    raw = body.get("response", "raw") == "raw"
    if body.get("response", "raw") not in ("raw", "document"):
        raise GeodesError("response is raw or document.")
    by_value = _by_value(body.get("outputs") or {}, raw)
    values = {str(name): _value(str(name), value) for name, value in inputs.items()}
    if process.gives == "notebook":
        return Asked(_notebook(process, values), raw, by_value)
    own, job = _divided(process, values)
    region = job.pop("region", None)
    place = region if region is not None else own.get(process.region or "")
    wanted = job.pop("search", None)
    items = _items(job.pop("items", None), wanted, place, search)
    title, collection = _named(job, process)
    usual = _usual(job)
    # Here, since all families of products come with it: 2 s of CPU that each start of a hub would pay.
    from geodes_lab.batch.submission import prepared

    draft = _prepared(
        lambda: prepared(process, items, own, region=region, collection=collection, title=title, reads=False, **usual)
    )
    return Asked(draft, raw, by_value, wanted)


def repeated(process: Process, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Check what a schedule begins each time: its search, the inputs of the process, and those of the job.

    Raises
    ------
    GeodesError
        One sentence.
    """
    if set(body) != {"inputs"} or not isinstance(body["inputs"], dict):
        raise GeodesError("The request of a schedule has inputs and schedule, each a JSON object.")
    own, job = _divided(process, {str(n): _value(str(n), v) for n, v in body["inputs"].items()})
    if wrong := {"items", "period", "every"} & set(job):
        raise GeodesError(f"A schedule has a search, and each says its periods: leave out {', '.join(sorted(wrong))}.")
    search, region = job.pop("search", None), job.pop("region", None)
    if not isinstance(search, dict) or "datetime" in search:
        raise GeodesError("A schedule needs search, as a STAC API takes it, without datetime: start says from when on.")
    title, collection = _named(job, process)
    usual = {**_usual(job), "title": title, "collection": collection}
    place = region if region is not None else own.get(process.region or "")
    if place is not None and not {"bbox", "intersects"} & set(search):
        search = search | {"bbox": _box(place)}
    if region is not None:
        from geodes_lab.batch import submission
        from geodes_lab.vector import shapes

        usual["region"] = submission.geojson(shapes.union("region", region))
    return search, process.inputs.checked(own), usual


def _divided(process: Process, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide inputs into those of the process and those of each job; shapes are checked."""
    own = {name: value for name, value in values.items() if name in process.inputs.names or name not in OF_JOBS}
    job = {name: value for name, value in values.items() if name not in own}
    for name in {process.region, "zones"} & set(own):
        _check_shapes(str(name), own[str(name)])
    if job.get("region") is not None:
        _check_shapes("region", job["region"])
    return own, job


def _named(job: dict[str, Any], process: Process) -> tuple[str, str]:
    """Take the title of a job, and the collection of its results, out of its inputs."""
    title, collection = job.pop("title", ""), job.pop("collection", process.id)
    for name, value in (("title", title), ("collection", collection)):
        if not isinstance(value, str) or len(value) > 200:
            raise GeodesError(f"{name} must be a text of at most 200 characters.")
    return title, collection


def _notebook(process: Process, values: dict[str, Any]) -> Draft:
    """Check a request to run a notebook of the person's home, which is read by the person's own runner alone."""
    if unknown := set(values) - {*process.inputs.names, *OF_NOTEBOOKS}:
        known = ", ".join([*process.inputs.names, *OF_NOTEBOOKS])
        raise GeodesError(f"A notebook has no input {_few(unknown)}: it has {known}.")
    title, collection = _named(values, process)
    readers = _usual({"readers": values.pop("readers", [])})["readers"]
    given = process.inputs.checked(values)
    from geodes_lab.batch.notebooks.submission import named

    about = {"kernel": given["kernel"], "collection": collection, "readers": readers, "title": title}
    return named(given["notebook"], given["parameters"], **about)


def _prepared(prepare: Callable[[], Draft]) -> Draft:
    try:
        draft = prepare()
    except (GeodesError, MemoryError):
        raise
    except Exception as error:  # an Item or a CRS that no library here understands
        _log.info("A request cannot be understood.", exc_info=True)
        line = (str(error).splitlines() or [""])[0][:200]
        raise GeodesError(f"The products or inputs cannot be understood ({type(error).__name__}: {line}).") from None
    if len(draft.units) > MOST_UNITS:
        raise GeodesError(f"The job has {len(draft.units)} units, more than {MOST_UNITS}: choose larger tiles.")
    if not draft.units:
        raise GeodesError("None of the products lies in the region and the period.")
    return draft


def _usual(job: dict[str, Any]) -> dict[str, Any]:
    kinds: dict[str, type | tuple[type, ...]] = {
        "period": str, "every": str, "tile": int, "crs": int, "resolution": (int, float), "clip": bool, "output": str,
        "readers": list,
    }  # fmt: skip
    for name, value in job.items():
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is not bool):
            raise GeodesError(f"{name} cannot be {repr(value)[:80]}: {OF_JOBS[name]['title']}")
        if isinstance(value, str) and len(value) > 100:
            raise GeodesError(f"{name} has more than 100 characters.")
    return job


def _value(name: str, value: Any) -> Any:
    """Take a value out of what qualifies it; one that is elsewhere is not fetched."""
    if isinstance(value, dict) and "value" in value and set(value) <= _QUALIFIED:
        return value["value"]
    if isinstance(value, dict) and "href" in value:
        raise GeodesError(f"The input {name} is an address: give the value itself, nothing is fetched for you here.")
    return value


def _check_shapes(name: str, value: Any) -> None:
    if not isinstance(value, dict) or value.get("type") not in _GEOJSON:
        raise GeodesError(f"{name} must be GeoJSON: a geometry, a Feature or a FeatureCollection.")


def _items(given: Any, wanted: Any, region: Any, search: Search) -> list[dict[str, Any]]:
    if (given is None) == (wanted is None):
        raise GeodesError("A job needs its products: either items (STAC Items) or search (a search of STAC).")
    if wanted is not None:
        if not isinstance(wanted, dict):
            raise GeodesError("search must be a JSON object, as a STAC API takes it.")
        if region is not None and not {"bbox", "intersects"} & set(wanted):
            wanted = wanted | {"bbox": _box(region)}
        found = search(wanted)
        if not found:
            raise GeodesError("The search finds no product.")
        return found
    if isinstance(given, dict) and given.get("type") == "FeatureCollection":
        given = given.get("features")
    elif isinstance(given, dict):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(i, dict) and i.get("type") == "Feature" for i in given):
        raise GeodesError("items must be STAC Items: objects of the type Feature, not names or addresses.")
    if len(given) > MOST_ITEMS:
        raise GeodesError(f"items has {len(given)} products, more than {MOST_ITEMS}: begin several jobs.")
    return given


def _box(region: Any) -> list[float]:
    from geodes_lab.vector import shapes

    west, south, east, north = shapes.converted(shapes.union("region", region), shapes.DEGREES).geom.bounds
    return [west, south, east, north]


def _by_value(outputs: Any, raw: bool) -> bool:
    if not isinstance(outputs, dict) or set(outputs) - {"items"}:
        raise GeodesError("outputs can have items alone: that is the one output of a process.")
    chosen = outputs.get("items", {})
    if not isinstance(chosen, dict) or chosen.get("transmissionMode", "value") not in ("value", "reference"):
        raise GeodesError("outputs.items is an object; its transmissionMode is value or reference.")
    return bool(chosen.get("transmissionMode", "value" if raw else "reference") == "value")


def _few(names: set[Any]) -> str:
    return ", ".join(repr(str(n)[:40]) for n in sorted(names, key=str)[:5])
