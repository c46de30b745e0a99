"""Sentinel-3's altimeter over the sample's area: its products, and the expected values along the track."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from geodes_lab.sample import truth

GATES = 128
REFERENCE = 43  # the gate to which the range refers, counted from 0
HEADING = 195.5  # degrees from north: a descending pass
_SPEED = 6740.0  # speed of the point under the satellite, metres per second
_LAKE = (900, 1010)  # column and row of the truth where the track crosses the lake
# Records, and seconds between them: nominally 20 Hz; single bursts are four times as frequent.
_RECORDS = {
    "SR_1_SRA": (1180, 0.0509),
    "SR_1_SRA_A": (40, 0.0127375),
    "SR_1_SRA_BS": (8, 0.0509),
    "SR_2_LAN": (400, 0.0509),
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    crossing: datetime
    """The time above the sample's lake, UTC."""
    kind: str = "SR_1_SRA"
    """The type: level 1B, 1A or 1B-S (the stack of looks), or level 2 over land."""
    platform: str = "S3A"
    """``S3A`` or ``S3B``."""
    cycle: int = 72
    """The cycle of 27 days."""
    orbit: int = 322
    """The relative orbit, 1 to 385."""
    timeliness: str = "NR"
    """``NR``: processed within hours; ``NT``: within a month, with better orbits."""

    @property
    def seconds(self) -> Floats:
        """Return the time of the records since the satellite was above the lake (records), in seconds."""
        records, interval = _RECORDS[self.kind]
        return np.asarray((np.arange(records) - records // 2) * interval, np.float64)

    @property
    def start(self) -> datetime:
        """Return the time of the first record."""
        return self.crossing + timedelta(seconds=float(self.seconds[0]))

    @property
    def stop(self) -> datetime:
        """Return the time of the last record."""
        return self.crossing + timedelta(seconds=float(self.seconds[-1]))

    @property
    def generation(self) -> datetime:
        """Return the time of processing."""
        late = timedelta(days=28) if self.timeliness == "NT" else timedelta(0)
        return self.stop.replace(microsecond=0) + late + timedelta(hours=2, minutes=31)

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SEN3``."""
        times = "_".join(f"{t:%Y%m%dT%H%M%S}" for t in (self.start, self.stop, self.generation))
        lasts = round((self.stop - self.start).total_seconds())
        what = f"{self.platform}_{self.kind:_<11}_{times}_{lasts:04d}_{self.cycle:03d}_{self.orbit:03d}"
        return f"{what}______LN3_O_{self.timeliness}_004"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of a strip 10 km wide around the track, closed."""
        lon, lat = track(self.seconds[[0, len(self.seconds) // 2, -1]])
        left, right = (
            Geod(ellps="WGS84").fwd(lon, lat, np.full(3, HEADING + side), np.full(3, 5000.0))[:2] for side in (-90, 90)
        )
        ring = np.concatenate([np.transpose(left), np.transpose(right)[::-1], np.transpose(left)[:1]])
        return [(float(x), float(y)) for x, y in ring]


def products() -> list[Product]:
    """Return the sample's altimeter products.

    They are a morning in June 2021, with two processings of level 2, and the next pass at both levels.
    """
    first = datetime(2021, 6, 7, 10, 24, 31, 500_000, tzinfo=UTC)
    level1 = [Product(first, kind) for kind in ("SR_1_SRA", "SR_1_SRA_A", "SR_1_SRA_BS")]
    again = first + timedelta(days=27)
    later = [Product(again, kind, cycle=73, timeliness="NT") for kind in ("SR_2_LAN", "SR_1_SRA")]
    return [*level1, Product(first, "SR_2_LAN"), Product(first, "SR_2_LAN", timeliness="NT"), *later]


def track(seconds: Floats) -> tuple[Floats, Floats]:
    """Return longitude and latitude of the points under the satellite (records), in degrees: a geodesic over the lake."""
    column, row = _LAKE
    x, y = truth.WEST + column * 10 + 5, truth.NORTH - row * 10 - 5
    lon, lat = Transformer.from_crs(truth.EPSG, 4326, always_xy=True).transform(x, y)
    there = np.ones(seconds.shape)
    lons, lats, _ = Geod(ellps="WGS84").fwd(lon * there, lat * there, HEADING * there, seconds * _SPEED)
    return np.asarray(lons), np.asarray(lats)


def altitude(seconds: Floats) -> Floats:
    """Return the satellite's altitude above the ellipsoid (records), in metres: it decreases, ever more slowly."""
    return 806_500.0 - 14.2 * seconds + 0.011 * seconds**2


def surface_height(seconds: Floats) -> Floats:
    """Return the expected altitude minus range: the height of the ground above the ellipsoid.

    Parameters
    ----------
    seconds
        Time since the satellite was above the lake. All products of the sample have the same ground track.

    Returns
    -------
    numpy.ndarray
        Height (records), in metres: hills 80 m and 12 m high along the track; the lake is at their mean height.
    """
    along = seconds * _SPEED
    height = 260.0 + 80 * np.sin(2 * np.pi * along / 90_000) + 12 * np.sin(2 * np.pi * along / 7_000)
    return np.where(surface_type(seconds) == 1, 260.0, height)


def surface_type(seconds: Floats) -> NDArray[np.int8]:
    """Return ESA's surface flag (records): 3 is land, 1 is a lake (where the truth has water)."""
    x, y = Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(*track(seconds))
    row, column = ((truth.NORTH - y) // 10).astype(int), ((x - truth.WEST) // 10).astype(int)
    inside = (row >= 0) & (row < truth.ROWS) & (column >= 0) & (column < truth.COLS)
    kind = np.zeros(seconds.shape, int)
    kind[inside] = truth.land_cover()[row[inside], column[inside]]
    return np.where(kind == 6, 1, 3).astype(np.int8)


def echo(seconds: Floats) -> Floats:
    """Return the mean power of the echoes (records, gates), in counts: Brown's model.

    The window follows the ground, so the leading edge reaches half its height at the reference gate: a retracker finds no
    correction to the range. Over land, the echo rises within some gates and decreases slowly. Over the lake, it rises at
    once, decreases fast and is strong.
    """
    shapes = []
    for rise, decay, power in ((1.2, 0.03, 9_000.0), (0.4, 0.5, 60_000.0)):
        gates = [gate - REFERENCE for gate in range(GATES)]
        edge = [(1 + math.erf(g / math.sqrt(2) / rise)) / 2 * math.exp(-decay * max(g, 0)) for g in gates]
        shapes.append(20 + power * np.array(edge))
    return np.stack(shapes)[(surface_type(seconds) == 1).astype(int)]
