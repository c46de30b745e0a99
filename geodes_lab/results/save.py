"""Cubes on disk: sharded Zarr, NetCDF, or maps as COG; with CRS and history, whole or not there at all."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.results import cog, netcdf
from geodes_lab.util import whole_folder

_TIFF, _NETCDF = (".tif", ".tiff"), (".nc", ".nc4")
_SHARD = 2048  # pixels in y and x: one file, written by one task
_PATIENCE = 5.0  # seconds for what still writes
_CHUNK = 512  # pixels in y and x: the least that a reader decodes


def save(data: xr.Dataset | xr.DataArray, path: str | os.PathLike[str], *, overwrite: bool = False) -> xr.Dataset:
    """Compute a cube and write it, as Zarr 3, NetCDF-4 (CF) or cloud-optimised GeoTIFF.

    Parameters
    ----------
    data
        A Dataset, or a DataArray (saved under its name, or ``data``).
    path
        The output: a folder such as ``workspace/ndvi.zarr``; a file such as ``workspace/ndvi.nc``, for which a Zarr
        store is first written next to it; or a file such as ``workspace/ndvi.tif``, with one band for each time of
        one variable, or for each variable of one time. The output appears when it is complete: an interrupted save
        leaves nothing under this name.
    overwrite
        Whether to replace an existing output.

    Returns
    -------
    xarray.Dataset
        The written data, opened again lazily, in chunks of whole shards (2048 pixels; 512 within the file).

    Raises
    ------
    GeodesError
        If the output already exists, there is nothing to save, or a GeoTIFF or NetCDF cannot contain the data. An error
        of the computation is raised unchanged, and no partial output stays.
    """
    if not isinstance(data, (xr.Dataset, xr.DataArray)):
        raise GeodesError(
            "gl.save takes a Dataset or DataArray: save a node of the tree, such as scene['r10m'].to_dataset()."
        )
    if "://" in os.fspath(path) or not os.fspath(path).rstrip("/").endswith((".zarr", *_NETCDF, *_TIFF)):
        raise GeodesError(
            "gl.save writes a folder whose name ends in .zarr, or a file whose name ends in .nc or .tif; "
            f"{os.fspath(path)} has another ending."
        )
    target = Path(path).expanduser().resolve()
    if target.name.endswith(".zarr"):
        whole_folder.heal(target)
    if target.exists() and not overwrite:
        raise GeodesError(f"{target} exists already: give overwrite=True to replace it, or choose another name.")
    if target.name.endswith((*_NETCDF, *_TIFF)) and target.is_dir():
        raise GeodesError(f"{target} is a folder, and gl.save does not replace folders: choose another name.")
    if target.name.endswith(_TIFF):
        return cog.write(_dated(data), target)
    is_netcdf = target.name.endswith(_NETCDF)
    if target.exists() and not is_netcdf and not ((target / "zarr.json").exists() or (target / ".zgroup").exists()):
        raise GeodesError(f"{target} is not a Zarr store, and gl.save does not replace it: choose another name.")
    dataset = data.to_dataset(name=data.name or "data") if isinstance(data, xr.DataArray) else data
    if not dataset.data_vars:
        raise GeodesError("There is no variable to save.")
    if parted := next((str(n) for n in dataset.variables if "/" in str(n)), None):
        raise GeodesError(
            f"{parted!r} has a slash in its name, which separates folders in a Zarr store: rename it first, such as "
            f"with cube.rename({{{parted!r}: {parted.replace('/', '_')!r}}})."
        )
    if is_netcdf:
        netcdf.refuse(dataset)
    dataset = _dated(dataset).assign_attrs(Conventions="CF-1.11")
    own = uuid4().hex  # two threads may save under one name
    partial = target.with_name(f".{target.name}.{own}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        chunked, encoding = _sharded(dataset)
        chunked.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
        if is_netcdf:
            return netcdf.write(dataset, target, partial)
        whole_folder.put(partial, target)
    finally:
        _remove(partial)
    # By whole shards: with the store's own chunks, sixteen tasks would write one file.
    whole = {dim: _SHARD for dim in ("y", "x") if dim in dataset.sizes}
    return xr.open_zarr(target, consolidated=False, decode_coords="all", chunks=whole)


def _remove(folder: Path) -> None:
    """Remove a store that is not complete; threads that were at it when another failed may still write a chunk."""
    until = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def _dated(data: Any) -> Any:
    """Add the time of the save to the history."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} saved by geodes_lab"
    return data.assign_attrs(history="\n".join(filter(None, [data.attrs.get("history"), line])))


def _sharded(dataset: xr.Dataset) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Rechunk to whole shards, so that no two tasks write one file, and return the encoding of each variable."""
    encoding: dict[str, dict[str, Any]] = {}
    variables = {}
    for name, variable in dataset.data_vars.items():
        shards, chunks = [], []
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            chunk = min(_CHUNK, size) if dim in ("y", "x") else 1 if dim == "time" else size
            shard = min(_SHARD, -(-size // chunk) * chunk) if dim in ("y", "x") else chunk
            chunks.append(max(chunk, 1))
            shards.append(max(shard, 1))
        clean = variable.drop_encoding()
        clean.attrs.pop("grid_mapping", None)
        fill = clean.attrs.pop("_FillValue", None)  # what rioxarray leaves there is no attribute of a store
        if "spatial_ref" in dataset.coords and {"y", "x"} <= set(variable.dims):
            clean.attrs["grid_mapping"] = "spatial_ref"
        variables[name] = clean.chunk(dict(zip(variable.dims, shards, strict=True))) if variable.chunks else clean
        encoding[str(name)] = {"chunks": tuple(chunks), "shards": tuple(shards)}
        if np.dtype(variable.dtype).kind == "f":
            encoding[str(name)]["_FillValue"] = np.array(np.nan, variable.dtype)
        elif fill is not None:
            encoding[str(name)]["_FillValue"] = fill
    return dataset.assign(variables), encoding
