"""The surroundings of masked pixels, in metres: the same wherever a cube is cut into chunks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.errors import GeodesError

MOST_PIXELS = 2048
"""Of a buffer: so many more are read on each side of a chunk."""
_DEGREE = math.radians(1) * 6_371_008.8  # metres of latitude


def pixel_size(grid: GeoBox) -> tuple[float, float]:
    """Return the height and the width of a pixel in metres.

    In degrees, that of the row that is farthest from the equator counts for all: elsewhere pixels are wider, and a
    buffer reaches at least as far as it should.
    """
    width, height = abs(grid.affine.a), abs(grid.affine.e)
    if not grid.crs.geographic:
        metres = grid.crs.proj.axis_info[0].unit_conversion_factor
        return height * metres, width * metres
    _, south, _, north = grid.boundingbox.bbox
    latitude = min(max(abs(south), abs(north)), 89.9)
    return height * _DEGREE, width * _DEGREE * math.cos(math.radians(latitude))


def margins(grid: GeoBox, buffer: float) -> tuple[int, int]:
    """Return how many rows and columns of pixels a buffer reaches.

    Parameters
    ----------
    grid
        Of the whole cube.
    buffer
        In metres.

    Raises
    ------
    GeodesError
        If it is more than `MOST_PIXELS`.
    """
    rows, columns = (math.floor(buffer / side + 1e-9) for side in pixel_size(grid))
    if max(rows, columns) > MOST_PIXELS:
        raise GeodesError(
            f"mask_buffer={buffer:g} m is {max(rows, columns)} pixels of this grid, more than {MOST_PIXELS}: choose a "
            "smaller buffer, or a coarser resolution=."
        )
    return rows, columns


def grown(hidden: NDArray[np.bool_], grid: GeoBox, buffer: float) -> NDArray[np.bool_]:
    """Return the pixels whose centre is at most ``buffer`` metres from that of a hidden one.

    Parameters
    ----------
    hidden
        With the margins, so that what is beyond an edge counts too.
    grid
        Of the whole cube, for the size of its pixels.
    buffer
        In metres.
    """
    from scipy.ndimage import distance_transform_edt

    if not hidden.any() or hidden.all():
        return hidden
    distance = distance_transform_edt(~hidden, sampling=pixel_size(grid))
    return np.asarray(distance <= buffer * (1 + 1e-9), bool)
