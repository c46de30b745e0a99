"""Statistics of zones: each pixel counts by the exact area that a zone has of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import dask
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from geodes_lab import arguments, extras
from geodes_lab.errors import GeodesError
from geodes_lab.science import coverage, sums
from geodes_lab.science.sums import Sums
from geodes_lab.vector import shapes

STATISTICS = ("mean", "std", "min", "max", "sum", "count")
_SIDE = 2048  # pixels in y and x that are looked at together, where the data are no dask array


def zonal(
    cube: xr.Dataset | xr.DataArray,
    zones: Any,
    *,
    statistics: Sequence[str] = ("mean", "std", "count"),
    by: str | None = None,
) -> pd.DataFrame:
    """Compute statistics of zones, with exact area weights.

    A pixel with one third of its area in a zone has the weight 1/3. On a grid in degrees, weights also include the area
    of the pixel on the sphere. Chunks outside all zones are not read; the others are read once, on the workers.

    Parameters
    ----------
    cube
        A Dataset or DataArray with a CRS, whose last dims are ``y`` and ``x``; lazy or not. No data is NaN, or the
        ``_FillValue`` of integers.
    zones
        A file, a GeoDataFrame, GeoJSON or geometries, as in ``geometry`` of `geodes_lab.open_cube`. Each shape is a
        zone.
    statistics
        A selection of ``mean``, ``std`` (of the population), ``min``, ``max``, ``sum`` (of values times the fraction of
        the pixel in the zone) and ``count`` (sum of these fractions over pixels with data).
    by
        The column of the zones with their names. None: their id or name, or else a number from 0.

    Returns
    -------
    pandas.DataFrame
        A row for each zone, band and time (or other dim): ``zone``, ``band``, the dims' values, the statistics, and
        ``covered``: the share of the zone's area that has data, 0 to 1. Where there are none, statistics are NaN and
        ``count`` is 0.

    Raises
    ------
    GeodesError
        If no zone overlaps the cube, two zones have the same name, the cube has no CRS, or a band contains classes,
        whose mean has no meaning. Also the errors of `geodes_lab.open_cube` for pixels that cannot be read.

    Notes
    -----
    The fractions of pixels come from exactextract (Baston 2024, https://github.com/isciences/exactextract).

    Examples
    --------
    >>> import geodes_lab as gl
    >>> table = gl.zonal(cube, "parcels.gpkg", by="parcel")                  # doctest: +SKIP
    >>> share_of_water = gl.zonal(cube.SCL == 6, "parcels.gpkg")             # doctest: +SKIP
    """
    with extras.needed("gl.zonal"):
        import exactextract  # noqa: F401
    names = arguments.names("statistics", statistics)
    for name in names:
        arguments.choice("statistics", name, STATISTICS)
    grid = arguments.grid("cube", cube)
    dataset = cube.to_dataset(name=cube.name or "data") if isinstance(cube, xr.DataArray) else cube
    bands = {str(n): v for n, v in dataset.data_vars.items() if v.dims[-2:] == ("y", "x")}
    if not bands:
        raise GeodesError("gl.zonal needs variables whose last dims are y and x; this cube has none.")
    for name, band in bands.items():
        _refuse_classes(name, band)
    zone_names, geometries = _zones(zones, by, grid)
    lazies = [_partials(band, grid, geometries) for band in bands.values()]
    computed = dask.compute(*lazies)
    areas = np.array([coverage.area(g, grid) for g in geometries])
    tables = [
        _table(name, band, zone_names, areas, partials, names)
        for (name, band), partials in zip(bands.items(), computed, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _zones(zones: Any, by: str | None, grid: GeoBox) -> tuple[list[str], list[BaseGeometry]]:
    """Names and geometries of the zones in the CRS of the grid."""
    every = shapes.read("zones", zones)
    if by is not None and (lacking := next((s for s in every if by not in s.properties), None)):
        known = ", ".join(map(str, lacking.properties)) or "none"
        raise GeodesError(f"by={by!r} is not a column of the zones; their columns are: {known}.")
    names = [str(s.properties[by]) if by is not None else s.name for s in every]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise GeodesError(f"{times} zones have the name {name!r}: choose a column with different values with by=.")
    if lacking := next((s for s in every if s.geometry.geom.area == 0), None):
        raise GeodesError(f"The zone {lacking.name} has no area: give polygons to gl.zonal.")
    geometries = [shapes.converted(s.geometry, grid.crs).geom for s in every]
    frame = shapely.box(*grid.boundingbox.bbox)
    if not any(g.intersects(frame) for g in geometries):
        raise GeodesError(
            f"No zone overlaps the cube, which covers {tuple(round(v, 4) for v in grid.boundingbox.bbox)} in "
            f"{grid.crs}."
        )
    return names, geometries


def _refuse_classes(name: str, band: xr.DataArray) -> None:
    if band.dtype.kind not in "fiub":
        raise GeodesError(f"{name} has the type {band.dtype}: gl.zonal needs real numbers, such as abs(cube).")
    if band.dtype.kind != "b" and ("flag_values" in band.attrs or "flag_masks" in band.attrs):
        raise GeodesError(
            f"{name} contains classes, and a mean of classes has no meaning: compute the share of one class, such as "
            f"gl.zonal(cube.{name} == 4, zones)."
        )


def _partials(band: xr.DataArray, grid: GeoBox, geometries: list[BaseGeometry]) -> Any:
    """The sums of all zones and times of a band, lazily."""
    times = int(np.prod(band.shape[:-2], dtype=int))
    leading = band.sizes and dict.fromkeys(band.dims[1:-2], -1)
    lazy = band if band.chunks else band.chunk({"y": _SIDE, "x": _SIDE})
    lazy = lazy.chunk(leading) if leading else lazy
    fill = _fill(band)
    assert lazy.chunks is not None
    blocks = lazy.data.to_delayed().reshape(-1, *lazy.data.numblocks[-2:])
    starts = list(accumulate(lazy.chunks[0] if band.ndim > 2 else (1,), initial=0))
    inner = int(np.prod(band.shape[1:-2], dtype=int))
    tree = shapely.STRtree(geometries)
    blocks_summed = []
    for y, x, window in _windows(lazy.chunks[-2:], grid):
        touching = np.sort(tree.query(shapely.box(*window.boundingbox.bbox), predicate="intersects"))
        if len(touching):
            weights = dask.delayed(coverage.of_window)(window, touching, [geometries[n] for n in touching])
            for number in range(blocks.shape[0]):
                columns = slice(starts[number] * inner, starts[number + 1] * inner) if band.ndim > 2 else slice(0, 1)
                blocks_summed.append(
                    (columns, weights, dask.delayed(sums.of_chunk)(blocks[number, y, x], weights, fill))
                )
    return dask.delayed(sums.together)(blocks_summed, len(geometries), times)


def _windows(chunks: Any, grid: GeoBox) -> Iterator[tuple[int, int, GeoBox]]:
    rows, cols = (list(accumulate(sizes, initial=0)) for sizes in chunks)
    for y in range(len(rows) - 1):
        for x in range(len(cols) - 1):
            yield y, x, grid[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]


def _fill(band: xr.DataArray) -> float | None:
    value = band.attrs.get("_FillValue", band.encoding.get("_FillValue"))
    return None if value is None or band.dtype.kind == "f" else float(value)


def _table(
    name: str, band: xr.DataArray, zones: list[str], areas: NDArray[Any], summed: Sums, statistics: list[str]
) -> pd.DataFrame:
    """One band's rows."""
    has_data = summed.weight > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "mean": np.where(has_data, summed.mean, np.nan),
            "std": np.where(has_data, np.sqrt(summed.squares / summed.weight), np.nan),
            "min": np.where(has_data, summed.least, np.nan),
            "max": np.where(has_data, summed.most, np.nan),
            "sum": np.where(has_data, summed.total, np.nan),
            "count": summed.count,
        }
        covered = np.clip(summed.weight / areas[:, np.newaxis], 0, 1)
    leading = [str(dim) for dim in band.dims[:-2]]
    labels = pd.MultiIndex.from_product([band[dim].values for dim in leading], names=leading) if leading else None
    count = summed.weight.shape[1]
    frame = pd.DataFrame({"zone": np.repeat(zones, count), "band": name})
    for dim in leading:
        assert labels is not None
        frame[dim] = np.tile(labels.get_level_values(dim).to_numpy(), len(zones))
    for statistic in statistics:
        frame[statistic] = columns[statistic].ravel()
    frame["covered"] = covered.ravel()
    return frame
