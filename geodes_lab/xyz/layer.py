"""What a map can show tile by tile, and the grid of tiles that all web maps use."""

from __future__ import annotations

import math
from typing import Protocol

from affine import Affine
from odc.geo.geobox import GeoBox

SIDE = 256
"""Pixels of a tile."""
MOST_ZOOM = 24
_HALF = math.pi * 6_378_137  # metres of web Mercator from the middle to an edge


class Layer(Protocol):
    """Something that can be drawn, tile by tile, from several threads."""

    bounds: tuple[float, float, float, float]
    """West, south, east, north in degrees."""
    min_zoom: int
    """Below, too much would have to be computed for one tile."""
    max_zoom: int
    """Where pixels of a tile are as large as those of the data."""

    def draw(self, zoom: int, column: int, row: int, step: int) -> bytes | None:
        """Draw a tile as PNG.

        Parameters
        ----------
        zoom, column, row
            The tile.
        step
            The number of the time, from 0.

        Returns
        -------
        bytes or None
            None: there is nothing here.
        """


def grid_of(zoom: int, column: int, row: int) -> GeoBox:
    """Return the grid of a tile: 256 × 256 pixels in EPSG:3857."""
    size = 2 * _HALF / 2**zoom
    affine = Affine(size / SIDE, 0, column * size - _HALF, 0, -size / SIDE, _HALF - row * size)
    return GeoBox((SIDE, SIDE), affine, "EPSG:3857")


def exists(zoom: int, column: int, row: int) -> bool:
    """Whether there is such a tile."""
    return 0 <= zoom <= MOST_ZOOM and 0 <= column < 2**zoom and 0 <= row < 2**zoom


def zoom_of(metres: float, latitude: float) -> int:
    """Return the zoom whose pixels are about so large at a latitude."""
    across = 2 * _HALF * math.cos(math.radians(min(abs(latitude), 85))) / SIDE
    return max(0, min(round(math.log2(across / metres)), MOST_ZOOM))
