"""Reflectance products in the form of CNES's MUSCATE centre.

MAJA's level 2A of Sentinel-2 and of Venµs, in zips with stored members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geom import box

from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2.xml import DETECTORS

NODATA = -10_000

# The area of all these products, in 10 m pixels of the truth: at the swath's edge, with a river and clouds.
ROW, COL, SIDE = 576, 672, 192
WEST, NORTH = truth.WEST + 10 * COL, truth.NORTH - 10 * ROW

# Reflectance that the air adds in each band of Sentinel-2, and transmission of the air.
_HAZE = (0.080, 0.062, 0.040, 0.024, 0.018, 0.012, 0.009, 0.007, 0.006, 0.004, 0.001, 0.002, 0.001)
_CLEAR = 0.93


@dataclass(frozen=True)
class Scene:
    """One product of the sample."""

    time: datetime
    """The time of the acquisition, UTC."""
    platform: str
    """The platform as in names: ``SENTINEL2A`` or ``VENUS-XS``."""
    zone: str
    """The tile or the site."""
    bands: Mapping[str, tuple[int, int]] = field(hash=False)
    """MUSCATE's bands: number of the most similar band of Sentinel-2, and resolution in metres."""
    groups: Mapping[str, int] = field(hash=False)
    """Resolution by group, in metres."""
    version: str
    """The version of the product, such as ``2-2``."""
    cloudiness: float = 0.0
    """Fraction of the truth's area under clouds."""
    swath_edge: bool = False
    """Whether the swath ends inside the area."""
    quantification: int = 10_000
    """The divisor of the stored numbers."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        stamp = f"{self.time:%Y%m%d-%H%M%S}-{self.time.microsecond // 1000:03d}"
        return f"{self.platform}_{stamp}_L2A_{self.zone}_C_V{self.version}"

    @property
    def collection(self) -> str:
        """Return the collection's id in GEODES."""
        return "THEIA_REFLECTANCE_" + ("SENTINEL2" if self.platform.startswith("SENTINEL2") else "VENUS_VM5") + "_L2A"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        bucket = "sentinel2-l2a-sprid" if self.platform.startswith("SENTINEL2") else "muscate/VENUS"
        return f"{bucket}/{self.zone}/{self.time:%Y/%m/%d}/{self.name.rsplit('_', 1)[0]}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        is_tile = self.zone.startswith("T31")
        return {
            "platform": "S2A" if is_tile else "VM5",
            "instrument": "MSI" if is_tile else "VSSC",
            "product:type": "REFLECTANCE",
            "processing:level": "L2A",
            "eo:cloud_cover": self.cloudiness * 100,
            **({"grid:code": self.zone} if is_tile else {}),
        }

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        area = box(WEST, NORTH - 10 * SIDE, WEST + 10 * SIDE, NORTH, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326")
        return [(float(x), float(y)) for x, y in area.exterior.points]

    def numbers(self, kind: str, band: str) -> NDArray[np.int16]:
        """Return the numbers of a file, given ``FRE`` or ``SRE``, and the band."""
        number, resolution = self.bands[band]
        step = max(resolution, 10)
        whole = truth.reflectance(
            number, step, self.time.date(), cloudiness=self.cloudiness, swath_edge=self.swath_edge
        )
        surface = (_cut(whole, step) - _HAZE[number]) / _CLEAR
        if kind == "FRE":  # slopes that face the sun were brighter before the correction
            surface *= 1 + 0.04 * np.sin(np.arange(surface.shape[1]) * step / 310)
        times = step // resolution
        value = np.rint(surface * self.quantification).repeat(times, 0).repeat(times, 1)
        return np.where(np.isnan(value), NODATA, value).astype(np.int16)

    def mask(self, kind: str, group: str) -> NDArray[np.uint8]:
        """Return the numbers of a mask, given ``CLM``, ``MG2``, ``EDG`` or ``SAT``, and the resolution group."""
        times, step = 60 // self.groups[group], self.groups[group]
        cloudy = _cut(truth.clouds(self.time.date(), self.cloudiness) > 0.5, 60)
        seen = _cut(truth.seen(self.swath_edge), 60)
        match kind:
            case "CLM":
                shadow = np.roll(cloudy, (2, -3), (0, 1)) & ~cloudy
                values = np.where(cloudy, 0b0000_0011, np.where(shadow, 0b0000_0101, 0)) * seen
            case "EDG":
                values = ~seen
            case "MG2":
                water = _cut(truth.land_cover() == 6, 10).astype(np.uint8)
                each, coarser = max(10 // step, 1), max(step // 10, 1)
                return water[::coarser, ::coarser].repeat(each, 0).repeat(each, 1)
            case _:
                values = np.zeros_like(seen)
        return values.astype(np.uint8).repeat(times, 0).repeat(times, 1)

    def bands_of(self, group: str) -> list[str]:
        """Return the bands of a resolution group, in the order of their bits in masks."""
        return [band for band, (_, resolution) in self.bands.items() if resolution == self.groups[group]]

    def detector(self, band: str) -> NDArray[np.uint8]:
        """Return the number of the detector that saw each pixel of a band of Sentinel-2.

        The edge between two detectors is oblique, and for each band a little further south, as in real products.
        """
        number, resolution = self.bands[band]
        row, col = np.mgrid[0 : SIDE * 10 // resolution, 0 : SIDE * 10 // resolution] * resolution
        north, south = DETECTORS
        return np.where(row < 900 + col // 8 + 20 * number, north, south).astype(np.uint8)

    def detector_mask(self, group: str, detector: int) -> NDArray[np.uint8]:
        """Return the mask of a detector: a bit for each band of the group."""
        bits = [(self.detector(b) == detector).astype(np.uint8) << n for n, b in enumerate(self.bands_of(group))]
        return np.bitwise_or.reduce(bits)


def scenes() -> list[Scene]:
    """Return a summer of Sentinel-2, with clouds on two dates and the swath's edge on one, and one date of Venµs."""
    numbers = {b.name.replace("B0", "B"): (n, b.resolution) for n, b in enumerate(BANDS) if b.resolution < 60}
    # Venµs has twelve bands at 5 m; each is similar to a band of Sentinel-2.
    near = {
        "B1": 0,
        "B2": 0,
        "B3": 1,
        "B4": 2,
        "B5": 3,
        "B6": 3,
        "B7": 3,
        "B8": 4,
        "B9": 5,
        "B10": 6,
        "B11": 8,
        "B12": 9,
    }
    venus = {band: (number, 5) for band, number in near.items()}

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    s2: dict[str, Any] = {"zone": "T31TCJ", "bands": numbers, "groups": {"R1": 10, "R2": 20}, "version": "2-2"}
    return [
        Scene(at("2021-07-25T10:50:31.024"), "SENTINEL2A", cloudiness=0.3, **s2),
        Scene(at("2021-08-14T10:50:31.024"), "SENTINEL2A", swath_edge=True, **s2),
        Scene(at("2021-07-26T10:55:54.000"), "VENUS-XS", "LAURAGAIS", venus, {"XS": 5}, "3-1"),
        # The harvest, before them.
        Scene(at("2021-06-05T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-06-15T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-06-25T10:50:31.024"), "SENTINEL2A", cloudiness=0.2, **s2),
        Scene(at("2021-07-05T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-07-15T10:50:31.024"), "SENTINEL2A", **s2),
    ]


def _cut(whole: NDArray[Any], resolution: int) -> NDArray[Any]:
    row, col, side = (n * 10 // resolution for n in (ROW, COL, SIDE))
    return whole[row : row + side, col : col + side]
