"""A band of classes that hides pixels of other bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.raster.source import RasterSource


@dataclass(frozen=True)
class Mask:
    """The numbers of a band of classes that hide the pixels of the other bands."""

    source: RasterSource
    """The band of classes."""
    values: tuple[int, ...] = ()
    """The numbers that hide."""
    bits: int = 0
    """Or the bits, if the band is a bit field; 0: it is not."""
    buffer: float = 0.0
    """How far around those pixels others are hidden too, in metres."""

    def hides(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where the numbers of the band hide a pixel."""
        hidden: NDArray[np.bool_] = (numbers & self.bits) != 0 if self.bits else np.isin(numbers, self.values)
        return hidden
