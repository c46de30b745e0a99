"""Sentinel-1 IW GRDH products in ESA's form: SAFE in one zip, radar geometry, a calibration that can be inverted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from geodes_lab.sample import truth

LINES, SAMPLES, SPACING = (
    800,
    1000,
    10,
)  # size of the image, which is completely inside the truth's area; metres per pixel
LOOKS = 4.4  # equivalent number of looks of a real GRDH product
HEADING = -165.0  # degrees from grid north: a descending pass, whose right-looking radar looks west
HEIGHT = 200.0  # height of the ground above the ellipsoid in metres, the same everywhere

# Mean backscatter sigma0 in decibels of each class of the truth on the first day; water in VH is below the noise.
SIGMA0 = {
    "VV": dict(zip(truth.CLASSES, (-12.0, -10.0, -9.5, -11.5, -8.0, -20.0, -3.0), strict=True)),
    "VH": dict(zip(truth.CLASSES, (-18.5, -17.5, -16.0, -17.0, -13.5, -28.0, -11.0), strict=True)),
}

# Change in decibels of a class from bare ground to full vegetation: crops scatter in VH, wheat weakens VV.
GROWTH = {
    "VV": {1: -5.0, 2: 2.0, 3: 2.5, 4: 0.5, 5: 0.5},
    "VH": {1: -1.0, 2: 5.0, 3: 4.0, 4: 1.0, 5: 1.0},
}
FIRST = datetime(2021, 6, 6, 6, 1, 0, 246_813, tzinfo=UTC)  # the day of SIGMA0
REPEAT = 12  # days until the satellite repeats the same track

# The image covers two beams, like every wide-swath image: first and last sample of each.
SWATHS = {"IW1": (0, 399), "IW2": (400, SAMPLES - 1)}
INTERVAL = 1.498376640333055e-03  # seconds from line to line
_RANGE, INCIDENCE = 840_000.0, 36.5  # slant range and incidence angle of the image's centre: metres, degrees
_BETA = 474.0  # the calibration constant of beta nought
KNOTS = np.append(np.arange(0, SAMPLES, 40), SAMPLES - 1)  # samples with values in the tables
CALIBRATED = (-334, 333, 1000)  # lines of the calibration vectors: one per second, the first before the image
NOISY = {0: 1.0, 400: 1.03, LINES - 1: 0.98}  # lines of the noise vectors, and how the noise changes along them
LIGHT = 299_792_458.0  # metres per second
MS = timedelta(milliseconds=1)

Floats = NDArray[np.float64]
Place = tuple[float, float]

CENTRE: Place = (truth.WEST + truth.COLS * 5, truth.NORTH - truth.ROWS * 5)
"""Easting and northing of the image's centre: that of the truth's area."""


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    start: datetime
    """Zero-Doppler time of the first line, UTC."""
    platform: str = "S1A"
    """``S1A`` or ``S1B``."""
    orbit: int = 38209
    """The absolute orbit number."""
    datatake: int = 0x04824A
    """The number of the mission's data take."""
    centre: Place = CENTRE
    """Easting and northing of the image's centre, in metres of EPSG:32631."""

    @property
    def stop(self) -> datetime:
        """Return the zero-Doppler time of the last line."""
        return self.time(LINES - 1)

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        span = f"{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
        return f"{self.platform}_IW_GRDH_1SDV_{span}_{self.orbit:06d}_{self.datatake:06X}_1A2B"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        last, end = LINES - 1, SAMPLES - 1
        lon, lat = degrees([last, last, 0, 0, last], [0, end, end, 0, 0], self.centre)
        return list(zip(lon.tolist(), lat.tolist(), strict=True))

    @property
    def node(self) -> datetime:
        """Return the time when the satellite crossed the equator northward, before this descending pass."""
        return self.start - timedelta(seconds=2235)

    def time(self, line: float) -> datetime:
        """Return the zero-Doppler time of a line."""
        return self.start + timedelta(seconds=line * INTERVAL)

    def stem(self, polarisation: str) -> str:
        """Return the name of a polarisation's files, without extension."""
        rest = "-".join(self.name.split("_")[4:8])
        number = list(SIGMA0).index(polarisation) + 1
        return f"{self.platform}-iw-grd-{polarisation}-{rest}-{number:03d}".lower()


