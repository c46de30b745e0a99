"""Statistics of zones: each pixel counts by the exact area that a zone has of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import dask
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.sparse import csr_array
from shapely.geometry.base import BaseGeometry

from geodes_lab import arguments, extras
from geodes_lab.errors import GeodesError
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
    areas = np.array([_area(g, grid) for g in geometries])
    tables = [
        _table(name, band, zone_names, areas, partials, names)
        for (name, band), partials in zip(bands.items(), computed, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _Weights:
    """How much of each pixel of a window each zone has."""

    zones: NDArray[np.intp]
    """Numbers of the zones that touch the window."""
    shares: csr_array
    """Shape (zones, pixels): parts of pixels, 0 to 1."""
    row_areas: NDArray[np.float64]
    """Area of a pixel of each row, in units in which the whole grid's largest is about 1."""


@dataclass
class _Partial:
    """Sums over some pixels; of shape (zones, times)."""

    count: NDArray[np.float64]
    total: NDArray[np.float64]
    weight: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    """Of differences from the mean, weighted."""
    least: NDArray[np.float64]
    most: NDArray[np.float64]

    @classmethod
    def empty(cls, zones: int, times: int) -> _Partial:
        shape = zones, times
        count, total, weight, mean, squares = (np.zeros(shape) for _ in range(5))
        return cls(count, total, weight, mean, squares, np.full(shape, np.inf), np.full(shape, -np.inf))

    def add(self, rows: NDArray[np.intp], columns: slice, other: _Partial) -> None:
        """Add the sums of some zones and times (Chan, Golub and LeVeque 1983: no difference of large squares)."""
        at = (rows, columns)
        weight = self.weight[at] + other.weight
        with np.errstate(invalid="ignore"):
            part = np.where(weight > 0, other.weight / np.where(weight > 0, weight, 1), 0.0)
        step = other.mean - self.mean[at]
        self.squares[at] += other.squares + step**2 * self.weight[at] * part
        self.mean[at] += step * part
        self.weight[at] = weight
        self.count[at] += other.count
        self.total[at] += other.total
        self.least[at] = np.minimum(self.least[at], other.least)
        self.most[at] = np.maximum(self.most[at], other.most)


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
            weights = dask.delayed(_weights)(window, touching, [geometries[n] for n in touching])
            for number in range(blocks.shape[0]):
                columns = slice(starts[number] * inner, starts[number + 1] * inner) if band.ndim > 2 else slice(0, 1)
                blocks_summed.append((columns, weights, dask.delayed(_summed)(blocks[number, y, x], weights, fill)))
    return dask.delayed(_together)(blocks_summed, len(geometries), times)


def _windows(chunks: Any, grid: GeoBox) -> Iterator[tuple[int, int, GeoBox]]:
    rows, cols = (list(accumulate(sizes, initial=0)) for sizes in chunks)
    for y in range(len(rows) - 1):
        for x in range(len(cols) - 1):
            yield y, x, grid[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]


def _fill(band: xr.DataArray) -> float | None:
    value = band.attrs.get("_FillValue", band.encoding.get("_FillValue"))
    return None if value is None or band.dtype.kind == "f" else float(value)


def _weights(window: GeoBox, zones: NDArray[np.intp], geometries: list[BaseGeometry]) -> _Weights:
    """Shares of the pixels of a window, by exactextract."""
    from exactextract import exact_extract
    from exactextract.feature import JSONFeatureSource
    from exactextract.raster import NumPyRasterSource

    west, south, east, north = window.boundingbox.bbox
    raster = NumPyRasterSource(np.zeros(window.shape, np.int8), xmin=west, ymin=south, xmax=east, ymax=north)
    # A pixel more than the window: what lies beyond only costs time.
    margin = abs(window.affine.a) + abs(window.affine.e)
    parts = [shapely.clip_by_rect(g, west - margin, south - margin, east + margin, north + margin) for g in geometries]
    features = [
        {"type": "Feature", "properties": {"n": n}, "geometry": shapely.geometry.mapping(part)}
        for n, part in enumerate(parts)
        if part.area > 0
    ]
    cells, shares, rows = [], [], []
    for feature in exact_extract(raster, JSONFeatureSource(features), ["cell_id", "coverage"], include_cols=["n"]):
        properties = feature["properties"]
        cells.append(np.asarray(properties["cell_id"], np.int64))
        shares.append(np.asarray(properties["coverage"], np.float64))
        rows.append(np.full(len(cells[-1]), properties["n"], np.int64))
    shape = len(geometries), window.shape[0] * window.shape[1]
    if cells:
        matrix = csr_array((np.concatenate(shares), (np.concatenate(rows), np.concatenate(cells))), shape=shape)
    else:
        matrix = csr_array(shape)
    return _Weights(zones, matrix, _row_areas(window))


