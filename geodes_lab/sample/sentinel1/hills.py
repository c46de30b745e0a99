"""Three Sentinel-1 products over hills, before, during and after rain, and the terrain model of that place.

The images are made from facets of 6 m, each put where the orbit says: slopes that face the radar are short and bright in
them, those that face away long and dark, and the steepest lie over their foot. The place is invented, as are its hills: it is
on the edge of the Montagne Noire, beside the area of the other products.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from geodes_lab.products.tiepoints import Between
from geodes_lab.raster import geoid
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel1 import grd

Floats = NDArray[np.float64]

CENTRE: grd.Place = (446_000.0, 4_806_000.0)
RAIN_ON = 1  # the product, of the three, of a day with rain
# Gamma nought in decibels of dry ground, and what rain adds.
GAMMA0 = {"VV": {"meadow": (-11.5, 3.0), "forest": (-8.5, 0.5)}, "VH": {"meadow": (-18.0, 2.0), "forest": (-13.5, 0.3)}}
_FINE, _STEP = 6.25, 32  # metres from facet to facet; facets from one computed position to the next
_ALONG, _ACROSS = 4_300.0, 6_400.0  # metres of ground on each side of the centre: hills lean over towards the radar
_STRIP = 160  # rows of facets at once


@dataclass(frozen=True)
class Product(grd.Product):
    """One product over hills."""

    centre: grd.Place = CENTRE
    is_wet: bool = False
    """Whether it rained."""


def products() -> list[Product]:
    """Return the products: three passes in autumn 2021."""
    return [
        Product(
            grd.FIRST + timedelta(days=grd.REPEAT * n),
            orbit=38209 + 175 * n,
            datatake=0x04824A + 0x584 * n,
            is_wet=n == 8 + RAIN_ON,
        )
        for n in (8, 9, 10)
    ]


def height(x: Floats, y: Floats) -> Floats:
    """Return metres above the ellipsoid, for eastings and northings of EPSG:32631."""
    east, north = x - CENTRE[0], y - CENTRE[1]
    u, v = east * np.cos(0.35) + north * np.sin(0.35), north * np.cos(0.35) - east * np.sin(0.35)
    phase = 2 * np.pi * u / 3300 + 0.9 * np.sin(2 * np.pi * v / 5200)
    ridges = 300 * (1 + np.cos(phase - 0.75 * np.cos(phase)))  # steeper towards the radar
    ridges *= 0.75 + 0.25 * np.cos(2 * np.pi * v / 7000)
    spurs = 80 * np.sin(2 * np.pi * (0.8 * u + 0.6 * v) / 1500) + 26 * np.sin(2 * np.pi * v / 900 + u / 700)
    return np.asarray(grd.HEIGHT + 80 + ridges + spurs)


def is_forest(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return where trees are; elsewhere are meadows."""
    east, north = x - CENTRE[0], y - CENTRE[1]
    pattern = np.sin(east / 270 + 1) + np.sin(north / 210) + 0.7 * np.sin((east + north) / 145)
    return np.asarray(pattern > 0.35)


def rain(x: Floats, y: Floats) -> Floats:
    """Return how wet the ground is after the rain, 0 to 1: a shower over the west."""
    far = np.hypot((x - CENTRE[0] + 1900) / 2300, (y - CENTRE[1] - 300) / 3600)
    return np.clip((1.15 - far) / 0.3, 0, 1)


def gamma0(x: Floats, y: Floats, polarisation: str, is_wet: bool) -> Floats:
    """Return gamma nought of places, linear."""
    return _gamma0(is_forest(x, y), rain(x, y) if is_wet else np.zeros(np.shape(x)), polarisation)


def _gamma0(trees: NDArray[np.bool_], wet: Floats, polarisation: str) -> Floats:
    (meadow, more), (forest, little) = GAMMA0[polarisation].values()
    return np.asarray(10 ** ((np.where(trees, forest, meadow) + np.where(trees, little, more) * wet) / 10))


def numbers(product: Product, polarisation: str) -> NDArray[np.uint16]:
    """Return the digital numbers (lines, samples): speckle on the terrain's brightness, and the instrument's noise."""
    rng = np.random.default_rng([truth.SEED, product.start.toordinal(), list(grd.SIGMA0).index(polarisation)])
    bright = brightness()[(polarisation, product.is_wet)]
    beta0 = bright * rng.gamma(grd.LOOKS, 1 / grd.LOOKS, bright.shape)
    gain = np.interp(np.arange(grd.SAMPLES), grd.KNOTS, grd.gains()["betaNought"])
    return np.clip(np.rint(np.sqrt(beta0 * gain**2 + grd.noise(polarisation))), 1, 65_535).astype(np.uint16)