def products() -> list[Product]:
    """Return the products: a morning in June 2021, the day after a cloudless Sentinel-2 image, and four later passes."""
    return [
        Product(FIRST + timedelta(days=REPEAT * n), orbit=38209 + 175 * n, datatake=0x04824A + 0x584 * n)
        for n in (0, 1, 3, 5, 7)
    ]


def ground(line: ArrayLike, sample: ArrayLike, centre: Place = CENTRE) -> tuple[Floats, Floats]:
    """Return easting and northing of the centres of pixels, in metres of EPSG:32631; (0, 0) is the first pixel's centre."""
    along = (np.asarray(line) - (LINES - 1) / 2) * SPACING
    across = (np.asarray(sample) - (SAMPLES - 1) / 2) * SPACING
    sin, cos = np.sin(np.radians(HEADING)), np.cos(np.radians(HEADING))
    # Range increases to the right of the flight direction, which is west in a descending pass.
    return (
        centre[0] + along * sin + across * cos,
        centre[1] + along * cos - across * sin,
    )


def land_cover() -> NDArray[np.uint8]:
    """Return the class of each pixel (lines, samples): the class of the truth's pixel at its centre."""
    x, y = ground(*np.mgrid[0:LINES, 0:SAMPLES])
    return truth.land_cover()[(truth.NORTH - y).astype(int) // 10, (x - truth.WEST).astype(int) // 10]


def sigma0(product: Product, polarisation: str) -> Floats:
    """Return the measurement of a perfect radar without noise: the backscatter of the class, and speckle.

    Parameters
    ----------
    product
        The product; its day is the seed of the speckle.
    polarisation
        ``VV`` or ``VH``.

    Returns
    -------
    numpy.ndarray
        Sigma nought (lines, samples), linear, on the ellipsoid.
    """
    by_class = np.zeros(max(truth.CLASSES) + 1)
    for kind in truth.CLASSES:
        by_class[kind] = 10 ** (decibels(kind, polarisation, product.start.date()) / 10)
    rng = np.random.default_rng([truth.SEED, product.start.toordinal(), list(SIGMA0).index(polarisation)])
    return np.asarray(by_class[land_cover()] * rng.gamma(LOOKS, 1 / LOOKS, (LINES, SAMPLES)))


def decibels(kind: int, polarisation: str, day: date) -> float:
    """Return the mean sigma0 of a class of the truth on a day, in decibels."""
    grown = truth.green(kind, day) - truth.green(kind, FIRST.date())
    return SIGMA0[polarisation][kind] + GROWTH[polarisation].get(kind, 0.0) * grown


def noise(polarisation: str) -> Floats:
    """Return the power of the instrument's noise in squared digital numbers (lines, samples), as in the product's tables."""
    rows = np.array([np.interp(np.arange(SAMPLES), KNOTS, noise_range(polarisation, n)) for n in NOISY])
    power = np.stack([np.interp(np.arange(LINES), list(NOISY), column) for column in rows.T], axis=1)
    for swath, (first, last) in SWATHS.items():
        power[:, first : last + 1] *= np.interp(np.arange(LINES), *noise_azimuth(swath))[:, np.newaxis]
    return power


def numbers(product: Product, polarisation: str) -> NDArray[np.uint16]:
    """Return the digital numbers (lines, samples): amplitudes with noise; 0 (no data) never occurs."""
    gain = np.interp(np.arange(SAMPLES), KNOTS, gains()["sigmaNought"])
    power = sigma0(product, polarisation) * gain**2 + noise(polarisation)
    return np.clip(np.rint(np.sqrt(power)), 1, 65_535).astype(np.uint16)


def orbit(seconds: ArrayLike, at: Place = CENTRE) -> tuple[Floats, Floats]:
    """Return position and velocity (..., 3) of the satellite, Earth fixed, in metres and m/s.

    At 0 s the satellite sees the centre of the image at zero Doppler.
    """
    line, sample, angle = (LINES - 1) / 2, (SAMPLES - 1) / 2, np.radians(INCIDENCE)
    centre = _earth_fixed(line, sample, at)
    up = _earth_fixed(line, sample, at, 1) - centre
    flight = _unit(_earth_fixed(line + 1, sample, at) - centre)
    near = _unit(_earth_fixed(line, sample - 1, at) - centre)
    place = centre + _RANGE * (np.sin(angle) * near + np.cos(angle) * up)
    # The speed at which the radar moves one line on the ground per interval, on the curved orbit.
    velocity = flight * SPACING / INTERVAL * (place @ place) / (place @ centre)
    rate = np.linalg.norm(velocity) / np.linalg.norm(place)
    turn = (rate * np.asarray(seconds))[..., np.newaxis]
    return (
        place * np.cos(turn) + velocity / rate * np.sin(turn),
        velocity * np.cos(turn) - place * rate * np.sin(turn),
    )


def degrees(line: ArrayLike, sample: ArrayLike, centre: Place = CENTRE) -> tuple[Floats, Floats]:
    """Return longitude and latitude of pixels of the image, in degrees."""
    lon, lat = Transformer.from_crs(truth.EPSG, 4326, always_xy=True).transform(*ground(line, sample, centre))
    return np.asarray(lon), np.asarray(lat)


def _earth_fixed(line: ArrayLike, sample: ArrayLike, centre: Place, above: float = 0) -> Floats:
    """Return Earth-centred coordinates (..., 3) of pixels, in metres."""
    lines, samples = np.broadcast_arrays(line, sample)
    lon, lat = degrees(lines, samples, centre)
    height = np.full(lon.shape, HEIGHT + above)
    return np.stack(Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, height), axis=-1)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def look(sample: ArrayLike, centre: Place = CENTRE) -> tuple[Floats, Floats, Floats]:
    """Return slant range in metres, and incidence and elevation angle in degrees, of samples of the middle line."""
    line, (satellite, _) = (LINES - 1) / 2, orbit(0, centre)
    target = _earth_fixed(line, sample, centre)
    ray, up = satellite - target, _earth_fixed(line, sample, centre, 1) - target
    incidence, elevation = np.arccos((_unit(ray) * up).sum(-1)), np.arccos(_unit(ray) @ _unit(satellite))
    return np.linalg.norm(ray, axis=-1), np.degrees(incidence), np.degrees(elevation)


