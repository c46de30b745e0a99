"""Where the pixels of a grid are in a Sentinel-1 image.

Computed from its orbit, at the heights of its tie points or of a terrain model.

Between its tie points an image in ground range is not smooth: each second has a new conversion, for the mean height of
the ground there (it jumps by 100 m from one second to the next over the Alps), and the tie points are three seconds
apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel1.annotation import LIGHT, Annotation, Floats, Orbit, seconds
from geodes_lab.products.tiepoints import Lattice

_TURNS = 8  # of Newton's method, which needs three or four
_SEA = 1.0  # metres
_LAYER = 1000.0  # metres of height within which a position's shift is a parabola
_NEAR = 2  # meshes of the tie points around the image: relief shifts a position by less


def places(
    grid: GeoBox, annotation: Annotation, height: NDArray[np.floating] | None = None, orbit: Orbit | None = None
) -> tuple[Floats, Floats]:
    """Find the lines and pixels of an image at the centres of a grid's pixels.

    Parameters
    ----------
    grid
        In any CRS.
    annotation
        The annotation of an image in ground range.
    height
        (rows, cols) metres above the ellipsoid; None: the heights of the tie points, linear in between.
    orbit
        A better one than the annotation's; None: the annotation's.

    Returns
    -------
    line, pixel : numpy.ndarray
        (rows, cols), counted from the centre of the first; outside of the image where the grid is.

    Raises
    ------
    GeodesError
        If heights are given and the annotation has no orbit. Without both, the tie points are used.
    """
    points = annotation.grid.points(annotation.spacing)
    if height is None and orbit is None and (annotation.orbit is None or not annotation.conversions):
        return points.places(grid)
    lattice = Lattice(grid, points.step(grid))
    x, y = lattice.centres
    near = points.inverse(str(grid.crs))(x, y)
    # A place on the other side of the orbit is equally far away at the same time: only places near the image are
    # computed.
    around = np.full(x.shape, True)
    for place, known in zip(near, (annotation.grid.line, annotation.grid.pixel), strict=True):
        margin = _NEAR * np.diff(known).max()
        around &= (place > known[0] - margin) & (place < known[-1] + margin)
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(x[around], y[around])
    guess = near[0][around], near[1][around]

    def at(height: Floats | float) -> tuple[Floats, Floats]:
        line, pixel = near[0].copy(), near[1].copy()
        line[around], pixel[around] = locate(annotation, lon, lat, height, guess, orbit)
        return lattice.between(line), lattice.between(pixel)

    if height is None:
        return at(_between(annotation, annotation.grid.height)(guess))
    line, pixel = by_height(at, height)
    return line, pixel


def sea(grid: GeoBox, annotation: Annotation) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the tie points say sea, at the centres of a grid's pixels: one of the nearest four, and all four.

    See `sea_at`.
    """
    return sea_at(annotation.grid.points(annotation.spacing).places(grid), annotation)


def sea_at(place: tuple[Floats, Floats], annotation: Annotation) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the tie points say sea, at lines and pixels: one of the nearest four, and all four.

    ESA's processor gives the sea the height 0, to a millimetre; land at that height is like sea for the radar.
    """
    known = annotation.grid
    row, col = (
        np.clip(np.searchsorted(at, p, "right") - 1, 0, len(at) - 2)
        for at, p in zip((known.line, known.pixel), place, strict=True)
    )
    at_sea = np.abs(known.height) < _SEA
    corners: NDArray[np.bool_] = np.stack([at_sea[row + down, col + across] for down in (0, 1) for across in (0, 1)])
    return np.any(corners, axis=0), np.all(corners, axis=0)


def locate(
    annotation: Annotation,
    lon: Floats,
    lat: Floats,
    height: Floats | float,
    guess: tuple[Floats, Floats],
    orbit: Orbit | None = None,
) -> tuple[Floats, Floats]:
    """Return lines and pixels of places on Earth, from the orbit: the time of closest approach, and the distance.

    Parameters
    ----------
    annotation
        The annotation of an image in ground range.
    lon, lat
        Degrees.
    height
        Metres above the ellipsoid.
    guess
        Lines and pixels nearby: the difference between the annotation's orbit and its tie points is corrected there. In
        ESA's products it is zero.
    orbit
        A better one than the annotation's; None: the annotation's.

    Raises
    ------
    GeodesError
        If the annotation has no orbit.
    """
    return view(annotation, lon, lat, height, guess, orbit)[:2]


class View(NamedTuple):
    """How an image sees places on Earth."""

    line: Floats
    """Counted from the centre of the first."""
    pixel: Floats
    """Counted from the centre of the first."""
    satellite: Floats
    """(..., 3) metres, Earth-fixed: where the satellite was."""
    stretch: Floats
    """Metres of slant range from a pixel to the next, at the pixel that ``at`` says."""


def view(
    annotation: Annotation,
    lon: Floats,
    lat: Floats,
    height: Floats | float,
    guess: tuple[Floats, Floats],
    orbit: Orbit | None = None,
    at: Floats | None = None,
) -> View:
    """Return how an image sees places on Earth; see `locate`.

    Parameters
    ----------
    annotation, lon, lat, height, guess, orbit
        See `locate`.
    at
        The pixels at which the image's spacing in slant range is wanted; None: where the places are seen.
    """
    orbit = orbit or annotation.orbit
    if orbit is None or not annotation.conversions:
        raise GeodesError(f"{annotation.name} has no orbit, so relief cannot be corrected: leave dem= and orbits= out.")
    when, slant = abreast(orbit, lon, lat, height)
    late, far = np.zeros(()), np.zeros(())
    if annotation.orbit is not None:
        late, far = (_between(annotation, missed)(guess) for missed in _missed(annotation))
    satellite = orbit.path(when)
    when, slant = when + float(seconds(orbit.time[0], annotation.start)) + late, slant + far
    spacing = annotation.spacing[1]
    pixel = _ground_range(annotation, when, slant) / spacing
    stretch = spacing / _ground_range(annotation, when, slant, 1)
    if at is not None:
        stretch = spacing / _ground_range(annotation, when, slant + (at - pixel) * stretch, 1)
    return View(when / annotation.interval, pixel, satellite, stretch)


def abreast(orbit: Orbit, lon: Floats, lat: Floats, height: Floats | float) -> tuple[Floats, Floats]:
    """Return the zero-Doppler view of places on Earth: when, in seconds since the first state, and how far, in metres.

    Parameters
    ----------
    orbit
        The satellite's states.
    lon, lat
        Degrees.
    height
        Metres above the ellipsoid.
    """
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    place = np.stack(ecef.transform(lon, lat, np.broadcast_to(height, np.shape(lon))), axis=-1)
    velocity, acceleration = orbit.path.derivative(), orbit.path.derivative(2)
    when = np.full(place.shape[:-1], float(seconds(orbit.time[-1], orbit.time[0])) / 2)
    for _ in range(_TURNS):
        to = orbit.path(when) - place
        v = velocity(when)
        doppler = (to * v).sum(-1)
        when = when - doppler / ((v * v).sum(-1) + (to * acceleration(when)).sum(-1))
    return when, np.linalg.norm(orbit.path(when) - place, axis=-1)


@lru_cache(maxsize=256)
def _missed(annotation: Annotation) -> tuple[Floats, Floats]:
    """Return seconds and metres of slant range by which the orbit's values for the tie points are too small."""
    orbit, grid = annotation.orbit, annotation.grid
    assert orbit is not None
    when, slant = abreast(orbit, grid.longitude, grid.latitude, grid.height)
    return seconds(grid.azimuth_time, orbit.time[0]) - when, grid.slant_range_time * LIGHT / 2 - slant


