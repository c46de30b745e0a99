"""The height of the geoid above the ellipsoid: it converts heights above sea level to heights above the ellipsoid.

The grid is EGM96, every 15 minutes, from the U.S. National Geospatial-Intelligence Agency and NASA (public domain), as
PROJ distributes it, rounded to a centimetre. It is part of the package: nothing is downloaded.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NAME = "EGM96"
"""The model of the geoid."""
_GRID = Path(__file__).with_name("egm96.tif")
_MARGIN = 16  # columns that are repeated beyond 180°: no spline reaches further


def undulation(lon: Floats, lat: Floats) -> Floats:
    """Return the metres of the geoid above the WGS 84 ellipsoid, by a bicubic spline through the grid.

    Parameters
    ----------
    lon, lat
        Degrees; longitudes may be shifted by whole turns.
    """
    coefficients, (west, north, step) = _spline()
    col = np.mod(np.asarray(lon) - west, 360) / step + _MARGIN
    row = (north - np.asarray(lat)) / step
    heights = scipy.ndimage.map_coordinates(
        coefficients, [np.ravel(row), np.ravel(col)], order=3, mode="mirror", prefilter=False
    )
    return np.asarray(heights).reshape(np.shape(row))


@lru_cache(maxsize=1)
def _spline() -> tuple[Floats, tuple[float, float, float]]:
    """Return the spline's coefficients, and the longitude, the latitude and the step of the grid's first value."""
    with rasterio.open(_GRID) as file:
        values, at = file.read(1) * file.scales[0], file.transform
    around = np.pad(values, ((0, 0), (_MARGIN, _MARGIN)), mode="wrap")
    return scipy.ndimage.spline_filter(around, order=3, mode="mirror"), (at.c + at.a / 2, at.f + at.e / 2, at.a)