@cache
def gains() -> dict[str, NDArray[np.float32]]:
    """Return the calibration tables at the knots: sigma0 = beta0 sin(incidence), gamma0 = beta0 tan(incidence)."""
    angle = np.radians(look(KNOTS)[1])
    divisors = {"sigmaNought": np.sin(angle), "betaNought": angle**0, "gamma": np.tan(angle), "dn": angle**0}
    return {name: (_BETA / np.sqrt(divisor)).astype(np.float32) for name, divisor in divisors.items()}


def noise_range(polarisation: str, line: int) -> NDArray[np.float32]:
    """Return the noise at the knots of one line: like a sigma0 of about -25 dB, more at the edges of the image."""
    floor = {"VV": 0.0035, "VH": 0.0032}[polarisation] * (1 + 0.6 * (KNOTS / SAMPLES - 0.5) ** 2)
    return (floor * gains()["sigmaNought"] ** 2 * NOISY[line]).astype(np.float32)


def noise_azimuth(swath: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the variation of one beam's noise along its bursts: lines and factors."""
    lines = np.append(np.arange(0, LINES - 1, 10), LINES - 1)
    return lines, (1 + 0.12 * np.sin(lines / 60 + {"IW1": 0.3, "IW2": 2.1}[swath])).astype(np.float32)
