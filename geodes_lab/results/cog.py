"""Maps as cloud-optimised GeoTIFF: a file that all tools of the field open, complete or missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from rasterio.shutil import copy
from rasterio.windows import Window

from geodes_lab.errors import GeodesError
from geodes_lab.products.raster import series
from geodes_lab.raster.source import holds

_ROWS = 2048  # that are computed and in memory at once
_MOST_BANDS = 500


def write(data: xr.Dataset | xr.DataArray, target: Path) -> xr.Dataset:
    """Compute maps and write them as one COG, a band for each; `geodes_lab.save` has checked the name.

    Parameters
    ----------
    data
        A variable ``(y, x)`` or ``(time, y, x)``, whose bands are named by their dates and which opens again with its
        times; or a Dataset of variables ``(y, x)``, whose bands have their names. One strip is computed at a time.
    target
        The file; it appears when it is complete.

    Returns
    -------
    xarray.Dataset
        The written data, opened again lazily.

    Raises
    ------
    GeodesError
        If it has other dims, no CRS, or types that one file cannot hold together.
    """
    bands = _bands(data)
    first = next(iter(bands.values()))
    for dim in ("y", "x"):
        steps = (
            np.diff(first[dim].values.astype(float)) if first.sizes[dim] > 1 and dim in first.coords else np.zeros(0)
        )
        if steps.size and np.ptp(steps) > 1e-3 * abs(steps[0]):
            raise GeodesError(
                f"A GeoTIFF has pixels at equal steps, and {dim} has steps from {steps.min():g} to {steps.max():g}: "
                "put it on a regular grid first, or save it as .zarr."
            )
    if not first.size:
        raise GeodesError("There is no pixel to save: the selection is empty.")
    if first.rio.crs is None:
        raise GeodesError("A GeoTIFF needs a CRS: write one into the cube with .rio.write_crs first.")
    dtype = np.result_type(*(b.dtype for b in bands.values()))
    dtype = np.dtype("uint8") if dtype.kind == "b" else dtype
    if dtype.kind not in "iuf" or (dtype.itemsize > 4 and dtype.kind != "f"):
        raise GeodesError(
            f"A GeoTIFF contains numbers of at most 4 bytes, or float64, not {dtype}: convert the data with .astype."
        )
    nodata = np.nan if dtype.kind == "f" else _nodata(bands)
    own = uuid4().hex
    rough, partial = (target.with_name(f".{target.name}.{own}.{n}.tif") for n in ("rough", "partial"))
    target.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = first.sizes["y"], first.sizes["x"]
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "height": rows,
        "width": cols,
        "dtype": dtype.name,
        "crs": first.rio.crs,
        "transform": first.rio.transform(recalc=True),
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "bigtiff": "if_safer",
        "sparse_ok": True,
    }
    try:
        with rasterio.open(rough, "w", **profile) as file:
            file.update_tags(**{k: str(v) for k, v in data.attrs.items() if isinstance(v, (str, int, float))})
            if isinstance(data, xr.DataArray) and "time" in data.dims:
                file.update_tags(variable=str(data.name or "data"))  # its bands are named by their dates
            if "time" in data.coords and data.time.ndim == 0:
                file.update_tags(time=_moment(data.time.values))
            for number, (name, band) in enumerate(bands.items(), 1):
                file.set_band_description(number, name)
                file.update_tags(number, **{k: str(band.attrs[k]) for k in ("long_name", "units") if k in band.attrs})
                file.update_tags(number, **series.tags(data, number - 1))
            together = xr.concat([_masked(b, dtype) for b in bands.values()], "band", join="override")
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
    """Return the maps by name; each (y, x)."""
    if isinstance(data, xr.Dataset):
        maps = {str(k): v for k, v in data.data_vars.items()}
    elif "time" in data.dims:
        if data.sizes["time"] > _MOST_BANDS:
            raise GeodesError(
                f"A GeoTIFF of {data.sizes['time']} bands is too large for other tools: save it as .zarr."
            )
        maps = dict(
            zip(_moments(data.time.values), (data.isel(time=n) for n in range(data.sizes["time"])), strict=True)
        )
    else:
        maps = {str(data.name or "data"): data}
    for name, band in maps.items():
        if set(band.dims) != {"y", "x"}:
            raise GeodesError(
                f"A GeoTIFF contains maps (y, x), but {name} has dims {band.dims}: save one variable with its times, "
                "several variables of one time, or everything as .zarr."
            )
    if not maps:
        raise GeodesError("There is no variable to save.")
    return maps


def _nodata(bands: dict[str, xr.DataArray]) -> float | None:
    """Return the number that is no data in all bands: a GeoTIFF has one."""
    each = {name: _own_nodata(band) for name, band in bands.items()}
    values = {v for v in each.values() if v is not None}
    if len(values) > 1:
        raise GeodesError(
            "A GeoTIFF has one value for no data, but "
            f"{', '.join(f'{k} has {v:g}' for k, v in list(each.items())[:3] if v is not None)}: save each in its own "
            "file, or all as .zarr."
        )
    return next(iter(values), None)


def _own_nodata(band: xr.DataArray) -> float | None:
    """Return a band's number for no data; a number that its dtype cannot hold is ignored, because no pixel has it."""
    places = (band.encoding.get("_FillValue"), band.attrs.get("_FillValue"), band.attrs.get("nodata"))
    try:
        numbers = [float(v) for v in places if v is not None]
    except (TypeError, ValueError):
        raise GeodesError(
            f"{band.name} has a no-data value that is not a number: correct its _FillValue or nodata."
        ) from None
    return next((n for n in numbers if holds(str(band.dtype), n)), None)


