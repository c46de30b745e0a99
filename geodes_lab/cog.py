"""Maps as cloud-optimised GeoTIFF: a file that any tool of the field opens, whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from rasterio.shutil import copy
from rasterio.windows import Window

from geodes_lab.errors import GeodesError

_ROWS = 2048  # that are computed and held at once
_MOST_BANDS = 500


def write(data: xr.Dataset | xr.DataArray, target: Path) -> xr.Dataset:
    """Compute maps and write them as one COG, a band for each; `geodes_lab.save` has looked at the name.

    Parameters
    ----------
    data
        A variable ``(y, x)`` or ``(time, y, x)``, whose bands are called by their dates; or a Dataset of variables ``(y, x)``,
        whose bands are called by their names. A strip of it is computed at a time.
    target
        The file; it appears when it is complete.

    Returns
    -------
    xarray.Dataset
        What was written, opened again lazily.

    Raises
    ------
    GeodesError
        If it has other dims, no CRS, or types that one file cannot hold together.
    """
    bands = _bands(data)
    first = next(iter(bands.values()))
    if first.rio.crs is None:
        raise GeodesError("A GeoTIFF needs a CRS: write one into the cube with .rio.write_crs first.")
    dtype = np.result_type(*(b.dtype for b in bands.values()))
    dtype = np.dtype("uint8") if dtype.kind == "b" else dtype
    if dtype.kind not in "iuf" or (dtype.itemsize > 4 and dtype.kind != "f"):
        raise GeodesError(f"A GeoTIFF holds numbers of at most 4 bytes, or float64, not {dtype}: convert with .astype.")
    nodata = np.nan if dtype.kind == "f" else first.attrs.get("_FillValue", first.encoding.get("_FillValue"))
    rough, partial = (target.with_name(f".{target.name}.{os.getpid()}.{n}.tif") for n in ("rough", "partial"))
    target.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = first.sizes["y"], first.sizes["x"]
    profile = {
        "driver": "GTiff", "count": len(bands), "height": rows, "width": cols, "dtype": dtype.name, "crs": first.rio.crs,
        "transform": first.rio.transform(recalc=True), "nodata": nodata, "tiled": True, "blockxsize": 512, "blockysize": 512,
        "bigtiff": "if_safer", "sparse_ok": True,
    }  # fmt: skip
    try:
        with rasterio.open(rough, "w", **profile) as file:
            file.update_tags(**{k: str(v) for k, v in data.attrs.items() if isinstance(v, (str, int, float))})
            if "time" in data.coords and data.time.ndim == 0:
                file.update_tags(time=_moment(data.time.values))
            for number, (name, band) in enumerate(bands.items(), 1):
                file.set_band_description(number, name)
                file.update_tags(number, **{k: str(band.attrs[k]) for k in ("long_name", "units") if k in band.attrs})
            together = xr.concat([b.reset_coords(drop=True) for b in bands.values()], "band", join="override")
            for top in range(0, rows, _ROWS):
                strip = together.isel(y=slice(top, top + _ROWS)).transpose("band", "y", "x").astype(dtype).compute()
                file.write(strip.values, window=Window(0, top, cols, strip.sizes["y"]))
        averaged = "average" if dtype.kind == "f" else "nearest"
        copy(
            rough, partial, driver="COG", compress="deflate", predictor="yes", overview_resampling=averaged,
            overview_count=_overviews(rows, cols), num_threads="all_cpus", bigtiff="if_safer",
        )  # fmt: skip
        partial.rename(target)
    finally:
        rough.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return _opened(data, target)


def _bands(data: xr.Dataset | xr.DataArray) -> dict[str, xr.DataArray]:
    """The maps by name; each (y, x)."""
    if isinstance(data, xr.Dataset):
        found = {str(k): v for k, v in data.data_vars.items()}
    elif "time" in data.dims:
        if data.sizes["time"] > _MOST_BANDS:
            raise GeodesError(f"A GeoTIFF of {data.sizes['time']} bands is read by no tool: save it as .zarr.")
        found = {_moment(t): data.sel(time=t) for t in data.time.values}
    else:
        found = {str(data.name or "data"): data}
    for name, band in found.items():
        if set(band.dims) != {"y", "x"}:
            raise GeodesError(
                f"A GeoTIFF holds maps (y, x), and {name} has dims {band.dims}: save one variable with its times, several "
                "variables of one time, or all of it as .zarr."
            )
    if not found:
        raise GeodesError("There is no variable to save.")
    return found


def _moment(time: Any) -> str:
    return str(np.datetime_as_string(time, "s")).removesuffix("T00:00:00")


def _overviews(rows: int, cols: int) -> int:
    """Halves until a map fits one block."""
    return max(int(np.ceil(np.log2(max(rows, cols, 512) / 512))), 0)


def _opened(data: xr.Dataset | xr.DataArray, target: Path) -> xr.Dataset:
    """Open the file as what it was made of."""
    found: Any = rioxarray.open_rasterio(target, driver="GTiff", chunks={"x": 2048, "y": 2048})
    if isinstance(data, xr.Dataset):
        layers = {str(k): _named(found.isel(band=n), v) for n, (k, v) in enumerate(data.data_vars.items())}
        return xr.Dataset(layers, attrs=data.attrs)
    name = str(data.name or "data")
    if "time" in data.dims:
        found = found.rename(band="time").assign_coords(time=data.time.values)
        return xr.Dataset({name: _named(found, data)})
    return xr.Dataset({name: _named(found.isel(band=0), data)})


def _named(found: Any, data: xr.DataArray) -> xr.DataArray:
    named: xr.DataArray = found.drop_vars("band", errors="ignore").assign_attrs(data.attrs)
    return named
