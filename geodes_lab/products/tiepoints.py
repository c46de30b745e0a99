"""An image with tie points: where its rows and columns are on Earth, and where the pixels of a map are in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

Floats = NDArray[np.float64]
_STEP = 16  # pixels of a grid from one computed position to the next; linear in between
_TURNS = 8  # of Newton's method, which needs three or four


@dataclass(frozen=True, eq=False)
class TiePoints:
    """Some lines and pixels of an image, and their positions."""

    line: Floats
    """(n,) counted from the centre of the first."""
    pixel: Floats
    """(m,) counted from the centre of the first."""
    longitude: Floats
    """(n, m) degrees."""
    latitude: Floats
    """(n, m) degrees."""
    spacing: tuple[float, float]
    """Metres from line to line and from pixel to pixel."""

    def places(self, grid: GeoBox) -> tuple[Floats, Floats]:
        """Return lines and pixels of the image at the centres of a grid's pixels, (rows, cols) each.

        They are outside of it where the grid is.
        """
        lattice = Lattice(grid, self.step(grid))
        line, pixel = self.inverse(str(grid.crs))(*lattice.centres)
        return lattice.between(line), lattice.between(pixel)

    def step(self, grid: GeoBox) -> int:
        """Return how many pixels of a grid may be interpolated.

        At most half a mesh of the tie points, beyond which nothing is known.
        """
        meshes = [np.diff(a).min() * s for a, s in zip((self.line, self.pixel), self.spacing, strict=True)]
        metres = max(abs(grid.affine.a), abs(grid.affine.e)) * (111_320 if grid.crs.geographic else 1)
        return int(np.clip(min(meshes) / 2 / metres, 1, _STEP))

    def inverse(self, crs: str) -> Inverse:
        """Return the inverse of the tie points, for positions in a CRS."""
        return _inverse(self, crs)


class Lattice:
    """Some pixels of a grid, from which the others are interpolated.

    They are the same for all chunks of a grid, some of them outside of a chunk, so that numbers do not depend on
    chunks.
    """

    def __init__(self, grid: GeoBox, step: int) -> None:
        rows, cols = (
            np.arange(-(_number(origin, size) % step), n + step, step, dtype=float)
            for origin, size, n in zip(
                (grid.affine.f, grid.affine.c), (grid.affine.e, grid.affine.a), grid.shape, strict=True
            )
        )
        self.between = Between((rows, cols), (np.arange(grid.shape[0]), np.arange(grid.shape[1])))
        """Interpolates values at the lattice's pixels to all pixels of the grid."""
        col, row = np.meshgrid(cols + 0.5, rows + 0.5)
        a = grid.affine
        self.centres: tuple[Floats, Floats] = a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f
        """x and y of their centres."""


class Between:
    """Interpolates values at some rows and columns, linearly, to others between them.

    Parameters
    ----------
    knots
        The rows and the columns of the values, ascending.
    places
        The rows and the columns that are wanted.
    """

    def __init__(self, knots: tuple[Floats, Floats], places: tuple[NDArray[Any], NDArray[Any]]) -> None:
        self._ways = tuple(self._way(k, p) for k, p in zip(knots, places, strict=True))

    @staticmethod
    def _way(knots: Floats, places: NDArray[Any]) -> tuple[NDArray[np.int_], Floats]:
        """Return the knot before each place, and the weight of the next one."""
        before = np.clip(np.searchsorted(knots, places, "right") - 1, 0, len(knots) - 2)
        return before, (places - knots[before]) / (knots[before + 1] - knots[before])

    def __call__(self, values: Floats) -> Floats:
        """Return the values at all places."""
        (row, down), (col, across) = self._ways
        down = down[:, np.newaxis]
        lines = values[row] * (1 - down) + values[row + 1] * down
        between: Floats = np.take(np.diff(lines, axis=1), col, axis=1)
        between *= across
        between += np.take(lines, col, axis=1)
        return between


def _number(origin: float, size: float) -> int:
    """Return the number of a pixel, counted from the origin of a map.

    Numbers within one grid differ by their distance.
    """
    return math.floor(origin / (size or 1.0) + 0.25)  # grids begin on pixels or in their middle: neither is ambiguous


