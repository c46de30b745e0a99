"""Two images of one burst, and what their interferogram needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from geodes_lab.products.sentinel1.interferometry.swath import Swath
from geodes_lab.raster.geometry import Relief


@dataclass(frozen=True)
class BurstPair:
    """One burst in two passes; hashable, and it can be sent to workers."""

    primary: Swath
    secondary: Swath
    first: int
    """The number of the primary's burst, from 0."""
    second: int
    """Of the secondary's."""
    relief: Relief | None
    """A terrain model; None: the heights of the tie points."""
    looks: tuple[int, int]
    """Samples of a cell in range and lines in azimuth."""
    late: float = 0.0
    """Seconds by which the secondary's orbit and clock are late, as spectral diversity finds."""

    @property
    def identifier(self) -> int:
        """ESA's relative burst identifier."""
        return self.primary.described.identifiers[self.first]

    @property
    def name(self) -> str:
        """Such as ``110431_IW1``."""
        return f"{self.identifier}_{self.primary.described.annotation.swath}"
