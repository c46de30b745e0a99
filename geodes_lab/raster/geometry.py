"""What a band without a native grid, or with predicted properties, must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.raster.points import Points

if TYPE_CHECKING:
    from geodes_lab.raster.source import RasterSource


class PredictedBand(Protocol):
    """Replaces, at the first access to a product, the predicted properties of a band by the real ones.

    Hashable, and can be sent to workers.
    """

    def resolve(self, source: RasterSource) -> RasterSource:
        """Return the band as its product describes it; reads metadata once in a process.

        Raises
        ------
        GeodesError
            If the product is elsewhere, or has other radiometry, than predicted.
        """


class Gridder(Protocol):
    """Puts a band without a native grid, such as a radar's, on a grid; hashable, and can be sent to workers."""

    @property
    def note(self) -> str:
        """A sentence about the geometry, for the attributes of variables."""

    def numbers(
        self, source: RasterSource, grid: GeoBox, resampling: Resampling
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return numbers of ``grid.shape`` before scale and offset, and where they are data; reads what the grid needs.

        Raises
        ------
        GeodesError, OSError
            If the product cannot be read.
        """


class Relief(Protocol):
    """A terrain model; hashable, and can be sent to workers."""

    @property
    def note(self) -> str:
        """A description, for the attributes of variables."""

    def heights_at(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return metres above the ellipsoid, NaN where unknown.

        The masks say whether the model covers a point, and whether missing heights are sea.
        """


@runtime_checkable
class TerrainAware(Gridder, Protocol):
    """A `Gridder` whose image is displaced by relief, and which can take it into account."""

    @property
    def needs_relief(self) -> bool:
        """Whether there is nothing without a terrain model."""

    def over(self, relief: Relief) -> Gridder:
        """Return the same, with a terrain model."""


@runtime_checkable
class Flown(Gridder, Protocol):
    """A `Gridder` whose geometry depends on an orbit, and that can use a better one."""

    @property
    def flown(self) -> str:
        """The source of the orbit; empty: the product itself."""

    def along(self, orbits: Sequence[Any]) -> Gridder:
        """Return the same, with the orbit file of its satellite and time."""
