"""Where the result of a process over Items shall be: what a person asks of a job, not of the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shapely.geometry import shape


@dataclass(frozen=True)
class Place:
    """The place of a result; a parameter of this type is no input: the runner gives it."""

    region: dict[str, Any] | None = None
    """A geometry of GeoJSON, in degrees; None: wherever the products are."""
    crs: int | None = None
    """An EPSG code; None: what suits."""
    resolution: float | None = None
    """Of a pixel, in units of the CRS; None: what suits."""

    @property
    def bbox(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of the region in degrees."""
        return None if self.region is None else tuple(shape(self.region).bounds)
