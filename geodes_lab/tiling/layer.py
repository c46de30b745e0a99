"""What of a product is drawn: bands or band expressions, what hides pixels, and how they are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from geodes_lab.errors import GeodesError, shown
from geodes_lab.processing.expression import Expression

MOST = 4
"""Bands or expressions of one layer; a picture has three."""
_MOST_NAMES = 12  # bands that all expressions of a layer read together
_LONG = 100
Kernel = Literal["nearest", "bilinear", "cubic", "average"]


@dataclass(frozen=True)
class Layer:
    """What is drawn.

    Raises
    ------
    GeodesError
        If there are too many bands, or an expression is not allowed.
    """

    bands: tuple[str, ...] = ()
    """Bands, by any of their names; with ``expressions`` too: none."""
    expressions: tuple[str, ...] = ()
    """Band expressions; see `geodes_lab.processing.expression`."""
    mask: tuple[str, ...] = ()
    """Names of classes of the products' own masks that hide pixels."""
    resampling: Kernel = "nearest"
    """How pixels are resampled; classes are never averaged."""

    def __post_init__(self) -> None:
        if self.bands and self.expressions:
            raise GeodesError("A map shows bands or expressions: leave out bands= or expression=.")
        for what, several, most in (("bands", self.bands, MOST), ("expressions", self.expressions, MOST)):
            if len(several) > most:
                raise GeodesError(f"A map shows at most {most} {what}, not {len(several)}.")
        if len(self.mask) > _MOST_NAMES or any(not n or len(n) > _LONG for n in (*self.bands, *self.mask)):
            raise GeodesError(f"Names of bands and masks have 1 to {_LONG} characters, and there are few of them.")
        if len(self.names) > _MOST_NAMES:
            raise GeodesError(f"The expressions use {len(self.names)} bands; the limit is {_MOST_NAMES}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all bands that are read."""
        used = [name for text in self.expressions for name in parsed(text).bands]
        return tuple(dict.fromkeys([*self.bands, *used]))

    @property
    def titles(self) -> list[str]:
        """What each drawn band is called."""
        return [shown(text) for text in self.bands or self.expressions]


@lru_cache(maxsize=512)
def parsed(text: str) -> Expression:
    """Check an expression, once."""
    return Expression(text)


def layer(
    bands: Sequence[str] = (), expression: Sequence[str] = (), mask: Sequence[str] = (), resampling: Kernel = "nearest"
) -> Layer:
    """Make a layer of the parts of a request: several names may be in one text, separated by commas.

    Raises
    ------
    GeodesError
        If it is not valid.
    """
    return Layer(_split(bands), tuple(e for e in expression if e.strip()), _split(mask), resampling)


def _split(several: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for text in several for part in text.split(",") if (name := part.strip()))