@dataclass(frozen=True, eq=False)
class Inverse:
    """The conversion from positions on a map to lines and pixels."""

    x: scipy.interpolate.RectBivariateSpline
    """Map coordinates by line and pixel."""
    y: scipy.interpolate.RectBivariateSpline
    plane: Floats
    """(2, 3): line and pixel in a linear fit."""
    turn: float | None = None
    """How far x moves in a turn around the Earth, if a map goes on beyond 180°."""
    middle: float = 0.0
    """The x in the middle of the tie points."""

    def __call__(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return lines and pixels, with the shape of ``x``."""
        if self.turn:  # the same place may be written a turn further west or east
            x = x - self.turn * np.rint((x - self.middle) / self.turn)
        line, pixel = self.plane @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        for _ in range(_TURNS):
            dx, dy = self.x.ev(line, pixel) - x.ravel(), self.y.ev(line, pixel) - y.ravel()
            a, b = self.x.ev(line, pixel, dx=1), self.x.ev(line, pixel, dy=1)
            c, d = self.y.ev(line, pixel, dx=1), self.y.ev(line, pixel, dy=1)
            # Beyond its knots a spline is constant: there the linear fit is used.
            det = a * d - b * c
            flat = np.abs(det) < 1e-18
            det = np.where(flat, 1.0, det)
            line = line - np.where(flat, 0.0, (d * dx - b * dy) / det)
            pixel = pixel - np.where(flat, 0.0, (a * dy - c * dx) / det)
        return line.reshape(x.shape), pixel.reshape(x.shape)


@lru_cache(maxsize=64)
def _inverse(points: TiePoints, crs: str) -> Inverse:
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(points.longitude, points.latitude)
    x, turn = np.asarray(x), _turn(crs)
    if turn and np.ptp(x) > turn / 2:  # across the antimeridian one side continues beyond 180°
        x = np.mod(x, turn)
    lines, pixels = _widened(points.line), _widened(points.pixel)
    degrees = min(3, len(lines) - 1), min(3, len(pixels) - 1)
    splines = [
        scipy.interpolate.RectBivariateSpline(
            lines, pixels, _widened(_widened(np.asarray(v)).T).T, kx=degrees[0], ky=degrees[1], s=0
        )
        for v in (x, y)
    ]
    line, pixel = np.meshgrid(points.line, points.pixel, indexing="ij")
    flat = np.stack([np.ravel(x), np.ravel(y), np.ones(line.size)], axis=1)
    plane = np.linalg.lstsq(flat, np.stack([line.ravel(), pixel.ravel()], axis=1), rcond=None)[0].T
    return Inverse(splines[0], splines[1], plane, turn, float(x.min() + x.max()) / 2)


def _turn(crs: str) -> float | None:
    """Return how far x moves in a turn around the Earth; None if it is not in proportion to longitude."""
    lon, lat = np.array([0.0, 1, 2, 0, 1]), np.array([0.0, 0, 0, 40, 40])
    one, other, north = np.diff(Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)[0])[[0, 1, 3]]
    return 360 * float(one) if np.allclose([other, north], one, rtol=1e-9, atol=0) else None


def _widened(values: Floats) -> Floats:
    """Extrapolate one more value at each end of the first axis."""
    return np.concatenate([2 * values[:1] - values[1:2], values, 2 * values[-1:] - values[-2:-1]])


def sampled(window: NDArray[np.float32], line: Floats, pixel: Floats, order: int) -> NDArray[np.float32]:
    """Sample a window of an image, NaN where it has no data.

    Parameters
    ----------
    window
        (lines, pixels); NaN has no weight, and a sample needs half its weight.
    line, pixel
        (n,) places in the window.
    order
        0: the nearest; 1: bilinear; 3: cubic.
    """
    there = ~np.isnan(window)
    if order == 0:
        row = np.clip(np.rint(line).astype(int), 0, window.shape[0] - 1)
        nearest: NDArray[np.float32] = window[row, np.clip(np.rint(pixel).astype(int), 0, window.shape[1] - 1)]
        return nearest
    places = np.stack([line, pixel])
    filled = np.where(there, window, np.float32(0))
    values_at: NDArray[np.float32] = scipy.ndimage.map_coordinates(
        filled, places, order=order, mode="nearest", output=np.float32
    )
    if there.all():
        return values_at
    weight = scipy.ndimage.map_coordinates(there.astype(np.float32), places, order=1, mode="nearest", output=np.float32)
    if order == 1:
        values_at = np.divide(values_at, weight, out=values_at, where=weight > 0)
    # A cubic kernel has negative weights: beside no data they cannot be renormalised.
    return np.where(weight >= (0.5 if order == 1 else 1 - 1e-6), values_at, np.float32(np.nan))
