"""The files of units: each is whole or missing, whoever dies; the same unit always makes the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
import zarr
from odc.geo.xr import xr_coords

from geodes_lab.batch.places import within
from geodes_lab.batch.request import File, Impossible, Request, TileGrid, Unit
from geodes_lab.batch.splitting import tiles
from geodes_lab.results import cog
from geodes_lab.util.whole_file import fsync_folder

CUBE = "cube.zarr"
"""The name of the cube of a job, in its folder."""
_COORDINATES = ("x", "y", "time", "period_end", "spatial_ref")
_INNER = 512  # pixels: the least that a reader decodes


def table(data: pd.DataFrame, folder: Path, unit: Unit) -> list[File]:
    """Write a table as Parquet."""
    target = folder / f"{unit.file}.parquet"
    partial = _beside(target)
    try:
        data.to_parquet(partial, index=False)
        _named(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return [seen(folder, target)]


def geotiff(data: xr.Dataset, folder: Path, unit: Unit) -> list[File]:
    """Compute maps and write them as one cloud-optimised GeoTIFF."""
    target = folder / f"{unit.file}.tif"
    names = list(data.data_vars)
    single = data[names[0]] if len(names) == 1 else data
    cog.write(single, target)  # it appears when it is complete
    _flushed(target)
    return [seen(folder, target)]


def tile(data: xr.Dataset, folder: Path, request: Request, unit: Unit) -> list[File]:
    """Write the computed maps of a tile and a period into the cube of the job, which is made if needed.

    A tile is one file for each variable; the files of a cube are its tiles that are done. A tile without any data has
    no file: that is how Zarr stores it.
    """
    path = folder / CUBE
    group = made(path, request, data)
    values = {str(n): np.asarray(v.values) for n, v in data.data_vars.items()}
    return _put(group, path, folder, request, unit, values)


def _put(
    group: zarr.Group, path: Path, folder: Path, request: Request, unit: Unit, values: dict[str, Any]
) -> list[File]:
    grid = request.grid
    assert grid is not None
    assert unit.tile is not None
    files = []
    for name, array in values.items():
        stored = group[name]
        assert isinstance(stored, zarr.Array)
        top, left = (unit.tile[1] - grid.rows[0]) * grid.tile, (unit.tile[0] - grid.columns[0]) * grid.tile
        where = (unit.time or 0, slice(top, top + grid.tile), slice(left, left + grid.tile))
        stored[where] = array
        file = path / shard(name, request, unit)
        if file.exists():
            _flushed(file)
            files.append(seen(folder, file))
    return files


def shard(name: str, request: Request, unit: Unit) -> str:
    """Return the file of a tile and a period in the cube, for a variable."""
    grid = request.grid
    assert grid is not None
    assert unit.tile is not None
    row, column = unit.tile[1] - grid.rows[0], unit.tile[0] - grid.columns[0]
    return f"{name}/c/{unit.time or 0}/{row}/{column}"


def made(path: Path, request: Request, like: xr.Dataset) -> zarr.Group:
    """Make the cube of a job with all its coordinates and no tile, if it is not there.

    Parameters
    ----------
    path
        Its folder; it appears whole. Of several that make it at once, the first counts.
    request
        Of the job.
    like
        A tile: the names, dtypes and attributes of its variables.

    Returns
    -------
    zarr.Group
        The cube.

    Raises
    ------
    Impossible
        If it is there with other variables: the process gives others for this tile.
    """
    if not (path / "zarr.json").exists():
        partial = _beside(path)
        try:
            _empty(request, like).to_zarr(
                partial, mode="w", zarr_format=3, consolidated=False, compute=False, encoding=_encoding(request, like)
            )
            if not path.exists():
                partial.rename(path)
                fsync_folder(path.parent)
        except OSError:
            if not (path / "zarr.json").exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    group = zarr.open_group(path, mode="r+")
    # By the folders: zarr would read the metadata of the coordinates too, for each tile.
    names = {p.name for p in path.iterdir() if p.is_dir()} - set(_COORDINATES)
    there = {n: str(getattr(group[n], "dtype", "")) for n in sorted(names)}
    asked = {str(n): str(v.dtype) for n, v in like.data_vars.items()}
    if there != asked:
        raise Impossible(
            f"The process gives {asked} here, and {there} for other tiles: give the same variables always."
        )
    return group


def _empty(request: Request, like: xr.Dataset) -> xr.Dataset:
    grid = request.grid
    assert grid is not None
    many = max(len(request.times), 1)
    shape, chunks = (many, *grid.shape), (1, grid.tile, grid.tile)
    dims = ("time", "y", "x")
    variables = {}
    for name, band in like.data_vars.items():
        attrs = {k: v for k, v in band.attrs.items() if k not in ("grid_mapping", "_FillValue")}
        fill = da.full(shape, _fill(band), chunks=chunks, dtype=band.dtype)
        variables[name] = xr.DataArray(fill, dims=dims, attrs={**attrs, "grid_mapping": "spatial_ref"})
    coords: dict[Any, Any] = dict(xr_coords(tiles.whole(grid), dims=("y", "x")))
    if request.times:
        begins, ends = (np.array([t[n].removesuffix("Z") for t in request.times], "datetime64[ns]") for n in (0, 1))
        coords["time"] = ("time", begins, {"long_name": "begin of the period (UTC)"})
        coords["period_end"] = ("time", ends, {"long_name": "end of the period, excluded (UTC)"})
    attrs = {"Conventions": "CF-1.11", **{k: v for k, v in like.attrs.items() if isinstance(v, (str, int, float))}}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _fill(band: xr.DataArray) -> float | int:
    if band.dtype.kind == "f":
        return float("nan")
    known = band.attrs.get("_FillValue", band.attrs.get("nodata", band.encoding.get("_FillValue")))
    return 0 if known is None else int(known)


def _encoding(request: Request, like: xr.Dataset) -> dict[Any, dict[str, Any]]:
    grid: TileGrid | None = request.grid
    assert grid is not None
    inner = next(n for n in range(min(_INNER, grid.tile), 0, -1) if grid.tile % n == 0)
    encoding: dict[Any, dict[str, Any]] = {}
    for name, band in like.data_vars.items():
        encoding[name] = {"chunks": (1, inner, inner), "shards": (1, grid.tile, grid.tile)}
        if band.dtype.kind == "f" or {"_FillValue", "nodata"} & set(band.attrs):
            encoding[name]["_FillValue"] = np.array(_fill(band), band.dtype)[()]
    times = {"units": "seconds since 1970-01-01", "dtype": "int64"}
    return encoding | ({"time": times, "period_end": dict(times)} if request.times else {})


def reused(source: Path, folder: Path, old: Unit, files: list[File], request: Request, unit: Unit) -> list[File] | None:
    """Bring the files of another job's unit here, if they are still as they were.

    Parameters
    ----------
    source, folder
        The folder of that job, and of this one.
    old, files
        That unit, and its files.
    request, unit
        This one.

    Returns
    -------
    list of File or None
        None: some are gone or changed, and the unit has to be computed.
    """
    if request.output == "items":
        return None  # Items name their files
    plain = [(within(source, f.path), f) for f in files]
    try:
        if any(p.stat().st_size != f.size or _digest(p) != f.sha256 for p, f in plain):
            return None
        if request.output == "zarr":
            return _reused_tile(source, folder, plain, request, unit)
        here = []
        for path, _ in plain:
            target = folder / f"{unit.file}{path.suffix}"
            _linked(path, target)
            here.append(seen(folder, target))
        return here
    except (OSError, KeyError, ValueError):
        return None


def _reused_tile(
    source: Path, folder: Path, plain: list[tuple[Path, File]], request: Request, unit: Unit
) -> list[File] | None:
    with xr.open_zarr(source / CUBE, consolidated=False, chunks=None) as other:
        like = other[[n for n, v in other.data_vars.items() if v.dims == ("time", "y", "x")]].isel(time=0)
        made(folder / CUBE, request, like)
    here = []
    for path, _ in plain:
        name = path.relative_to(source / CUBE).parts[0]
        target = folder / CUBE / shard(name, request, unit)
        _linked(path, target)
        here.append(seen(folder, target))
    return here


def _linked(path: Path, target: Path) -> None:
    """Give a file another name, or copy it; it is never written again under either, only replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(target)
    try:
        try:
            os.link(path, partial)
        except OSError:
            shutil.copyfile(path, partial)
        _named(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def seen(folder: Path, path: Path) -> File:
    """Describe a file of a job."""
    return File(path.relative_to(folder).as_posix(), path.stat().st_size, _digest(path))


def tidy(folder: Path) -> None:
    """Remove what dead workers left."""
    for path in folder.rglob("*.partial"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid4().hex}.partial")


def _named(partial: Path, target: Path) -> None:
    """Give a whole file its name; after that it survives a loss of power."""
    _flushed(partial)
    partial.replace(target)
    fsync_folder(target.parent)


def _flushed(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
