"""Indices of bands: NDVI, NDWI, NBR, and any band expression."""

from __future__ import annotations

import xarray as xr

from geodes_lab.processing.expression import Expression
from geodes_lab.processing.reduction import Reduce, reduced
from geodes_lab.processing.registry import define


def _normalized(one: xr.DataArray, other: xr.DataArray, reduce: Reduce, name: str, text: str) -> xr.DataArray:
    # An overview of dark water beside a bright bank can be below zero, and its index is then of any size.
    both = one + other
    index = reduced(((one - other) / both.where(both > 0)).clip(-1, 1), reduce).rename(name)
    return index.assign_attrs(long_name=text, units="1")


@define(version="1", bands=("red", "nir"), over="each", loads=True)
def ndvi(cube: xr.Dataset, reduce: Reduce = "median") -> xr.DataArray:
    """Normalized difference vegetation index, (nir − red) / (nir + red).

    Computed for each date, then reduced to one map for each period.

    Parameters
    ----------
    reduce
        How the dates of a period become one map.
    """
    return _normalized(cube.nir, cube.red, reduce, "ndvi", "normalized difference vegetation index")


@define(version="1", bands=("green", "nir"), over="each", loads=True)
def ndwi(cube: xr.Dataset, reduce: Reduce = "median") -> xr.DataArray:
    """Normalized difference water index, (green − nir) / (green + nir) (McFeeters 1996).

    Parameters
    ----------
    reduce
        How the dates of a period become one map.
    """
    return _normalized(cube.green, cube.nir, reduce, "ndwi", "normalized difference water index")


@define(version="1", bands=("nir", "swir22"), over="each", loads=True)
def nbr(cube: xr.Dataset, reduce: Reduce = "median") -> xr.DataArray:
    """Normalized burn ratio, (nir − swir22) / (nir + swir22).

    Parameters
    ----------
    reduce
        How the dates of a period become one map.
    """
    return _normalized(cube.nir, cube.swir22, reduce, "nbr", "normalized burn ratio")


@define(id="band-expression", version="1", bands=lambda i: Expression(i["expression"]).bands, over="each", loads=True)
def band_expression(cube: xr.Dataset, expression: str, reduce: Reduce = "median") -> xr.DataArray:
    """Any expression of bands.

    Parameters
    ----------
    expression
        Such as (nir - red) / (nir + red): bands, numbers, + - * / **, comparisons, & | ~, and abs, sqrt, exp, log,
        log10, minimum, maximum, where.
    reduce
        How the dates of a period become one map.
    """
    value = Expression(expression).of(cube)
    data = value.astype("float32") if value.dtype.kind == "b" else value
    return reduced(data, reduce).rename("value").assign_attrs(long_name=expression)