@cache
def brightness() -> dict[tuple[str, bool], Floats]:
    """Return beta nought of a perfect radar without speckle, for each polarisation, dry and wet (lines, samples)."""
    reach = grd.look(np.arange(grd.SAMPLES), CENTRE)[0]
    on_ground = np.polynomial.Polynomial.fit(reach - reach[0], np.arange(grd.SAMPLES) * float(grd.SPACING), 4)
    place, velocity = grd.orbit(0, CENTRE)
    rate = np.linalg.norm(velocity) / np.linalg.norm(place)
    size = grd.LINES * grd.SAMPLES
    total = {(p, wet): np.zeros(size) for p in GAMMA0 for wet in (False, True)}
    rows, cols = (np.arange(-v, v + 1, _FINE) for v in (_ALONG, _ACROSS))
    for first in range(0, len(rows) - 1, _STRIP):
        x, y, corner = _corners(rows[first : first + _STRIP + 1], cols)
        along, across = np.diff(corner, axis=0)[:, :-1], np.diff(corner, axis=1)[:-1]
        middle = (corner[:-1, :-1] + corner[1:, 1:]) / 2
        angle = _abreast(middle @ place, middle @ velocity / rate, float(place @ velocity / rate))
        ray = place * np.cos(angle)[..., np.newaxis] + velocity / rate * np.sin(angle)[..., np.newaxis] - middle
        slant = np.linalg.norm(ray, axis=-1)
        upright = np.cross(across, along)
        upright *= np.sign((upright[0, 0] * middle[0, 0]).sum())
        seen = np.maximum((upright * ray).sum(-1) / slant, 0)
        line = angle / rate / grd.INTERVAL + (grd.LINES - 1) / 2
        sample = on_ground(slant - reach[0]) / grd.SPACING
        inside = (line > 0) & (line < grd.LINES - 1) & (sample > 0) & (sample < grd.SAMPLES - 1)
        line, sample, seen, x, y = (v[inside] for v in (line, sample, seen, x[:-1, :-1], y[:-1, :-1]))
        trees, shower = is_forest(x, y), rain(x, y)
        pixels = [(index, seen * share) for index, share in _around(line, sample)]
        for (polarisation, wet), image in total.items():
            bright = _gamma0(trees, shower * wet, polarisation)
            for index, share in pixels:
                image += np.bincount(index, share * bright, size)
    own = grd.SPACING * np.gradient(reach)  # of a pixel in the plane of slant range
    return {key: np.maximum(image.reshape(grd.LINES, grd.SAMPLES) / own, 1e-5) for key, image in total.items()}


def _abreast(ahead: Floats, aside: Floats, slope: float) -> Floats:
    """Return the angle along the orbit at which it is at zero Doppler, by Newton's method.

    Parameters
    ----------
    ahead, aside
        The places times the orbit's two axes, m².
    slope
        The axes times each other: they are not quite perpendicular.
    """
    angle = np.zeros(ahead.shape)
    for _ in range(3):
        cos, sin = np.cos(angle), np.sin(angle)
        missed = slope * np.cos(2 * angle) - aside * cos + ahead * sin
        angle -= missed / (aside * sin + ahead * cos - 2 * slope * np.sin(2 * angle))
    return angle


def _corners(rows: Floats, cols: Floats) -> tuple[Floats, Floats, Floats]:
    """Return eastings, northings, and Earth-fixed positions (..., 3) of the corners of facets."""
    knots = [np.append(v[:-1:_STEP], v[-1]) for v in (rows, cols)]
    to_all = Between((knots[0], knots[1]), (rows, cols))
    sample = knots[1][np.newaxis] / grd.SPACING + (grd.SAMPLES - 1) / 2
    line = knots[0][:, np.newaxis] / grd.SPACING + (grd.LINES - 1) / 2
    x, y = grd.ground(line, sample, CENTRE)
    lon, lat = Transformer.from_crs(truth.EPSG, 4326, always_xy=True).transform(x, y)
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    low, high = (np.stack(ecef.transform(lon, lat, np.full(x.shape, h)), axis=-1) for h in (0.0, 1000.0))
    fine = to_all(x), to_all(y)
    up = height(*fine) / 1000
    place = np.stack([to_all(low[..., n]) + up * to_all(high[..., n] - low[..., n]) for n in range(3)], axis=-1)
    return *fine, place


def _around(line: Floats, sample: Floats) -> list[tuple[NDArray[np.int_], Floats]]:
    """Return the four pixels around each place, by number, and their shares of it."""
    row, col = line.astype(int), sample.astype(int)
    down, right = line - row, sample - col
    return [
        ((row + below) * grd.SAMPLES + col + aside, (down if below else 1 - down) * (right if aside else 1 - right))
        for below in (0, 1)
        for aside in (0, 1)
    ]


@dataclass(frozen=True)
class Model:
    """The terrain model, in the form of a tile of Copernicus DEM: a GeoTIFF of heights above the geoid, in degrees."""

    time: datetime = datetime(2021, 1, 1, tzinfo=UTC)

    name = "Copernicus_DSM_COG_10_N43_00_E002_00_DEM"
    collection = "COP_DEM_GLO_30"
    west, south, east, north, step = 2.22, 43.32, 2.45, 43.49, 1 / 3600

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        return f"terrain/{self.name}.tif"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        return {"platform": "TanDEM-X", "product:type": "DEM", "proj:epsg": 4326}

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        w, s, e, n = self.west, self.south, self.east, self.north
        return [(w, s), (e, s), (e, n), (w, n), (w, s)]

    def write(self, path: Path) -> None:
        """Write it. The bytes are always the same."""
        rows, cols = round((self.north - self.south) / self.step), round((self.east - self.west) / self.step)
        lon, lat = np.meshgrid(
            self.west + (np.arange(cols) + 0.5) * self.step, self.north - (np.arange(rows) + 0.5) * self.step
        )
        values = height(*Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(lon, lat))
        values -= geoid.undulation(lon, lat)
        place = Affine(self.step, 0, self.west, 0, -self.step, self.north)
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=rows, width=cols, dtype="float32", crs="EPSG:4326",
            transform=place, tiled=True, blockxsize=512, blockysize=512, compress="deflate", predictor=3,
        ) as file:  # fmt: skip
            file.write(values.astype(np.float32), 1)
