"""The backscatter of a field in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from geodes_lab import arguments
from geodes_lab.cube.opening import Product, open_cube
from geodes_lab.errors import GeodesError

_MASK = "layover_shadow_mask"


def backscatter(
    items: Product | Sequence[Product],
    field: Any,
    *,
    bands: Sequence[str] | None = None,
    dem: Product | Sequence[Product] | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Product | Sequence[Product] | None = None,
    crs: str | int | None = None,
    resolution: float | None = None,
    groupby: Literal["pass", "solar_day", "item"] = "pass",
    decibels: bool = True,
) -> xr.Dataset:
    """Return the mean backscatter of a field on each date, from Sentinel-1 ground range products.

    Parameters
    ----------
    items
        Products (GRD): Items, dictionaries of Items, paths or URLs.
    field
        The shape of the field: as ``geometry=`` of `geodes_lab.open_cube`. Several shapes are one field; for a table of
        many fields use `geodes_lab.zonal` on a cube.
    bands
        Bands of backscatter. None: γ0 of VV and VH, flattened by the terrain (``gamma0_rtc_vv``) if there is a ``dem``,
        else over the ellipsoid (``gamma0_vv``).
    dem, dem_heights, orbits, crs, resolution, groupby
        See `geodes_lab.open_cube`.
    decibels
        Whether means are given in decibels; they are computed in linear power.

    Returns
    -------
    xarray.Dataset
        For each band, by ``time``: its mean, ``…_std`` (the standard deviation of the pixels, linear power), and
        ``pixels``, how many pixels have data in all bands. A pixel counts if its centre is in the field and, with a
        flattened band, it is neither in layover nor in shadow. Pixels are read and computed now.

    Raises
    ------
    GeodesError
        If an argument is invalid, a product has no such band, or no product has data there.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("PEPS_S1_L1", bbox=area, product_type="GRD")          # doctest: +SKIP
    >>> series = gl.backscatter(items, "field.geojson", dem="cop-dem.tif")      # doctest: +SKIP
    >>> gl.plot.series(series.gamma0_rtc_vh)                                    # doctest: +SKIP
    """
    kind = "gamma0" if dem is None else "gamma0_rtc"
    names = [f"{kind}_vv", f"{kind}_vh"] if bands is None else arguments.names("bands", bands)
    in_decibels = arguments.flag("decibels", decibels)
    if unlike := [n for n in names if not n.startswith(("gamma0", "sigma0", "beta0", "vv", "vh", "hh", "hv"))]:
        raise GeodesError(f"{unlike[0]} is no band of backscatter: ask for such as gamma0_vv or gamma0_rtc_vh.")
    masked = any("_rtc_" in n for n in names)
    cube = open_cube(
        items,
        bands=[*names, *([_MASK] if masked else [])],
        geometry=field,
        clip=True,
        dem=dem,
        dem_heights=dem_heights,
        orbits=orbits,
        crs=crs,
        resolution=resolution,
        groupby=groupby,
    )
    there = cube[names[0]].notnull()
    for name in names[1:]:
        there = there & cube[name].notnull()
    if masked:
        there = there & (cube[_MASK] == 0)
    result = xr.Dataset(attrs=cube.attrs)
    for name in names:
        values = cube[name].where(there)
        result[name] = values.mean(["y", "x"], dtype="float64").assign_attrs(cube[name].attrs)
        result[f"{name}_std"] = values.std(["y", "x"], dtype="float64").assign_attrs(
            long_name=f"standard deviation of the pixels of {name}, linear power", units="1"
        )
    result["pixels"] = there.sum(["y", "x"]).assign_attrs(long_name="pixels with data in all bands", units="1")
    result = result.compute().drop_vars("spatial_ref", errors="ignore")
    if not int(result.pixels.max()):
        raise GeodesError(
            "No product has data in the field: it may be too small for a pixel's centre, in layover or shadow, or "
            "beside the images."
        )
    for name in names:
        result[name].attrs.pop("grid_mapping", None)
        if in_decibels:
            attrs = result[name].attrs | {"units": "dB"}
            with np.errstate(divide="ignore"):
                result[name] = (result[name].dims, 10 * np.log10(result[name].values), attrs)
    return result
