"""What is added to a cube that is there: later times, or a region of it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.results import zarr_layout


def later(dataset: xr.Dataset, there: xr.Dataset) -> xr.Dataset | None:
    """Return those times of a cube that a store does not have yet; None if it has all.

    Raises
    ------
    GeodesError
        If a time is earlier than the last one of the store, or the cubes do not fit together.
    """
    if "time" not in dataset.dims or "time" not in there.dims:
        raise GeodesError("Only a cube with the dim time can be appended to one that has it too.")
    _refuse_other_grid(dataset, there)
    known, times = there["time"].values, dataset["time"].values
    new = ~np.isin(times, known)
    if not new.any():
        return None
    if known.size and times[new].min() < known.max():
        raise GeodesError(
            f"{str(times[new].min())[:19]} is earlier than {str(known.max())[:19]}, the last time of the store, and an "
            "append only adds later ones: save the whole cube anew."
        )
    return zarr_layout.fitted(dataset.isel(time=new).sortby("time"), there, {"time": int(known.size)})


def within(dataset: xr.Dataset, there: xr.Dataset) -> tuple[xr.Dataset, dict[str, slice]]:
    """Return a part of a cube, and where it lies in the store by its coordinates.

    Raises
    ------
    GeodesError
        If a coordinate is not in the store, or the part has gaps in it.
    """
    region = {}
    for dim in map(str, dataset.dims):
        if dim not in dataset.coords or dim not in there.coords:
            raise GeodesError(f"The dim {dim} has no coordinate to find the region by.")
        known, values = there[dim].values, dataset[dim].values
        places = {v: n for n, v in enumerate(known.tolist())}
        at = [places.get(v) for v in values.tolist()]
        begin = at[0] if at else None
        if begin is None or at != list(range(begin, begin + len(at))):
            raise GeodesError(
                f"{dim} of the region is not in the store, or not in one piece: a region has coordinates of the store, "
                "one after another."
            )
        region[dim] = slice(begin, begin + len(at))
    begins: dict[str, int] = {d: s.start for d, s in region.items()}
    fitted = zarr_layout.fitted(dataset, there, begins)
    return fitted.drop_vars(list(fitted.coords)), region


def _refuse_other_grid(dataset: xr.Dataset, there: xr.Dataset) -> None:
    for dim in map(str, dataset.dims):
        if dim == "time" or (dim not in dataset.coords and dim not in there.coords):
            continue
        if dim not in dataset.coords or dim not in there.coords or not np.array_equal(dataset[dim], there[dim]):
            raise GeodesError(f"{dim} of what is appended is not {dim} of the store: put both on one grid (like=).")
