"""A band of classes that hides pixels of other bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.raster.source import RasterSource


@dataclass(frozen=True)
class Mask:
    """Which numbers of a band of classes hide the pixels of the other bands."""

    source: RasterSource
    """The band of classes."""
    values: tuple[int, ...] = ()
    """The numbers that hide."""
    bits: int = 0
    """Or the bits, where the band is a field of bits; 0: it is none."""

    def hides(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the numbers of the band hide a pixel."""
        hidden: NDArray[np.bool_] = (numbers & self.bits) != 0 if self.bits else np.isin(numbers, self.values)
        return hidden
