"""Where the pixels of a grid lie in a Sentinel-1 image: by its geolocation grid, or by its orbit over a terrain model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel1_annotation import Annotation, Floats, entries, seconds, time
from geodes_lab.products.tiepoints import Lattice

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
    points = annotation.grid.points(annotation.spacing)
    if height is None:
        return points.places(grid)
    lattice = Lattice(grid, points.step(grid))
    # Relief is rough, but how a place shifts with its height is not: three heights tell all between them.
    known = height[np.isfinite(height)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    levels = np.array([low, (low + high) / 2, high]) if high - low > 1 else np.array([low - 1, low, low + 1])
    to_degrees = Transformer.from_crs(str(grid.crs), 4326, always_xy=True)
    lon, lat = to_degrees.transform(*lattice.centres)
    at = [locate(annotation, np.asarray(lon), np.asarray(lat), h) for h in levels]
    line, pixel = (
        _through(levels, [lattice.between(values) for values in found], height) for found in zip(*at, strict=True)
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
