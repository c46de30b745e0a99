"""Where a secondary image has the samples of a primary's, and how much farther the ground is: by orbits and terrain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from odc.geo.crs import CRS

from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1.annotation import LIGHT, Annotation, Floats, seconds
from geodes_lab.products.sentinel1.flattening.scene import heights
from geodes_lab.products.sentinel1.interferometry import sight
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.tiepoints import Between
from geodes_lab.raster.points import Points
from geodes_lab.raster.source import Span

_ROW, _COL = 2, 4  # lines and pixels between points whose height is read, less than a terrain model's own
_KNOT = 32, 64  # lines and pixels between points that are computed; what is smooth is linear in between
_TURNS = 4  # until the heights of tie points settle
_HIGHEST, _LOWEST = 9000.0, -500.0  # metres
_MARGIN = 150.0  # metres that the terrain may be higher or lower than the probes


@dataclass(frozen=True, eq=False)
class Offsets:
    """For each sample of a window of a primary burst."""

    line: Floats
    """Lines of the secondary burst."""
    pixel: Floats
    """Pixels of the secondary image."""
    farther: Floats
    """Metres of slant range that the ground is farther away from the secondary orbit."""
    known: NDArray[np.bool_]
    """Whether the ground's height is known."""


def offsets(pair: BurstPair, rows: Span, cols: Span) -> Offsets:
    """Compute the offsets of a window; the terrain model is read.

    Where several places of the ground are in one sample (layover), that nearest to below the satellite counts.
    """
    row, col = _knots(rows, _ROW, 1), _knots(cols, _COL, 1)
    low, high = _terrain(pair, rows, cols)
    slope = _pixels_per_metre(pair)
    seen = _Ground(pair, row, _knots((cols[0] + _floor(slope * low), cols[1] + _floor(slope * high) + 1), _COL, 4))
    height = seen.heights()
    void = np.isnan(height)
    height[void] = float(np.median(pair.primary.described.annotation.grid.height))
    pixel, down, across, farther = seen.at(height)
    pixel = np.maximum.accumulate(pixel, axis=1)
    fields = [down, across, farther, void.astype(float)]
    found = np.empty((len(fields), len(row), len(col)))
    for line in range(len(row)):
        for values, out in zip(fields, found, strict=True):
            out[line] = np.interp(col, pixel[line], values[line])
    all_rows, all_cols = (np.arange(*span, dtype=float) for span in (rows, cols))
    between = Between((row, col), (all_rows, all_cols))
    down, across, farther, unknown = (between(v) for v in found)
    return Offsets(all_rows[:, np.newaxis] + down, all_cols + across, farther, unknown < 0.01)


