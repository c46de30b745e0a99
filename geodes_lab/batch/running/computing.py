"""One unit is computed: on a worker, or in a thread of the runner."""

from __future__ import annotations

import inspect
import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import numpy as np
import pandas as pd
import pystac
import xarray as xr
from odc.geo.geom import Geometry
from shapely.geometry import shape

from geodes_lab import products
from geodes_lab.batch import own_code
from geodes_lab.batch.request import File, Impossible, Request, Result, Unit
from geodes_lab.batch.running import outputs
from geodes_lab.batch.splitting import tiles
from geodes_lab.cube.band_sources import Unpacked
from geodes_lab.cube.opening import open_cube
from geodes_lab.processing import references
from geodes_lab.processing.place import Place
from geodes_lab.processing.process import TERRAIN, Process
from geodes_lab.processing.registry import installed
from geodes_lab.products import converted, masks
from geodes_lab.util import instant
from geodes_lab.vector.shapes import DEGREES

_PRODUCTS = 256  # whose metadata a worker keeps
_SMALL = 2**26  # bytes of a cube that is read before its process is called
_EMPTY = "All-NaN|Mean of empty slice|Degrees of freedom"


@dataclass(frozen=True)
class Call:
    """All that a worker needs for one unit."""

    process: str
    version: str
    code: bytes | None
    """Of a process of a notebook; its seal was checked."""
    request: Request
    """With the Items of the unit alone."""
    unit: Unit
    folder: str
    """Of the job; seen by runner and workers."""
    threads: int
    """For this unit."""


def compute(call: Call) -> Result:
    """Compute a unit and write its files.

    Raises
    ------
    GeodesError, OSError
        If a product cannot be read, or a file cannot be written. An error of the process is raised unchanged.
    """
    process, folder = process_of(call), Path(call.folder)
    # What has no data in a whole period has none in the result: nothing to warn of. For the whole process, since a
    # context of one thread would undo that of another.
    warnings.filterwarnings("ignore", _EMPTY, RuntimeWarning)
    folder.mkdir(parents=True, exist_ok=True)
    items = [products.as_item(document) for document in call.request.items]
    scheduler = {"scheduler": "threads", "num_workers": call.threads} if call.threads > 1 else {"scheduler": "sync"}
    with dask.config.set(scheduler):
        try:
            return _made(process, call, items, folder)
        except Exception:
            _band_item.cache_clear()  # another attempt reads all anew
            raise


def _made(process: Process, call: Call, items: list[pystac.Item], folder: Path) -> Result:
    if process.takes == "items":
        return _of_items(process, call, items, folder)
    data = lazy(process, call, _described(process, call, items), loads=process.loads)
    if isinstance(data, pd.DataFrame):
        return Result(outputs.table(data, folder, call.unit))
    if call.request.output == "zarr":
        return Result(outputs.tile(data.compute(), folder, call.request, call.unit))
    return Result(outputs.geotiff(data, folder, call.unit))