def _row_areas(grid: GeoBox) -> NDArray[np.float64]:
    """Area of a pixel of each row: alike in a projection; in degrees as on the sphere, at the equator about 1."""
    if not grid.crs.geographic:
        return np.ones(grid.shape[0])
    _, _, _, _, height, top = grid.affine[:6]
    edges = np.clip(top + height * np.arange(grid.shape[0] + 1), -90, 90)
    return np.abs(np.diff(np.sin(np.radians(edges)))) / np.radians(abs(height))


def _area(geometry: BaseGeometry, grid: GeoBox) -> float:
    """Area of a zone in pixels, each as large as `_row_areas` says."""
    width, height = abs(grid.affine.a), abs(grid.affine.e)
    if not grid.crs.geographic:
        return float(geometry.area / (width * height))
    # Longitude and sine of latitude: a projection that keeps areas.
    dense = shapely.segmentize(geometry, height)
    flat = shapely.transform(dense, lambda c: np.column_stack([c[:, 0], np.sin(np.radians(c[:, 1]))]))
    return float(flat.area / (width * np.radians(height)))


def _summed(block: NDArray[Any], weights: _Weights, fill: float | None) -> _Partial:
    """Sums of one chunk."""
    values = np.asarray(block, np.float64).reshape(-1, weights.shares.shape[1])
    valid = np.isfinite(values)
    if fill is not None:
        valid &= values != fill
    rows, pixels = len(weights.row_areas), values.shape[1]
    areas = np.repeat(weights.row_areas, pixels // max(rows, 1))
    partial = _Partial.empty(len(weights.zones), len(values))
    for number in range(len(weights.zones)):
        begin, end = weights.shares.indptr[number : number + 2]
        cells, share = weights.shares.indices[begin:end], weights.shares.data[begin:end]
        inside, there = values[:, cells], valid[:, cells]
        shares = np.where(there, share, 0.0)
        area = shares * areas[cells]
        inside = np.where(there, inside, 0.0)
        weight = area.sum(axis=1)
        mean = (area * inside).sum(axis=1) / np.where(weight > 0, weight, 1)
        partial.count[number], partial.total[number] = shares.sum(axis=1), (shares * inside).sum(axis=1)
        partial.weight[number], partial.mean[number] = weight, mean
        partial.squares[number] = (area * (inside - mean[:, np.newaxis]) ** 2).sum(axis=1)
        if len(cells):
            partial.least[number] = np.where(there, inside, np.inf).min(axis=1)
            partial.most[number] = np.where(there, inside, -np.inf).max(axis=1)
    return partial


def _together(partials: list[tuple[slice, _Weights, _Partial]], zones: int, times: int) -> _Partial:
    whole = _Partial.empty(zones, times)
    for columns, weights, partial in partials:
        whole.add(weights.zones, columns, partial)
    return whole


def _table(
    name: str, band: xr.DataArray, zones: list[str], areas: NDArray[Any], sums: _Partial, statistics: list[str]
) -> pd.DataFrame:
    """One band's rows."""
    has_data = sums.weight > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "mean": np.where(has_data, sums.mean, np.nan),
            "std": np.where(has_data, np.sqrt(sums.squares / sums.weight), np.nan),
            "min": np.where(has_data, sums.least, np.nan),
            "max": np.where(has_data, sums.most, np.nan),
            "sum": np.where(has_data, sums.total, np.nan),
            "count": sums.count,
        }
        covered = np.clip(sums.weight / areas[:, np.newaxis], 0, 1)
    leading = [str(dim) for dim in band.dims[:-2]]
    labels = pd.MultiIndex.from_product([band[dim].values for dim in leading], names=leading) if leading else None
    count = sums.weight.shape[1]
    frame = pd.DataFrame({"zone": np.repeat(zones, count), "band": name})
    for dim in leading:
        assert labels is not None
        frame[dim] = np.tile(labels.get_level_values(dim).to_numpy(), len(zones))
    for statistic in statistics:
        frame[statistic] = columns[statistic].ravel()
    frame["covered"] = covered.ravel()
    return frame
