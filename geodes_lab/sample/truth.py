"""The truth of the sample datalake: the land cover, its changes in time, and the measurements of a satellite.

Everything is a function of place, day and one seed, so that a test knows the expected value of any pixel. The ground is
an invented part of the Lauragais, east of Toulouse, where the Sentinel-2 tiles 31TCJ and 31TDJ overlap.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

SEED = 31
EPSG = 32631
WEST, NORTH = 396_600, 4_831_980  # metres, on the 60 m grid of both tiles
ROWS, COLS = 1320, 1656  # pixels of 10 m

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LandCover:
    """One land cover class: a mix of bare ground and full vegetation, by the green cover of the day."""

    name: str
    ground: str
    """The spectrum of the bare ground: a key of `SPECTRA`."""
    cover: tuple[float, float]
    """Fraction of green cover outside the season, and at its maximum."""
    season: tuple[int, int]
    """Days of the year when it becomes green and when it dries."""
    leaves: str = "vegetation"
    """The spectrum of what is green: a key of `SPECTRA`."""


# Top-of-atmosphere reflectance, bands B01 to B12 in the product's order.
SPECTRA: dict[str, tuple[float, ...]] = {
    "soil": (0.140, 0.122, 0.145, 0.180, 0.205, 0.220, 0.235, 0.245, 0.260, 0.120, 0.004, 0.330, 0.290),
    "vegetation": (0.112, 0.075, 0.108, 0.058, 0.120, 0.320, 0.410, 0.430, 0.460, 0.180, 0.003, 0.210, 0.095),
    "trees": (0.110, 0.071, 0.092, 0.047, 0.090, 0.280, 0.350, 0.370, 0.390, 0.160, 0.003, 0.160, 0.070),
    "water": (0.120, 0.090, 0.074, 0.044, 0.042, 0.035, 0.032, 0.028, 0.026, 0.015, 0.003, 0.014, 0.010),
    "roofs": (0.160, 0.128, 0.143, 0.178, 0.205, 0.220, 0.235, 0.245, 0.255, 0.130, 0.004, 0.290, 0.270),
    "asphalt": (0.150, 0.140, 0.145, 0.155, 0.160, 0.165, 0.170, 0.172, 0.175, 0.100, 0.004, 0.190, 0.180),
    "cloud": (0.620, 0.610, 0.590, 0.600, 0.605, 0.610, 0.615, 0.620, 0.625, 0.420, 0.040, 0.480, 0.400),
}

CLASSES = {
    1: LandCover("winter wheat", "soil", (0.08, 0.92), (60, 172)),
    2: LandCover("maize", "soil", (0.04, 0.95), (165, 265)),
    3: LandCover("sunflower", "soil", (0.05, 0.85), (150, 232)),
    4: LandCover("grassland", "soil", (0.45, 0.80), (75, 200)),
    5: LandCover("broadleaf forest", "soil", (0.25, 0.97), (105, 300), "trees"),
    6: LandCover("water", "water", (0.0, 0.0), (1, 365)),
    7: LandCover("town", "roofs", (0.15, 0.25), (90, 290)),
}

# Standard deviation of the sensor's noise, in reflectance.
NOISE = 0.0003


DAMMED = 1996
"""The year of the dam: the lake exists since then."""


@cache
def land_cover(year: int = 2021) -> NDArray[np.uint8]:
    """Return the class of each 10 m pixel: fields around random points, a river, woods, a lake, two towns.

    Parameters
    ----------
    year
        The year. Before `DAMMED` there are fields instead of the lake; the towns are smaller in 1990.
    """
    rng = np.random.default_rng(SEED)
    y, x = np.mgrid[0:ROWS, 0:COLS].astype(np.float32)
    nearest = np.full((ROWS, COLS), np.inf, np.float32)
    classes = np.zeros((ROWS, COLS), np.uint8)
    for _ in range(260):
        row, col = rng.uniform(0, ROWS), rng.uniform(0, COLS)
        kind = rng.choice([1, 2, 3, 4, 5], p=[0.34, 0.20, 0.22, 0.14, 0.10])
        distance = np.abs(y[:, :1] - row) * rng.uniform(0.7, 1.4) + np.abs(x[:1] - col)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        classes[closer] = kind
    angle = np.arctan2(y - 820, x - 420)
    hills = 160 + 60 * np.sin(x / 190) + 25 * np.sin(x / 61)
    classes[np.abs(y - hills) < 38 + 14 * np.sin(x / 83) + 6 * np.sin(x / 19)] = 5
    grown = min(0.55 + 0.45 * (year - 1990) / 30, 1.0)
    lobes = 1 + 0.16 * np.sin(3 * angle) + 0.09 * np.sin(7 * angle + 1)
    classes[np.hypot(y - 820, x - 420) < 75 * grown * lobes] = 7
    lobes = 1 + 0.2 * np.sin(2 * np.arctan2(y - 430, x - 1130)) + 0.1 * np.sin(x / 5) * np.sin(y / 6)
    classes[np.hypot(y - 430, x - 1130) < 52 * grown * lobes] = 7
    river = 700 + 170 * np.sin(x / 260 + 0.8) + 30 * np.sin(x / 47)
    classes[np.abs(y - river) < 6] = 6
    if year >= DAMMED:
        classes[np.hypot((y - 1010) / 0.6, x - 900) < 80] = 6
    return classes


def green(kind: int, day: date) -> float:
    """Return the fraction of green cover of a class on a day: it rises and falls along two logistic curves."""
    outside, inside = CLASSES[kind].cover
    rise, fall = CLASSES[kind].season
    doy = day.timetuple().tm_yday
    season = 1 / (1 + np.exp(-(doy - rise) / 9)) - 1 / (1 + np.exp(-(doy - fall) / 9))
    return float(outside + (inside - outside) * max(season, 0.0))


@cache
def clouds(day: date, amount: float) -> Floats:
    """Return the opacity of the clouds on the 60 m grid, 0 to 1; clouds cover about ``amount`` of the area."""
    rows, cols = ROWS // 6, COLS // 6
    if amount == 0:
        return np.zeros((rows, cols))
    rng = np.random.default_rng([SEED, day.toordinal()])
    y, x = np.mgrid[0:rows, 0:cols]
    field = np.zeros((rows, cols))
    for _ in range(40):
        size = rng.uniform(8, 30)
        field += np.exp(-((y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, cols)) ** 2) / (2 * size**2))
    threshold = float(np.quantile(field, 1 - amount))
    return np.clip((field - threshold) / max(float(np.max(field)) - threshold, 1e-9) * 3, 0, 1)


def seen(swath_edge: bool) -> NDArray[np.bool_]:
    """Return the area that the instrument sees, on the 60 m grid: all, or all west of an oblique swath edge."""
    rows, cols = ROWS // 6, COLS // 6
    if not swath_edge:
        return np.ones((rows, cols), bool)
    y, x = np.mgrid[0:rows, 0:cols]
    return x < 150 - 0.22 * y


@lru_cache(maxsize=16)  # a day's bands: for its two tiles, and for the picture in true colour
def reflectance(band: int, resolution: int, day: date, *, cloudiness: float = 0.0, swath_edge: bool = False) -> Floats:
    """Return the measurement of a perfect instrument.

    Parameters
    ----------
    band
        The product's band number, 0 (B01) to 12 (B12).
    resolution
        10, 20 or 60 metres per pixel.
    day
        The day of acquisition.
    cloudiness
        The fraction of the area under clouds.
    swath_edge
        Whether the swath ends inside the area.

    Returns
    -------
    numpy.ndarray
        Top-of-atmosphere reflectance (rows, cols) on the whole area, read-only; NaN outside the swath.
    """
    from geodes_lab.sample import landscape  # which asks for the land cover

    classes, look = land_cover(day.year), landscape.details(day.year)
    by_class = np.zeros(max(CLASSES) + 1)
    for kind, cover in CLASSES.items():
        fraction = green(kind, day)
        by_class[kind] = SPECTRA[cover.ground][band] * (1 - fraction) + SPECTRA[cover.leaves][band] * fraction
    leaves = green(5, day)
    trees = SPECTRA["soil"][band] * (1 - leaves) + SPECTRA["trees"][band] * leaves
    ground = by_class[classes] * look.shade
    ground += look.roads * (SPECTRA["asphalt"][band] - ground)
    ground += look.hedges * (trees - ground)
    step = resolution // 10
    mean = ground.reshape(ROWS // step, step, COLS // step, step).mean((1, 3))
    times = 60 // resolution
    opacity = clouds(day, cloudiness).repeat(times, 0).repeat(times, 1)
    value = mean * (1 - opacity) + SPECTRA["cloud"][band] * opacity
    value += np.random.default_rng([SEED, day.toordinal(), band]).normal(0, NOISE, value.shape)
    value = np.maximum(value, 0.0005)
    value[~seen(swath_edge).repeat(times, 0).repeat(times, 1)] = np.nan
    value.flags.writeable = False
    return value


def write(folder: Path) -> None:
    """Write the truth: ``land_cover.tif`` and ``truth.json`` (classes, spectra, seasons, noise)."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": ROWS,
        "width": COLS,
        "dtype": "uint8",
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(10, 0, WEST, 0, -10, NORTH),
        "compress": "deflate",
        "tiled": True,
    }
    with rasterio.open(folder / "land_cover.tif", "w", **profile) as file:
        file.write(land_cover(), 1)
    words = {
        "classes": {k: asdict(v) for k, v in CLASSES.items()},
        "spectra": SPECTRA,
        "noise": NOISE,
        "seed": SEED,
    }
    (folder / "truth.json").write_text(json.dumps(words, indent=1))
