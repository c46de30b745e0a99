"""Many points on a map, such as the centres of a grid's pixels, of which only some have computed coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """Rows and columns of points, in between some of which all that is smooth is linear."""

    crs: CRS
    """The CRS of the coordinates."""
    centres: tuple[Floats, Floats]
    """x and y of the known points, (m, n) each."""
    between: Callable[[Floats], Floats]
    """Interpolates values at the known points, (m, n), to all points, `shape`."""
    shape: tuple[int, int]
    """Rows and columns of all points."""
    spacing: tuple[float, float]
    """The distance of neighbours in a row and in a column, in units of the CRS."""
