"""Cubes on disk: sharded Zarr, NetCDF, or maps as COG; with CRS and history, whole or not there at all."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import xarray as xr

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.writable import Writable
from geodes_lab.results import cog, icechunk_store, netcdf, zarr_layout, zarr_store
from geodes_lab.storage.whole_object import folder
from geodes_lab.util import whole_folder

_TIFF, _NETCDF = (".tif", ".tiff"), (".nc", ".nc4")


def save(
    data: xr.Dataset | xr.DataArray,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    mode: Literal["new", "append", "region"] = "new",
    shards: bool = True,
) -> xr.Dataset:
    """Compute a cube and write it, as Zarr 3 (GeoZarr), NetCDF-4 (CF) or cloud-optimised GeoTIFF.

    Parameters
    ----------
    data
        A Dataset, or a DataArray (saved under its name, or ``data``).
    path
        The output: a folder such as ``workspace/ndvi.zarr``, also in a bucket, ``s3://bucket/ndvi.zarr``; a file such
        as ``workspace/ndvi.nc``, for which a Zarr store is first written next to it; or a file such as
        ``workspace/ndvi.tif``, with one band for each time of one variable, or for each variable of one time. The
        output appears when it is complete: an interrupted save leaves nothing under this name. For a cube that grows
        ``icechunk://workspace/ndvi`` or ``icechunk://s3://bucket/ndvi``: each save is a commit, with its history, and
        computed in this process, not on a cluster.
    overwrite
        Whether to replace an existing output; not a ``.zarr`` in a bucket, where no folder can be renamed.
    mode
        ``"new"``; ``"append"``: the times that the store does not have yet are added, all later than its last one, so
        that a loop that was interrupted can be run again; ``"region"``: the numbers at the coordinates of ``data``,
        all of them in the store, are replaced. For ``.zarr`` on a disk, and icechunk. Readers see the state before or
        after, and a process that is killed leaves the state before.
    shards
        Whether a file has several chunks. False: a file for each chunk of 512 pixels, for readers that know no shards.

    Returns
    -------
    xarray.Dataset
        The written data, opened again lazily, in chunks of whole shards (2048 pixels; 512 within the file).

    Raises
    ------
    GeodesError
        If the output already exists, there is nothing to save, a GeoTIFF or NetCDF cannot contain the data, or what is
        added does not fit. An error of the computation is raised unchanged, and no partial output stays.
    """
    if not isinstance(data, (xr.Dataset, xr.DataArray)):
        raise GeodesError(
            "gl.save takes a Dataset or DataArray: save a node of the tree, such as scene['r10m'].to_dataset()."
        )
    arguments.choice("mode", mode, ("new", "append", "region"))
    is_sharded, text = arguments.flag("shards", shards), os.fspath(path)
    if text.startswith(icechunk_store.SCHEME):
        return icechunk_store.save(_dataset(data), text, mode, overwrite, is_sharded)
    is_cube = text.rstrip("/").endswith(".zarr")
    if not (is_cube or text.endswith((*_NETCDF, *_TIFF))) or ("://" in text and not (is_cube and text[:5] == "s3://")):
        raise GeodesError(
            "gl.save writes a folder whose name ends in .zarr, also in a bucket (s3://…), a file on a disk whose name "
            f"ends in .nc or .tif, or icechunk://…; {text} is none of them."
        )
    if mode != "new" and not is_cube:
        raise GeodesError(f"mode={mode!r} is for .zarr and icechunk://…: {text} can only be written as a whole.")
    target = folder.at(path)
    if is_cube and mode != "new":
        zarr_store.add(_dataset(data), target, mode)
        return _opened(target, data)
    if target.is_disk:
        _refuse_existing(target.path, overwrite, is_cube)
    if target.place.name.endswith(_TIFF):
        return cog.write(_dated(data), target.path)
    dataset = _dataset(data)
    if is_cube:
        zarr_store.write(dataset, target, is_sharded)
        return _opened(target, data)
    netcdf.refuse(dataset)
    partial = target.path.with_name(f".{target.path.name}.{uuid4().hex}.partial")
    try:
        zarr_store.stage(dataset, partial, is_sharded)
        return netcdf.write(dataset, target.path, partial)
    finally:
        zarr_store.remove(partial)


def _refuse_existing(target: Path, overwrite: bool, is_cube: bool) -> None:
    if is_cube:
        whole_folder.heal(target)
    if target.exists() and not overwrite:
        raise GeodesError(f"{target} exists already: give overwrite=True to replace it, or choose another name.")
    if not is_cube and target.is_dir():
        raise GeodesError(f"{target} is a folder, and gl.save does not replace folders: choose another name.")
    if is_cube and target.exists() and not ((target / "zarr.json").exists() or (target / ".zgroup").exists()):
        raise GeodesError(f"{target} is not a Zarr store, and gl.save does not replace it: choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)


def _dataset(data: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Return what is saved as a Dataset with its history, if a store can hold it."""
    dataset = data.to_dataset(name=data.name or "data") if isinstance(data, xr.DataArray) else data
    if not dataset.data_vars:
        raise GeodesError("There is no variable to save.")
    if parted := next((str(n) for n in dataset.variables if "/" in str(n)), None):
        raise GeodesError(
            f"{parted!r} has a slash in its name, which separates folders in a Zarr store: rename it first, such as "
            f"with cube.rename({{{parted!r}: {parted.replace('/', '_')!r}}})."
        )
    return zarr_layout.conventional(_dated(dataset))


def _opened(target: folder.ObjectFolder, data: xr.Dataset | xr.DataArray) -> xr.Dataset:
    # By whole shards: with the store's own chunks, sixteen tasks would write one file.
    whole = {dim: zarr_layout.SHARD for dim in ("y", "x") if dim in data.sizes}
    store: Any = target.path if target.is_disk else Writable(target, read_only=True)
    return xr.open_zarr(store, consolidated=False, decode_coords="all", chunks=whole)


def _dated(data: Any) -> Any:
    """Add the time of the save to the history."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} saved by geodes_lab"
    return data.assign_attrs(history="\n".join(filter(None, [data.attrs.get("history"), line])))
