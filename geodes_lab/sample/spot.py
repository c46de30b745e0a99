"""Scenes of Spot World Heritage: one in raw geometry (L1A, DIMAP), one orthorectified (L1C).

Their numbers come from a formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from geodes_lab.sample import truth

SIDE, SPACING, TURN = 300, 20.0, 10.0  # pixels, metres per pixel, angle between track and grid in degrees
# In the order of the file. The document lists and numbers the bands by wavelength, as in real scenes.
# Name, gain (numbers per W m-2 sr-1 um-1), and the slopes of the formula.
BANDS = (
    ("XS3", 1.24, (0.010, 0.002)),
    ("XS2", 1.89, (0.004, 0.009)),
    ("XS1", 1.64, (0.008, -0.006)),
    ("SWIR", 9.80, (-0.005, 0.011)),
)
BIAS = 0.5
LISTED = {"XS1": 1843.0, "XS2": 1568.0, "XS3": 1052.0, "SWIR": 233.0}
"""The bands in the order of the document, with the sun's irradiance in W m-2 um-1."""
_CENTRE = (truth.WEST + 7000.0, truth.NORTH - 6000.0)
ORTHO = (truth.WEST, truth.NORTH)
ORTHO_SIDE = 240


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    level: str
    """``L1A`` or ``L1C``."""
    start: datetime
    """The time of the acquisition, UTC."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        if self.level == "L1A":
            return f"001-004_S4_045-262-0_{self.start:%Y-%m-%d-%H-%M-%S}_HRVIR-1_I_DT_TO"
        return f"SPOT4-HRVIR1-XS_{self.start:%Y%m%d-%H%M%S}-123_L1C_045-262-0_D_V1-0"

    @property
    def time(self) -> datetime:
        """The time of the acquisition, UTC."""
        return self.start

    @property
    def collection(self) -> str:
        """The collection's id."""
        return "SWH_SPOT4_L1" if self.level == "L1A" else "THEIA_SWH-PHASE1_SPOT4_L1C"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        bucket = "swh-l1a" if self.level == "L1A" else "muscate/SPOTWORLDHERITAGE"
        return f"{bucket}/{self.start:%Y/%m/%d}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return the further properties in the catalogue. As in the service, the instrument's mode is in a field for radars."""
        return {
            "platform": "SPOT4", "instrument": "HRVIR1", "product:type": self.level, "processing:level": self.level,
            "sar:instrument_mode": "I", "eo:cloud_cover": 0.0,
        }  # fmt: skip

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        end = SIDE - 1
        x, y = ground(np.array([end, end, 0, 0, end]), np.array([0, end, end, 0, 0]))
        lon, lat = degrees().transform(x, y)
        return list(zip(np.asarray(lon).tolist(), np.asarray(lat).tolist(), strict=True))


def products() -> list[Product]:
    """Return one product of each level, from 1999."""
    return [
        Product("L1A", datetime(1999, 7, 12, 10, 45, 23, tzinfo=UTC)),
        Product("L1C", datetime(1999, 8, 2, 10, 41, 7, tzinfo=UTC)),
    ]


def ground(line: NDArray[np.generic], pixel: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return easting and northing of the centres of L1A pixels, in metres of EPSG:32631."""
    down, across = (np.asarray(v, float) - (SIDE - 1) / 2 for v in (line, pixel))
    sin, cos = np.sin(np.radians(TURN)), np.cos(np.radians(TURN))
    return _CENTRE[0] + SPACING * (across * cos - down * sin), _CENTRE[1] - SPACING * (across * sin + down * cos)


def numbers(band: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a band's value at a position before rounding: a plane, so that each value identifies its position."""
    east, south = BANDS[band][2]
    return 110 + east * (x - _CENTRE[0]) + south * (_CENTRE[1] - y)


def reflectance(band: int) -> NDArray[np.float64]:
    """Return the values of a band of L1C (rows, columns); NaN in a corner."""
    row, col = np.mgrid[0:ORTHO_SIDE, 0:ORTHO_SIDE]
    values = np.round(0.05 * (band + 1) + 0.0005 * row + 0.0002 * col, 3)
    return np.where((row < 20) & (col < 20), np.nan, values)


def degrees() -> Transformer:
    """Return the way from easting and northing to longitude and latitude."""
    return Transformer.from_crs(truth.EPSG, 4326, always_xy=True)
