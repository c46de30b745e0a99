"""How a Dataset lies in a Zarr store: shards, chunks, encodings, and the attributes of GeoZarr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from odc.geo.geobox import GeoBox

from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr import geozarr

SHARD = 2048
"""Pixels in y and x: one file, written by one task."""
_CHUNK = 512  # pixels in y and x: the least that a reader decodes
# In its own unit a time can be appended to any other: xarray would choose days from the first one.
_TIMES = {"units": "nanoseconds since 1970-01-01T00:00:00", "dtype": "int64", "calendar": "proleptic_gregorian"}


def conventional(dataset: xr.Dataset) -> xr.Dataset:
    """Return a Dataset with the GeoZarr attributes of its grid, if it has one with a CRS and equal steps."""
    grid = _grid(dataset)
    return dataset.assign_attrs(Conventions="CF-1.11", **({} if grid is None else geozarr.of_grid(grid)))


def _grid(dataset: xr.Dataset) -> GeoBox | None:
    if not {"y", "x"} <= set(dataset.coords) or not all(dataset.sizes.get(d) for d in ("y", "x")):
        return None
    crs = dataset.rio.crs
    if crs is None:
        return None
    for dim in ("y", "x"):
        values = dataset[dim].values.astype(float)
        steps = np.diff(values)
        if values.ndim != 1 or not steps.size or np.ptp(steps) > 1e-3 * abs(steps[0]) or not steps[0]:
            return None
    return GeoBox(dataset.rio.shape, dataset.rio.transform(recalc=True), crs.to_wkt())


def encoded(dataset: xr.Dataset, is_sharded: bool) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Rechunk so that no two tasks write one object, and return the encoding of each variable.

    Parameters
    ----------
    dataset
        What is saved.
    is_sharded
        Whether an object has several chunks; else each chunk is an object, for readers that know no shards.
    """
    encoding: dict[str, dict[str, Any]] = {}
    variables = {}
    for name, variable in dataset.data_vars.items():
        shards, chunks = [], []
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            chunk = min(_CHUNK, size) if dim in ("y", "x") else 1 if dim == "time" else size
            shard = min(SHARD, -(-size // chunk) * chunk) if chunk and dim in ("y", "x") else chunk
            chunks.append(max(chunk, 1))
            shards.append(max(shard, 1))
        variables[name] = _plain(dataset, variable)
        if variable.chunks:
            variables[name] = variables[name].chunk(dict(zip(variable.dims, shards, strict=True)))
        encoding[str(name)] = {"chunks": tuple(chunks), **({"shards": tuple(shards)} if is_sharded else {})}
        fill = variable.attrs.get("_FillValue")
        if np.dtype(variable.dtype).kind == "f":
            encoding[str(name)]["_FillValue"] = np.array(np.nan, variable.dtype)
        elif fill is not None:
            encoding[str(name)]["_FillValue"] = fill
    for name, coordinate in dataset.coords.items():
        if coordinate.dtype.kind == "M" and coordinate.size and not np.isnat(coordinate.values).any():
            encoding[str(name)] = dict(_TIMES)
    made = dataset.assign(variables)
    for name in encoding.keys() & set(map(str, made.coords)):
        made[name].encoding = {}
    return made, encoding


def fitted(dataset: xr.Dataset, there: xr.Dataset, begin: Mapping[str, int]) -> xr.Dataset:
    """Rechunk what is added to a store, so that no two tasks write one object of it.

    Parameters
    ----------
    dataset
        What is added.
    there
        The store, with the encoding of its variables.
    begin
        Where the added part begins along each dim.

    Raises
    ------
    GeodesError
        If it has other variables, dims or types than the store.
    """
    if set(dataset.data_vars) != set(there.data_vars):
        raise GeodesError(
            f"The store has the variables {', '.join(map(str, there.data_vars))}, and what is added to it has "
            f"{', '.join(map(str, dataset.data_vars))}: add the same ones."
        )
    variables = {}
    for name, variable in dataset.data_vars.items():
        kept = there[name]
        if variable.dims != kept.dims or variable.dtype != kept.dtype:
            raise GeodesError(
                f"{name} of the store is {kept.dtype} with dims {kept.dims}, and what is added is {variable.dtype} "
                f"with {variable.dims}: convert it with .astype and .transpose first."
            )
        sides = kept.encoding.get("shards") or kept.encoding["chunks"]
        chunks = {
            d: _parts(begin.get(str(d), 0), n, s) for d, n, s in zip(variable.dims, variable.shape, sides, strict=True)
        }
        variables[name] = _plain(dataset, variable)
        if variable.chunks:
            variables[name] = variables[name].chunk(chunks)
    return dataset.assign(variables)


def _parts(begin: int, size: int, side: int) -> tuple[int, ...]:
    """Return the sizes of the parts of a span that lie in one object each."""
    ends = [*range((begin // side + 1) * side, begin + size, side), begin + size]
    return tuple(end - start for start, end in zip([begin, *ends[:-1]], ends, strict=True))


def _plain(dataset: xr.Dataset, variable: xr.DataArray) -> xr.DataArray:
    clean = variable.drop_encoding()
    clean.attrs.pop("grid_mapping", None)
    clean.attrs.pop("_FillValue", None)  # what rioxarray leaves there is no attribute of a store
    if "spatial_ref" in dataset.coords and {"y", "x"} <= set(variable.dims):
        clean.attrs["grid_mapping"] = "spatial_ref"
    return clean
