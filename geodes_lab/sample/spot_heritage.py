"""Spot 1 over the sample's area in 1990, orthorectified.

The same fields, before the lake and the growth of the towns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geom import box

from geodes_lab.sample import spot_files, truth

# The bands of HRV, and the most similar bands of Sentinel-2: green, red, near infrared.
BANDS = {"XS1": 2, "XS2": 3, "XS3": 7}
SPACING = 20


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    start: datetime
    """The time of the acquisition, UTC."""
    collection: str = "THEIA_SWH-PHASE1_SPOT1_L1C"
    """The collection's id."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        return f"SPOT1-HRV2-XS_{self.start:%Y%m%d-%H%M%S}-404_L1C_045-262-0_D_V1-0"

    @property
    def time(self) -> datetime:
        """The time of the acquisition, UTC."""
        return self.start

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        return f"muscate/SPOTWORLDHERITAGE/{self.start:%Y/%m/%d}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return the further properties in the catalogue. As in the service, the instrument's mode is in a field for radars."""
        return {
            "platform": "SPOT1", "instrument": "HRV2", "product:type": "L1C", "processing:level": "L1C",
            "sar:instrument_mode": "X", "eo:cloud_cover": 0.0,
        }  # fmt: skip

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        south, east = truth.NORTH - 10 * truth.ROWS, truth.WEST + 10 * truth.COLS
        area = box(truth.WEST, south, east, truth.NORTH, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326")
        return [(float(x), float(y)) for x, y in area.exterior.points]

    def reflectance(self, band: str) -> NDArray[np.float64]:
        """Return the values of a band (rows, columns)."""
        return np.round(truth.reflectance(BANDS[band], SPACING, self.start.date()), 3)


def products() -> list[Product]:
    """Return the products: one summer morning in 1990."""
    return [Product(datetime(1990, 7, 19, 10, 53, 12, tzinfo=UTC))]


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same bytes."""
    spot_files.pack(
        path, product.start, spot_files.ortho(product.name, product.start, {b: product.reflectance(b) for b in BANDS})
    )
