"""Composites: many dates become one map for each band."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from geodes_lab.processing.inputs import Between, Unit
from geodes_lab.processing.reduction import reduced
from geodes_lab.processing.registry import define

Names = Annotated[list[str], Field(min_length=1, max_length=50)]


@define(version="1", loads=True)
def median(cube: xr.Dataset, bands: Names) -> xr.Dataset:
    """Median composite of each band.

    Parameters
    ----------
    bands
        Bands, such as red and nir.
    """
    return cube[bands].map(lambda band: reduced(band, "median"), keep_attrs=True)


@define(version="1", loads=True)
def maximum(cube: xr.Dataset, bands: Names) -> xr.Dataset:
    """Maximum composite of each band.

    Parameters
    ----------
    bands
        Bands, such as red and nir.
    """
    return cube[bands].map(lambda band: reduced(band, "maximum"), keep_attrs=True)


@define(id="cloud-free", version="1", loads=True)
def cloud_free(
    cube: xr.Dataset,
    bands: Names,
    mask: list[str] | dict[str, list[int]] = ["cloud"],  # noqa: B006  (never changed)
    mask_buffer: Annotated[float, Unit("m"), Between(0, 10_000)] = 100.0,
) -> xr.Dataset:
    """Median of what no cloud hides, with the number of clear dates.

    Parameters
    ----------
    bands
        Bands, such as red and nir.
    mask
        Classes of the products' own masks that become no data; or bands of classes with their numbers.
    mask_buffer
        How far around them pixels become no data too.
    """
    composite = cube[bands].map(lambda band: reduced(band, "median"), keep_attrs=True)
    clear = cube[bands[0]].notnull().sum("time").astype(np.uint16)
    return composite.assign(clear_dates=clear.assign_attrs(long_name="number of dates with data", units="1"))