def _knots(span: Span, step: int, more: int) -> Floats:
    """Return multiples of a step around a span."""
    return np.arange(span[0] // step - more, -(-span[1] // step) + more + 1, dtype=float) * step


def _floor(value: float) -> int:
    return int(np.floor(value))


def _pixels_per_metre(pair: BurstPair) -> float:
    """Return by how many pixels a metre of height moves the ground towards the satellite in the image."""
    annotation = pair.primary.described.annotation
    angle = float(np.radians(annotation.grid.incidence.min()))
    return np.cos(angle) * 2 / LIGHT * annotation.range_rate


def _terrain(pair: BurstPair, rows: Span, cols: Span) -> tuple[float, float]:
    """Return the lowest and highest ground that may be seen in a window."""
    slope = _pixels_per_metre(pair)
    wide = cols[0] + _floor(slope * _LOWEST), cols[1] + _floor(slope * _HIGHEST)
    if pair.relief is None:
        known = pair.primary.described.annotation.grid.height
        return max(float(known.min()) - _MARGIN, _LOWEST), min(float(known.max()) + _MARGIN, _HIGHEST)
    probes = _Ground(pair, _knots(rows, 16, 1), _knots(wide, 32, 1)).heights()
    known = probes[np.isfinite(probes)]
    if not known.size:
        return 0.0, 1.0
    return max(float(known.min()) - _MARGIN, _LOWEST), min(float(known.max()) + _MARGIN, _HIGHEST)


class _Ground:
    """Places on the ground by the lines and pixels at which the primary would see them without their height.

    Parameters
    ----------
    pair
        The two bursts.
    row, col
        Lines of the primary burst and pixels, ascending.
    """

    def __init__(self, pair: BurstPair, row: Floats, col: Floats) -> None:
        self._pair, self._row, self._col = pair, row, col
        steps = [np.arange(v[0] // n, v[-1] // n + 2) * n for v, n in zip((row, col), _KNOT, strict=True)]
        self._between = Between((steps[0], steps[1]), (row, col))
        self._line, self._pixel = np.meshgrid(*steps, indexing="ij")
        annotation, orbit = pair.primary.described.annotation, pair.primary.orbit
        begin = float(seconds(pair.primary.described.bursts[pair.first].start, orbit.time[0]))
        slant = (annotation.slant_range_time + self._pixel / annotation.range_rate) * LIGHT / 2
        self._lon, self._lat = sight.ground(orbit, begin + self._line * annotation.interval, slant)
        # In degrees the places of a burst across 180° would jump.
        self._lon = np.where(np.ptp(self._lon) > 180, np.mod(self._lon, 360), self._lon)

    def heights(self) -> Floats:
        """Return metres above the ellipsoid; NaN where unknown."""
        pair = self._pair
        about = pair.primary.described
        shape = len(self._row), len(self._col)
        line = np.broadcast_to((about.bursts[pair.first].lines[0] + self._row)[:, np.newaxis], shape)
        place = line, np.broadcast_to(self._col, shape)
        if pair.relief is None:
            # The tie points' heights belong to pixels of the image, where the height itself puts the ground.
            found = tie_heights(about.annotation, place)
            for _ in range(_TURNS):
                found = tie_heights(about.annotation, (line, self.at(found)[0]))
            return found
        spacing = _degrees(self._lon, self._lat, self._row, self._col)
        points = Points(CRS("EPSG:4326"), (self._lon, self._lat), self._between, shape, spacing)
        return heights(pair.relief, about.annotation, points, place)

    def at(self, height: Floats) -> list[Floats]:
        """Return pixels of the primary, offsets to the secondary in lines and pixels, and metres farther away."""
        pair = self._pair

        def level(above: float) -> tuple[Floats, ...]:
            when, slant = geometry.abreast(pair.primary.orbit, self._lon, self._lat, above)
            line, pixel = pair.primary.seen(pair.first, when, slant)
            later, other = geometry.abreast(pair.secondary.orbit, self._lon, self._lat, above)
            row, col = pair.secondary.seen(pair.second, later + pair.late, other)
            smooth = pixel - self._pixel, row - line, col - pixel, other - slant
            moved, *rest = (self._between(v) for v in smooth)
            return (moved + self._col, *rest)

        return geometry.by_height(level, height)


def tie_heights(annotation: Annotation, place: tuple[Floats, Floats]) -> Floats:
    """Return the heights of the tie points between them, at lines and pixels of the image."""
    grid = annotation.grid
    between = scipy.interpolate.RegularGridInterpolator((grid.line, grid.pixel), grid.height)
    inside = (np.clip(p, k[0], k[-1]) for p, k in zip(place, (grid.line, grid.pixel), strict=True))
    return np.asarray(between(tuple(inside)))


def _degrees(lon: Floats, lat: Floats, row: Floats, col: Floats) -> tuple[float, float]:
    """Return the distance of neighbouring points in degrees, across and down."""
    steps = _KNOT[0] / (row[1] - row[0]), _KNOT[1] / (col[1] - col[0])
    down, across = (
        float(np.hypot(np.diff(lon, axis=n), np.diff(lat, axis=n)).mean()) / step for n, step in enumerate(steps)
    )
    return across, down