def _described(process: Process, call: Call, items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Return the Items with what the metadata of their files say, which are read once for all units of a job here."""
    bands, mask = process.bands_of(call.request.inputs), call.request.inputs.get("mask")
    found = []
    for item, document in zip(items, call.request.items, strict=True):
        wanted = (*bands, *masks.keys(item, mask))
        # A converted product counts instead, where there is one: opening the cube sees to that.
        if mask is None and converted.preferred(item, list(wanted)) is not None:
            found.append(item)
        else:
            found.append(_band_item(call.folder, json.dumps(document), wanted).clone())
    return found


@lru_cache(_PRODUCTS)
def _band_item(folder: str, text: str, bands: tuple[str, ...]) -> pystac.Item:
    """Read the metadata of a product, for the units of one job."""
    item = products.unpack(products.as_item(json.loads(text)), list(bands), confirm=False)
    # Its files are resolved by now: relative to an address they would be others.
    item.clear_links()
    return Unpacked.of(item)


def process_of(call: Call) -> Process:
    """Return the process of a unit.

    Raises
    ------
    Impossible
        If it is not installed here, or in another version: its results would be others than promised.
    """
    if call.code is not None:
        return own_code.unpacked(call.code)
    known = installed().get(call.process)
    if known is None:
        raise Impossible(f"The process {call.process} is not installed where jobs run: install its package there.")
    if known.version != call.version:
        raise Impossible(
            f"The process {call.process} is of version {known.version} here, and the job wants {call.version}: start "
            "it again."
        )
    return known


def lazy(process: Process, call: Call, items: Sequence[pystac.Item], *, loads: bool = False) -> Any:
    """Return what a process over a cube gives for a unit, lazily: a Dataset of maps (y, x), or a table.

    With ``loads`` a small cube is read first: the graph of a tile takes longer to make than its numbers.
    """
    inputs, request, unit = dict(call.request.inputs), call.request, call.unit
    area: dict[str, Any] = {"crs": request.crs, "resolution": request.resolution}
    outline = None if request.region is None else Geometry(shape(request.region), DEGREES)
    if request.grid is not None and unit.tile is not None:
        area = {"geobox": tiles.box_of(request.grid, *unit.tile)}
        if request.clip:
            area |= {"geometry": outline, "clip": True}
    elif outline is not None:
        area |= {"geometry": outline, "clip": request.clip}
    names = ("mask", "mask_buffer", "resampling", *(TERRAIN if process.terrain != "no" else ()))
    how = {n: inputs[n] for n in names if n in inputs and n not in process.opens}
    cube = open_cube(items, bands=process.bands_of(inputs), **_files_opened(process, how), **process.opens, **area)
    if loads and unit.tile is not None and cube.nbytes <= _SMALL:
        cube = cube.compute()
    data = process.function(cube, **_own(process, inputs))
    if process.gives == "table":
        if not isinstance(data, pd.DataFrame):
            raise Impossible(f"The process {process.id} gives a table, and returned {type(data).__name__}.")
        return data
    return _maps(process, data, cube, request, unit)


def _own(process: Process, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs that the function itself has; the others open the cube."""
    parameters = inspect.signature(process.function).parameters
    return _files_opened(process, {k: v for k, v in inputs.items() if k in parameters})


def _files_opened(process: Process, inputs: dict[str, Any]) -> dict[str, Any]:
    return {k: references.opened(v) if k in process.inputs.files else v for k, v in inputs.items()}


def _maps(process: Process, data: Any, cube: xr.Dataset, request: Request, unit: Unit) -> xr.Dataset:
    """Check what a process returned: maps of one time on the grid of its cube."""
    if not isinstance(data, (xr.Dataset, xr.DataArray)):
        raise Impossible(f"The process {process.id} gives maps, and returned {type(data).__name__}.")
    dataset = (
        data.to_dataset(name=data.name or process.id.replace("-", "_")) if isinstance(data, xr.DataArray) else data
    )
    if "time" in dataset.dims and dataset.sizes["time"] == 1:
        dataset = dataset.isel(time=0, drop=True)
    dataset = dataset.drop_vars([n for n in dataset.coords if n not in ("x", "y", "spatial_ref")])
    for name, band in dataset.data_vars.items():
        if set(band.dims) != {"y", "x"} or band.dtype.kind not in "fiub":
            raise Impossible(
                f"The process {process.id} returned {name!r} with dims {band.dims} and type {band.dtype}: return "
                "numbers with dims y and x, such as by .median('time')."
            )
        if not str(name).isidentifier():
            raise Impossible(f"The process {process.id} returned a variable {name!r}: use letters, digits and _.")
        if (band.sizes["y"], band.sizes["x"]) != (cube.sizes["y"], cube.sizes["x"]) and unit.tile is not None:
            raise Impossible(f"The process {process.id} returned {name!r} on another grid than its cube: keep it.")
    if not dataset.data_vars:
        raise Impossible(f"The process {process.id} returned no variable.")
    whether = {n: v.astype("uint8") for n, v in dataset.data_vars.items() if v.dtype.kind == "b"}
    dataset = dataset.assign(whether).transpose("y", "x")
    if request.output == "zarr":
        return dataset.assign_attrs(history=cube.attrs.get("history", ""))
    begin = instant.utc(request.times[unit.time][0]) if unit.time is not None else None
    moment = np.datetime64(begin.replace(tzinfo=None), "ns") if begin is not None else cube.time.values.min()
    return dataset.rio.write_crs(cube.odc.geobox.crs.to_wkt()).assign_coords(time=moment)


def _of_items(process: Process, call: Call, items: list[pystac.Item], folder: Path) -> Result:
    """Run a process over Items; what it writes into its folder appears when it is complete."""
    unit = call.unit
    given = _own(process, call.request.inputs)
    if process.inputs.place is not None:
        given[process.inputs.place] = Place(call.request.region, call.request.crs, call.request.resolution)
    wants_folder = "folder" in inspect.signature(process.function).parameters
    target = folder / unit.file
    partial = folder / f".{unit.file}.{uuid4().hex}.partial"
    try:
        partial.mkdir()
        made = process.function(items, **({"folder": partial} if wants_folder else {}), **given)
        if process.gives == "table":
            if not isinstance(made, pd.DataFrame):
                raise Impossible(f"The process {process.id} gives a table, and returned {type(made).__name__}.")
            return Result(outputs.table(made, folder, unit))
        if process.gives == "raster":
            data = _maps(process, made, made, call.request, unit)
            return Result(outputs.geotiff(data, folder, unit))
        described = [i.to_dict(include_self_link=False, transform_hrefs=False) for i in made]
        for document in described:
            for asset in document["assets"].values():
                asset["href"] = _moved(asset["href"], partial, target)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    files: list[File] = [outputs.seen(folder, p) for p in sorted(target.rglob("*")) if p.is_file()]
    return Result(files, described)


def _moved(href: str, partial: Path, target: Path) -> str:
    for old, new in ((partial.as_uri(), target.as_uri()), (str(partial), str(target))):
        if href.startswith(f"{old}/"):
            return new + href[len(old) :]
    return href