def _masked(band: xr.DataArray, dtype: np.dtype[Any]) -> xr.DataArray:
    """Convert a band: if the others make it floating point, its number for no data becomes NaN, like theirs."""
    plain, nodata = band.reset_coords(drop=True), _own_nodata(band)
    if dtype.kind == "f" and plain.dtype.kind in "iu" and nodata is not None:
        plain = plain.where(plain != nodata)
    return plain


def _moment(time: Any) -> str:
    return str(np.datetime_as_string(time, "s")).removesuffix("T00:00:00")


def _moments(times: Any) -> list[str]:
    """Return names for bands: with seconds, or as much precision as is needed to distinguish them.

    Equal times are numbered.
    """
    for names in (
        [_moment(t) for t in times],
        *([str(n) for n in np.datetime_as_string(times, u)] for u in ("ms", "us", "ns")),
    ):
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({names[: n + 1].count(name)})" if names.count(name) > 1 else name for n, name in enumerate(names)]


def _overviews(rows: int, cols: int) -> int:
    """Return how often a map is halved until it fits in one block."""
    return max(int(np.ceil(np.log2(max(rows, cols, 512) / 512))), 0)


def _opened(data: xr.Dataset | xr.DataArray, target: Path) -> xr.Dataset:
    """Open the file in the form of its input."""
    raster: Any = rioxarray.open_rasterio(target, driver="GTiff", chunks={"x": 2048, "y": 2048})
    if isinstance(data, xr.Dataset):
        layers = {str(k): _named(raster.isel(band=n), v) for n, (k, v) in enumerate(data.data_vars.items())}
        return xr.Dataset(layers, attrs=data.attrs)
    name = str(data.name or "data")
    if "time" in data.dims:
        raster = raster.rename(band="time").assign_coords(time=data.time.values)
        return xr.Dataset({name: _named(raster, data)})
    return xr.Dataset({name: _named(raster.isel(band=0), data)})


def _named(raster: Any, data: xr.DataArray) -> xr.DataArray:
    named: xr.DataArray = raster.drop_vars("band", errors="ignore").assign_attrs(data.attrs)
    return named
