"""Cubes as one NetCDF-4 file, by the conventions of climate and forecast data (CF), whole or not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError

_CHUNK = 512  # pixels in y and x
_EPOCH = "microseconds since 1970-01-01T00:00:00"
_AXES = {
    True: {"x": ("longitude", "degrees_east"), "y": ("latitude", "degrees_north")},
    False: {"x": ("projection_x_coordinate", "m"), "y": ("projection_y_coordinate", "m")},
}
"""Standard names and units of the axes; whether the CRS is geographic."""


def write(dataset: xr.Dataset, target: Path, staged: Path) -> xr.Dataset:
    """Write one file from a Zarr store that has all of it; `geodes_lab.save` has computed the store.

    HDF5 has one writer, and a cluster's workers may share no file: so it is written here, a chunk at a time.

    Parameters
    ----------
    dataset
        What was saved, of which the attributes count.
    target
        The file; it appears when it is complete.
    staged
        The store with the values; it is removed.

    Returns
    -------
    xarray.Dataset
        What was written, opened again lazily.
    """
    partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    try:
        opened = xr.open_zarr(staged, consolidated=False, decode_coords="all", mask_and_scale=False)
        with opened as stored, dask.config.set(scheduler="threads"):
            conventional = _conventional(stored)
            conventional.to_netcdf(partial, engine="h5netcdf", format="NETCDF4", encoding=_encoding(conventional))
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(staged, ignore_errors=True)
    chunks = {dim: 4 * _CHUNK for dim in ("y", "x") if dim in dataset.sizes}
    return xr.open_dataset(target, engine="h5netcdf", decode_coords="all", chunks=chunks)


def refuse(dataset: xr.Dataset) -> None:
    """Refuse what NetCDF cannot hold, before it is computed.

    Raises
    ------
    GeodesError
        If a variable is complex.
    """
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "c":
            raise GeodesError(
                f"{name} is complex, and NetCDF has no complex numbers: save its .real and .imag, or save it as .zarr."
            )


def _conventional(dataset: xr.Dataset) -> xr.Dataset:
    """The same with axes, times and attributes as CF has them."""
    changed = dataset.copy()
    crs = dataset.rio.crs
    for axis in ("x", "y"):
        if crs is not None and axis in changed.coords:
            name, units = _AXES[bool(crs.is_geographic)][axis]
            changed[axis] = changed[axis].assign_attrs(standard_name=name, units=units, axis=axis.upper())
    if "time" in changed.coords:
        changed["time"] = changed["time"].assign_attrs(
            standard_name="time", **({"axis": "T"} if changed.time.ndim else {})
        )
    for variable in changed.variables.values():
        mapping, fill = variable.encoding.get("grid_mapping"), variable.attrs.pop("_FillValue", None)
        variable.attrs = _plain(variable.attrs) | ({"grid_mapping": mapping} if mapping else {})
        variable.encoding = {} if fill is None else {"_FillValue": fill}
    return changed.assign_attrs(_plain(dataset.attrs))


def _encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Compression and chunks of each variable; times in whole microseconds."""
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        kind = variable.dtype.kind
        if kind == "M":
            encoding[str(name)] = {"units": _EPOCH, "dtype": "int64", "calendar": "proleptic_gregorian"}
        elif name in dataset.data_vars and variable.ndim and variable.size:
            sizes = [min(_CHUNK, s) if d in ("y", "x") else 1 for d, s in variable.sizes.items()]
            encoding[str(name)] = {"chunksizes": tuple(sizes)}
            if kind in "fiub":
                encoding[str(name)] |= {"zlib": True, "complevel": 4}
            fill = np.array(np.nan, variable.dtype) if kind == "f" else variable.encoding.get("_FillValue")
            if fill is not None:
                encoding[str(name)]["_FillValue"] = fill
    return encoding


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as a file can hold them: numbers, texts and lists of either; anything else is written as JSON."""
    plain: dict[str, Any] = {}
    for name, value in attrs.items():
        if value is None or (isinstance(value, (list, tuple)) and not value):
            continue  # a file has no empty attribute
        is_list = isinstance(value, (list, tuple)) and len({type(v) for v in value}) == 1
        first = value[0] if is_list else value
        holds = isinstance(first, (str, int, float, np.number, np.ndarray)) and not isinstance(first, bool)
        plain[str(name)] = (list(value) if is_list else value) if holds else json.dumps(value, default=str)
    return plain
