"""Two passes over the same ground: complex speckle of a known coherence, delayed by geometry and by what moved.

What a radar sees of a rough surface is circular Gaussian noise in the band of its image. The second pass has the same
noise as far as the coherence says, at the places that its orbit and the terrain give, with the phase of its own distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from pyproj import Transformer

Floats = NDArray[np.float64]
Complex = NDArray[np.complex64]
Path = Callable[[Floats], tuple[Floats, Floats]]
OfPlace = Callable[[Floats, Floats], Floats]

_AXES = 6_378_137.0, 6_356_752.314_245  # metres, of WGS 84
_EVERY = 4, 2  # lines and pixels between computed places
_PAD = 16  # samples around a window
_FINER = 2  # times by which the noise is oversampled before it is interpolated
_TALLEST = 1200.0  # metres


@dataclass(frozen=True, eq=False)
class Sensor:
    """One pass: where the satellite is, and what the lines and pixels of a burst are."""

    path: Path
    """Positions and velocities (..., 3), Earth-fixed, by seconds since an epoch."""
    start: float
    """Zero-Doppler time of line 0: seconds since the epoch."""
    interval: float
    """Seconds from line to line."""
    near: float
    """Slant range of pixel 0, metres."""
    step: float
    """Metres of slant range from pixel to pixel."""

    def view(self, place: Floats) -> tuple[Floats, Floats, Floats]:
        """Return line, pixel and slant range in metres of places (..., 3)."""
        when = np.full(place.shape[:-1], self.start)
        for _ in range(6):
            satellite, velocity = self.path(when)
            when = when - ((satellite - place) * velocity).sum(-1) / (velocity**2).sum(-1) / self._slowing(
                satellite, place
            )
        slant = np.linalg.norm(self.path(when)[0] - place, axis=-1)
        return (when - self.start) / self.interval, (slant - self.near) / self.step, slant

    @staticmethod
    def _slowing(satellite: Floats, place: Floats) -> Floats:
        """Return the share of the speed at which the beam moves over the ground: the orbit is curved."""
        return np.asarray((satellite * place).sum(-1) / (satellite**2).sum(-1))


@dataclass(frozen=True, eq=False)
class Ground:
    """What is on the ground, by longitude and latitude in degrees."""

    height: OfPlace
    """Metres above the ellipsoid, 0 to 1200."""
    coherence: OfPlace
    """From 0 to 1."""
    moved: OfPlace
    """Metres by which it is farther away from the satellite at the second pass."""


@dataclass(frozen=True, eq=False)
class Burst:
    """What both images of a burst have in common."""

    wavelength: float
    """Metres."""
    band: tuple[float, float]
    """Bandwidths in azimuth and in range, as shares of the sampling."""
    weight: tuple[float, float]
    """Coefficients of their Hamming windows."""
    ramp: Callable[[Floats, Floats], Floats]
    """The phase that the turning antenna gives to lines and pixels of the first pass, radians."""


def level(sensor: Sensor, line: Floats, pixel: Floats, height: float = 0.0) -> tuple[Floats, Floats]:
    """Return longitude and latitude that are seen at lines and pixels (n, m) at a height, to the right of the flight."""
    places = _around(sensor, line[:, 0], height, pixel.min() - 10, pixel.max() + 10)
    slant = np.linalg.norm(places - sensor.path(sensor.start + line[:, :1] * sensor.interval)[0], axis=-1)
    known = (slant - sensor.near) / sensor.step
    lon, lat, _ = _degrees(places)
    curves = [[scipy.interpolate.CubicSpline(a, b) for a, b in zip(known, v, strict=True)] for v in (lon, lat)]
    east, north = (np.stack([curve(p) for curve, p in zip(c, pixel, strict=True)]) for c in curves)
    return east, north


def pair(
    rng: np.random.Generator,
    sensors: tuple[Sensor, Sensor],
    burst: Burst,
    ground: Ground,
    windows: tuple[tuple[slice, slice], tuple[slice, slice]],
    late: float = 0.0,
) -> tuple[Complex, Complex]:
    """Make both images of a burst, or of a part of it, with a variance of one.

    Parameters
    ----------
    rng
        The source of the noise.
    sensors, burst, ground
        See there.
    windows
        Lines and pixels of the first image, and of the second.
    late
        Seconds by which the second image shows everything later than its orbit says.
    """
    (rows, cols), (rows2, cols2) = windows
    row = np.arange(rows.start - _PAD, rows.stop + _PAD + _EVERY[0], _EVERY[0], dtype=float)
    col = np.arange(cols.start - _PAD, cols.stop + _PAD + _EVERY[1], _EVERY[1], dtype=float)
    down, across, farther, lon, lat = _seen(sensors, ground, row, col)
    line2, pixel2 = np.meshgrid(
        np.arange(rows2.start, rows2.stop, 1.0), np.arange(cols2.start, cols2.stop, 1.0), indexing="ij"
    )
    line2 = line2 - late / sensors[1].interval
    line, pixel = line2.copy(), pixel2.copy()

    def at(values: Floats) -> Floats:
        places = [(line - row[0]) / _EVERY[0], (pixel - col[0]) / _EVERY[1]]
        return np.asarray(scipy.ndimage.map_coordinates(values, places, order=1, mode="nearest"))

    for _ in range(4):
        line, pixel = line2 - at(down), pixel2 - at(across)
    same, other = _noise(rng, rows, cols, burst), _noise(rng, rows, cols, burst)
    coherence = np.clip(at(ground.coherence(lon, lat)), 0, 1)
    places = [(v - (s.start - _PAD)) * _FINER for v, s in zip((line, pixel), (rows, cols), strict=True)]
    second = coherence * _at(same, places) + np.sqrt(1 - coherence**2) * _at(other, places)
    delay = at(farther + ground.moved(lon, lat))
    second *= np.exp(1j * (burst.ramp(line, pixel) - 4 * np.pi / burst.wavelength * delay))
    inner = slice(_PAD * _FINER, -_PAD * _FINER or None, _FINER)
    here = np.meshgrid(np.arange(rows.start, rows.stop, 1.0), np.arange(cols.start, cols.stop, 1.0), indexing="ij")
    first = same[inner, inner] * np.exp(1j * burst.ramp(*here))
    return first.astype(np.complex64), second.astype(np.complex64)


def _seen(sensors: tuple[Sensor, Sensor], ground: Ground, row: Floats, col: Floats) -> list[Floats]:
    """Return on rows and columns: lines and pixels to the second image, metres farther, longitude and latitude."""
    first, second = sensors
    flat = _around(first, row, 0.0, col[0] - 20, col[-1] + 20 + _TALLEST / first.step, 1 / _EVERY[1])
    lon, lat, _ = _degrees(flat)
    up = ground.height(lon, lat)
    place = np.stack(Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, up), axis=-1)
    line, pixel, slant = first.view(place)
    line2, pixel2, slant2 = second.view(place)
    pixel = np.maximum.accumulate(pixel + 1e-9 * np.arange(pixel.shape[1]), axis=1)  # the nearest ground, in layover
    fields = line2 - line, pixel2 - (slant - first.near) / first.step, slant2 - slant, lon, lat
    return [np.stack([np.interp(col, p, v) for p, v in zip(pixel, f, strict=True)]) for f in fields]


def _around(sensor: Sensor, line: Floats, height: float, first: float, last: float, density: float = 0.05) -> Floats:
    """Return places (lines, n, 3) at a height in the planes of zero Doppler, evenly by the angle off the nadir."""
    satellite, velocity = sensor.path(sensor.start + line * sensor.interval)
    flight = velocity / np.linalg.norm(velocity, axis=-1, keepdims=True)
    down = (satellite * flight).sum(-1, keepdims=True) * flight - satellite
    far = np.linalg.norm(down, axis=-1).mean()
    down = down / np.linalg.norm(down, axis=-1, keepdims=True)
    right = np.cross(down, flight)
    radius = np.linalg.norm(_sea_level(satellite), axis=-1).mean() + height
    reach = sensor.near + np.array([first - 30, last + 30]) * sensor.step
    angles = np.arccos((reach**2 + far**2 - radius**2) / (2 * reach * far))
    count = int((last - first) * density) + 4
    angle = np.linspace(angles[0] - 1e-3, angles[1] + 1e-3, count)[:, np.newaxis]
    ray = np.cos(angle) * down[:, np.newaxis] + np.sin(angle) * right[:, np.newaxis]
    # The ellipsoid becomes a sphere of one; the ray meets it at the nearer root.
    axes = np.array([_AXES[0], _AXES[0], _AXES[1]]) + height
    d, s = ray / axes, satellite[:, np.newaxis] / axes
    a, b, c = (d * d).sum(-1), (d * s).sum(-1), (s * s).sum(-1) - 1
    distance = (-b - np.sqrt(b * b - a * c)) / a
    return np.asarray(satellite[:, np.newaxis] + distance[..., np.newaxis] * ray)


def _sea_level(place: Floats) -> Floats:
    lon, lat, _ = _degrees(place)
    return np.stack(Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, np.zeros(lon.shape)), axis=-1)


def _degrees(place: Floats) -> tuple[Floats, Floats, Floats]:
    lon, lat, up = Transformer.from_crs(4978, 4979, always_xy=True).transform(
        place[..., 0], place[..., 1], place[..., 2]
    )
    return np.asarray(lon), np.asarray(lat), np.asarray(up)


def _noise(rng: np.random.Generator, rows: slice, cols: slice, burst: Burst) -> NDArray[np.complex128]:
    """Return circular Gaussian noise in the image's band, oversampled, with a variance of one."""
    shape = rows.stop - rows.start + 2 * _PAD, cols.stop - cols.start + 2 * _PAD
    white = rng.standard_normal((2, shape[0], shape[1]))
    spectrum = scipy.fft.fft2(white[0] + 1j * white[1])
    power = 1.0
    for axis, (band, weight) in enumerate(zip(burst.band, burst.weight, strict=True)):
        frequency = scipy.fft.fftfreq(shape[axis])
        window = np.where(
            np.abs(frequency) <= band / 2, weight + (1 - weight) * np.cos(2 * np.pi * frequency / band), 0
        )
        spectrum *= window[:, np.newaxis] if axis == 0 else window
        power *= float(np.mean(window**2))
    # Zeros beyond the highest frequencies: the same image, finer.
    finer = np.zeros(tuple(_FINER * n for n in shape), complex)
    half = [(n + 1) // 2 for n in shape]
    for up in (slice(0, half[0]), slice(half[0] - shape[0], None)):
        for side in (slice(0, half[1]), slice(half[1] - shape[1], None)):
            finer[up, side] = spectrum[up, side]
    return np.asarray(scipy.fft.ifft2(finer) * _FINER**2 / np.sqrt(2 * power))


def _at(field: NDArray[np.complex128], places: list[Floats]) -> NDArray[np.complex128]:
    return np.asarray(scipy.ndimage.map_coordinates(field, places, order=5, mode="nearest"))