def _between(annotation: Annotation, values: Floats) -> Callable[[tuple[Floats, Floats]], Floats]:
    """Interpolate values of the tie points, linearly between them and constant outside; by lines and pixels."""
    grid = annotation.grid
    interpolator = scipy.interpolate.RegularGridInterpolator((grid.line, grid.pixel), values)

    def at(place: tuple[Floats, Floats]) -> Floats:
        inside = (np.clip(p, k[0], k[-1]) for p, k in zip(place, (grid.line, grid.pixel), strict=True))
        return np.asarray(interpolator(tuple(inside)))

    return at


def _ground_range(annotation: Annotation, when: Floats, slant: Floats, derivative: int = 0) -> Floats:
    """Return ground range in metres, or its derivative, ``when`` in seconds since the first line.

    Linear in time between the polynomials.
    """
    conversions = annotation.conversions
    polynomials = [c.polynomial.deriv(derivative) if derivative else c.polynomial for c in conversions]
    times = seconds(np.array([c.time for c in conversions]), annotation.start)
    after = np.clip(np.searchsorted(times, when), 1, max(len(times) - 1, 1))
    ground = np.empty(slant.shape)
    for number in np.unique(after):
        here, before = after == number, conversions[number - 1]
        values = polynomials[number - 1](slant[here] - before.near)
        if number < len(times):
            weight = np.clip((when[here] - times[number - 1]) / (times[number] - times[number - 1]), 0, 1)
            values = values * (1 - weight) + polynomials[number](slant[here] - conversions[number].near) * weight
        ground[here] = values
    return ground


def by_height(at: Callable[[float], tuple[Floats, ...]], height: NDArray[np.floating]) -> list[Floats]:
    """Return what depends on the height of places, at their own heights.

    Relief is rough, but the shift of a position changes smoothly with its height: between three heights in a kilometre
    it is a parabola. The kilometres are the same for all, so that numbers do not depend on what else is asked for.

    Parameters
    ----------
    at
        Gives the values of all places at one height, metres.
    height
        Metres; NaN where unknown, as are the results.
    """
    number = np.floor(height / _LAYER)
    layers = np.unique(number[np.isfinite(number)])
    result = [np.full(height.shape, np.nan) for _ in at(0.0)] if layers.size != 1 else []
    top: tuple[float, tuple[Floats, ...]] | None = None
    for layer in layers.tolist():
        levels = [layer * _LAYER, (layer + 0.5) * _LAYER, (layer + 1) * _LAYER]
        values = [top[1] if top and top[0] == levels[0] else at(levels[0]), at(levels[1]), at(levels[2])]
        top = levels[2], values[2]
        if not result:
            return [_through(levels, several, height) for several in zip(*values, strict=True)]
        here = number == layer
        for out, several in zip(result, zip(*values, strict=True), strict=True):
            out[here] = _through(levels, [v[here] for v in several], height[here])
    return result


def _through(levels: list[float], values: Sequence[Floats], height: NDArray[np.floating]) -> Floats:
    """Return the parabola through three levels, evenly apart, at each place's own height."""
    share = (height - levels[0]) / (levels[2] - levels[0])
    rise, bend = values[2] - values[0], 2 * (values[2] - 2 * values[1] + values[0])
    parabola: Floats = values[0] + share * (rise - bend) + share * share * bend
    return parabola
