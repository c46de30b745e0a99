"""The documents and coordinates of a cube: groups, levels and arrays, as GeoZarr and CF describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from geodes_lab.conversion import shards
from geodes_lab.conversion.piece import Job
from geodes_lab.conversion.series import BandSeries, Member, Series
from geodes_lab.conversion.shards import Shards
from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr import geozarr
from geodes_lab.formats.zarr.writable import Writable
from geodes_lab.storage.whole_object.folder import ObjectFolder
from geodes_lab.util import instant

_DIMS = ("time", "y", "x")


def write(
    series: Series, store: Writable, notes: ObjectFolder, ratios: Mapping[str, float], wanted: int
) -> list[list[Job]]:
    """Write all documents and coordinates of a cube; its numbers come later.

    Parameters
    ----------
    series
        The products.
    store
        The store; it keeps the documents back.
    notes
        Where objects will be noted.
    ratios
        How many times smaller the numbers of each band become.
    wanted
        Bytes that an object should have.

    Returns
    -------
    list of list of Job
        For each level from the finest, its arrays.
    """
    root = zarr.open_group(store, mode="a", zarr_format=3)
    root.attrs.update(
        {
            "Conventions": "CF-1.11",
            "title": f"{len(series.members)} products from {series.members[0].name} to {series.members[-1].name}",
            "history": f"converted without changing a number by geodes_lab {version('geodes-lab')}",
        }
    )
    jobs: list[list[Job]] = []
    for group, several in series.groups.items():
        grids = levels(several[0].grid)
        root.create_group(group).attrs.update(geozarr.of_levels(grids, "average"))
        for number, grid in enumerate(grids):
            path = f"{group}/{number}"
            made = [_job(band, path, grid, len(series.members), store, notes, ratios, wanted) for band in several]
            _template(series.members, several, made, grid).to_zarr(
                store,
                group=path,
                mode="a",
                zarr_format=3,
                consolidated=False,
                compute=False,
                encoding=_encoding(made),
            )
            if number == len(jobs):
                jobs.append([])
            jobs[number] += made
    return jobs


def levels(grid: GeoBox) -> list[GeoBox]:
    """Return a grid, and those with half the pixels each, until one fits in a chunk."""
    grids = [grid]
    while max(grids[-1].shape) > shards.CHUNK:
        rows, cols = (-(-side // 2) for side in grids[-1].shape)
        grids.append(GeoBox((rows, cols), grids[-1].affine * Affine.scale(2), grid.crs))
    return grids


def _job(
    band: BandSeries,
    path: str,
    grid: GeoBox,
    times: int,
    store: Writable,
    notes: ObjectFolder,
    ratios: Mapping[str, float],
    wanted: int,
) -> Job:
    rows, cols = grid.shape
    shape: Shards = shards.choose((times, rows, cols), np.dtype(band.kind).itemsize, ratios[band.name], wanted)
    first = band.first
    return Job(store, notes, f"{path}/{band.name}", band.kind, shape, first.nodata, first.saturated, first.is_class)


def _template(
    members: Sequence[Member], several: Sequence[BandSeries], jobs: Sequence[Job], grid: GeoBox
) -> xr.Dataset:
    """Return the Dataset of one level, with coordinates, and with numbers that are never computed."""
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {**xr_coords(grid, dims=("y", "x"))}
    times = [instant.begin(m.described) for m in members]
    coords["time"] = (
        "time",
        np.array([t.replace(tzinfo=None) if t else None for t in times], "datetime64[ns]"),
        {"long_name": "acquisition (UTC)"},
    )
    coords["product"] = ("time", np.array([m.name for m in members], object))
    coords["baseline"] = (
        "time",
        np.array([str(m.described.properties.get("processing:version", "")) for m in members], object),
    )
    for band, job in zip(several, jobs, strict=True):
        numbers = da.zeros(job.shards.shape, dtype=band.kind, chunks=job.shards.shard)
        radiometry, by_time = _radiometry(band)
        coords |= by_time
        variables[band.name] = xr.DataArray(numbers, dims=_DIMS, attrs=_described(members[0], band) | radiometry)
    return xr.Dataset(variables, coords, geozarr.of_grid(grid))


def _radiometry(band: BandSeries) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return CF's scale and offset if all products have the same; else coordinates, which programs do not apply."""
    scales, offsets = [s.scale for s in band.sources], [s.offset for s in band.sources]
    if len({*zip(scales, offsets, strict=True)}) == 1:
        one = (scales[0], offsets[0])
        return ({} if one == (1.0, 0.0) else {"scale_factor": scales[0], "add_offset": offsets[0]}), {}
    note = (
        f"The products differ: measure = number * {band.name}_scale + {band.name}_offset, by time. Programs read the "
        "products' own numbers here; gl.open_cube applies both."
    )
    by_time = {f"{band.name}_scale": ("time", scales), f"{band.name}_offset": ("time", offsets)}
    return {"radiometry": note}, by_time


def _described(first: Member, band: BandSeries) -> dict[str, Any]:
    asset = first.described.assets[band.key]
    attrs: dict[str, Any] = {"long_name": asset.title or band.key, "grid_mapping": "spatial_ref"}
    if unit := asset.extra_fields.get("unit"):
        attrs["units"] = str(unit)
    if band.first.saturated is not None:
        attrs["saturated"] = band.first.saturated
    classes = asset.extra_fields.get("classification:classes")
    if isinstance(classes, list) and all(isinstance(c, dict) and {"value", "name"} <= c.keys() for c in classes):
        attrs["flag_values"] = [int(c["value"]) for c in classes]
        attrs["flag_meanings"] = " ".join(str(c["name"]).replace(" ", "_") for c in classes)
    return attrs


def _encoding(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    encoding = {}
    for job in jobs:
        fill = {} if job.nodata is None else {"_FillValue": np.array(job.nodata, job.kind)[()]}
        encoding[job.path.rpartition("/")[2]] = {
            "chunks": job.shards.chunk,
            "shards": job.shards.shard,
            "compressors": [shards.codec()],
            **fill,
        }
    return encoding


def refuse_names(series: Series) -> None:
    """Refuse two bands whose arrays would have one name, and a band named as a coordinate.

    Raises
    ------
    GeodesError
        If there are any.
    """
    for group, several in series.groups.items():
        names = [b.name for b in several]
        taken = [*names, *(f"{n}_{w}" for n in names for w in ("scale", "offset"))]
        if twice := sorted({n for n in names if taken.count(n) > 1}):
            raise GeodesError(f"Two bands of {group} would be named {twice[0]}: leave one of them out with bands=.")
