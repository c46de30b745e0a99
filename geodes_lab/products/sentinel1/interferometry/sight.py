"""The ground that a satellite sees at a time and a distance."""

from __future__ import annotations

import numpy as np
from pyproj import Transformer

from geodes_lab.products.sentinel1.annotation import Floats, Orbit

_TURNS = 6  # of Newton's method, which needs four
_EARTH = 6_371_000.0  # metres


def ground(orbit: Orbit, when: Floats, slant: Floats, height: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Return longitude and latitude of places at zero Doppler, to the right of the flight.

    Parameters
    ----------
    orbit
        The satellite's states.
    when
        Seconds since the first state.
    slant
        Metres; of the same shape.
    height
        Metres above the ellipsoid.
    """
    to_degrees = Transformer.from_crs(4978, 4979, always_xy=True)
    satellite, flight = orbit.path(when), orbit.path.derivative()(when)
    flight = flight / np.linalg.norm(flight, axis=-1, keepdims=True)
    down = (satellite * flight).sum(-1, keepdims=True) * flight - satellite
    far = np.linalg.norm(down, axis=-1)
    down = down / far[..., np.newaxis]
    right = np.cross(down, flight)
    # The angle off the nadir, first on a sphere.
    cosine = (slant**2 + far**2 - (_EARTH + height) ** 2) / (2 * slant * far)
    angle = np.arccos(np.clip(cosine, -1, 1))
    for _ in range(_TURNS):
        sin, cos = np.sin(angle)[..., np.newaxis], np.cos(angle)[..., np.newaxis]
        place = satellite + slant[..., np.newaxis] * (cos * down + sin * right)
        lon, lat, above = to_degrees.transform(*np.moveaxis(place, -1, 0))
        east, north = np.radians(lon), np.radians(lat)
        up = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)
        rise = slant * ((cos * right - sin * down) * up).sum(-1)
        angle = angle - (above - height) / rise
    return np.asarray(lon), np.asarray(lat)
