"""Where the pixels of a grid lie in a Sentinel-1 image: by its geolocation grid, or by its orbit over a terrain model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.interpolate import RectBivariateSpline

from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel1_annotation import Annotation, Floats, entries, seconds, time

_STEP = 16  # pixels of a grid from one place that is reckoned to the next; in between it is linear
_TURNS = 8  # of Newton's method, which needs three or four


def places(grid: GeoBox, annotation: Annotation, height: NDArray[np.floating] | None = None) -> tuple[Floats, Floats]:
    """Find the lines and pixels of an image at the centres of a grid's pixels.

    Parameters
    ----------
    grid
        In any CRS.
    annotation
        Of the image.
    height
        (rows, cols) metres above the ellipsoid; None: the heights that the geolocation grid was reckoned with.

    Returns
    -------
    line, pixel : numpy.ndarray
        (rows, cols), counted from the centre of the first; beyond the image where the grid is.
    """
    rows, cols = (_knots(n, _step(grid, annotation)) for n in grid.shape)
    affine = grid.affine
    col, row = np.meshgrid(cols + 0.5, rows + 0.5)
    x, y = affine.a * col + affine.b * row + affine.c, affine.d * col + affine.e * row + affine.f
    ways = _weights(rows, grid.shape[0]), _weights(cols, grid.shape[1])
    if height is None:
        found = _inverse(annotation, str(grid.crs))(x, y)
        return _between(found[0], *ways), _between(found[1], *ways)
    # Relief is rough, but how a place shifts with its height is not: three heights tell all between them.
    known = height[np.isfinite(height)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    levels = np.array([low, (low + high) / 2, high]) if high - low > 1 else np.array([low - 1, low, low + 1])
    to_degrees = Transformer.from_crs(str(grid.crs), 4326, always_xy=True)
    lon, lat = to_degrees.transform(x, y)
    at = [locate(annotation, np.asarray(lon), np.asarray(lat), h) for h in levels]
    line, pixel = (
        _through(levels, [_between(values, *ways) for values in found], height) for found in zip(*at, strict=True)
    )
    return line, pixel


def locate(annotation: Annotation, lon: Floats, lat: Floats, height: Floats | float) -> tuple[Floats, Floats]:
    """Lines and pixels of places on Earth, by the orbit: when the satellite was abreast of them, and how far away.

    Parameters
    ----------
    annotation
        Of an image in ground range.
    lon, lat
        Degrees.
    height
        Metres above the ellipsoid.

    Raises
    ------
    GeodesError
        If the annotation says no orbit.
    """
    orbit = annotation.orbit
    if orbit is None:
        raise GeodesError(
            f"{annotation.document.name} says no orbit: relief cannot be taken into account; leave dem= out."
        )
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    place = np.stack(ecef.transform(lon, lat, np.broadcast_to(height, np.shape(lon))), axis=-1)
    since = orbit.time[0]
    first = float(seconds(annotation.start, since))
    velocity, acceleration = orbit.path.derivative(), orbit.path.derivative(2)
    when = np.full(place.shape[:-1], first + annotation.interval * annotation.shape[0] / 2)
    for _ in range(_TURNS):
        to = orbit.path(when) - place
        v = velocity(when)
        doppler = (to * v).sum(-1)
        when = when - doppler / ((v * v).sum(-1) + (to * acceleration(when)).sum(-1))
    slant = np.linalg.norm(orbit.path(when) - place, axis=-1)
    ground = _ground_range(annotation, when + seconds(since, annotation.start), slant)
    return (when - first) / annotation.interval, ground / annotation.spacing[1]


def _ground_range(annotation: Annotation, when: Floats, slant: Floats) -> Floats:
    """Ground range in metres, ``when`` in seconds since the first line; linear in time between the polynomials."""
    told = annotation.document
    found = entries(told, "coordinateConversion/coordinateConversionList/coordinateConversion", 1)
    times = seconds(np.array([time(told, "azimuthTime", c) for c in found]), annotation.start)
    near = np.array([told.number("sr0", c) for c in found])
    polynomials = [np.polynomial.Polynomial(told.numbers("srgrCoefficients", c)) for c in found]
    after = np.clip(np.searchsorted(times, when), 1, max(len(times) - 1, 1))
    ground = np.empty(slant.shape)
    for number in np.unique(after):
        here = after == number
        before = number - 1
        values = polynomials[before](slant[here] - near[before])
        if number < len(times):
            weight = np.clip((when[here] - times[before]) / (times[number] - times[before]), 0, 1)
            values = values * (1 - weight) + polynomials[number](slant[here] - near[number]) * weight
        ground[here] = values
    return ground


@dataclass(frozen=True, eq=False)
class _Inverse:
    """The geolocation grid the other way round: from places on a map to lines and pixels."""

    x: RectBivariateSpline
    """Map coordinates by line and pixel."""
    y: RectBivariateSpline
    first: Floats
    """(2, 3): line and pixel as they would be on a plane."""

    def __call__(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        line, pixel = self.first @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        for _ in range(_TURNS):
            dx, dy = self.x.ev(line, pixel) - x.ravel(), self.y.ev(line, pixel) - y.ravel()
            a, b = self.x.ev(line, pixel, dx=1), self.x.ev(line, pixel, dy=1)
            c, d = self.y.ev(line, pixel, dx=1), self.y.ev(line, pixel, dy=1)
            # Beyond its knots a spline is flat: there the plane has to do.
            det = a * d - b * c
            flat = np.abs(det) < 1e-9
            det = np.where(flat, 1.0, det)
            line = line - np.where(flat, 0.0, (d * dx - b * dy) / det)
            pixel = pixel - np.where(flat, 0.0, (a * dy - c * dx) / det)
        return line.reshape(x.shape), pixel.reshape(x.shape)


@lru_cache(maxsize=64)
def _inverse(annotation: Annotation, crs: str) -> _Inverse:
    grid = annotation.grid
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(grid.longitude, grid.latitude)
    if crs.upper() in ("EPSG:4326", "OGC:CRS84"):  # across the antimeridian one side goes on beyond 180°
        x = np.where(np.ptp(x) > 180, np.mod(x, 360), x)
    lines, pixels = _widened(grid.line), _widened(grid.pixel)
    degrees = min(3, len(lines) - 1), min(3, len(pixels) - 1)
    splines = [
        RectBivariateSpline(lines, pixels, _widened(_widened(np.asarray(v)).T).T, kx=degrees[0], ky=degrees[1], s=0)
        for v in (x, y)
    ]
    line, pixel = np.meshgrid(grid.line, grid.pixel, indexing="ij")
    flat = np.stack([np.ravel(x), np.ravel(y), np.ones(line.size)], axis=1)
    plane = np.linalg.lstsq(flat, np.stack([line.ravel(), pixel.ravel()], axis=1), rcond=None)[0].T
    return _Inverse(splines[0], splines[1], plane)


def _widened(values: Floats) -> Floats:
    """One more value at each end of the first axis, straight on."""
    return np.concatenate([2 * values[:1] - values[1:2], values, 2 * values[-1:] - values[-2:-1]])


def _step(grid: GeoBox, annotation: Annotation) -> int:
    """Pixels from knot to knot: no more than half a mesh of the geolocation grid, beyond which nothing is known."""
    known = annotation.grid
    meshes = [np.diff(axis).min() * s for axis, s in zip((known.line, known.pixel), annotation.spacing, strict=True)]
    metres = max(abs(grid.affine.a), abs(grid.affine.e)) * (111_320 if grid.crs.geographic else 1)
    return int(np.clip(min(meshes) / 2 / metres, 1, _STEP))


def _knots(size: int, step: int) -> Floats:
    return np.unique(np.append(np.arange(0.0, size, step), size - 1.0))


def _weights(knots: Floats, size: int) -> Floats:
    """(size, knots): how much of each knot is in each pixel."""
    return np.stack([np.interp(np.arange(size), knots, unit) for unit in np.eye(len(knots))], axis=1)


def _between(values: Floats, down: Floats, across: Floats) -> Floats:
    found: Floats = down @ values @ across.T
    return found


def _through(levels: Floats, values: list[Floats], height: NDArray[np.floating]) -> Floats:
    """The parabola through three levels, at each pixel's own height."""
    total = np.zeros(height.shape)
    for n, value in enumerate(values):
        weight = np.ones(height.shape)
        for m in range(3):
            if m != n:
                weight *= (height - levels[m]) / (levels[n] - levels[m])
        total += weight * value
    return total
