"""What a request may say, as TiTiler's factories take it: each within limits, and nothing that is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query
from titiler.core.dependencies import DefaultDependency

from geodes_lab.errors import GeodesError
from geodes_lab.tiling.layer import Kernel, layer
from geodes_lab.tiling.reader import MOST_SIDE
from geodes_lab.xyz import colormaps, stretch

_Texts = Annotated[list[str] | None, Query()]


@dataclass
class Nothing(DefaultDependency):
    """TiTiler's own parameters that are not offered: a buffer, another nodata value, GDAL's resampling."""


@dataclass
class LayerParameters(DefaultDependency):
    """What is drawn."""

    bands: _Texts = None
    expression: _Texts = None
    mask: _Texts = None
    resampling: Annotated[Kernel, Query()] = "nearest"

    def __post_init__(self) -> None:
        self._layer = layer(self.bands or (), self.expression or (), self.mask or (), self.resampling)

    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
        """Return the arguments of the reader's methods."""
        return {"layer": self._layer}


@dataclass
class RenderParameters(DefaultDependency):
    """How numbers become brightness."""

    rescale: _Texts = None
    gamma: Annotated[float, Query(ge=stretch.GAMMA[0], le=stretch.GAMMA[1])] = 1.0

    def __post_init__(self) -> None:
        self._ranges = stretch.parsed(self.rescale or ())

    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
        """Return the arguments of `geodes_lab.tiling.drawing.picture`."""
        return {"ranges": self._ranges, "gamma": self.gamma, "is_auto": self.rescale == ["auto"]}


@dataclass
class SizeParameters(DefaultDependency):
    """Pixels of a preview."""

    max_size: Annotated[int | None, Query(ge=1, le=MOST_SIDE)] = 1024
    height: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if any(v is not None and not 1 <= v <= MOST_SIDE for v in (self.height, self.width)):
            raise GeodesError(f"A picture has 1 to {MOST_SIDE} pixels in a row and a column.")
        if self.height or self.width:
            self.max_size = None


@dataclass
class StatisticsParameters(DefaultDependency):
    """Percentiles."""

    percentiles: Annotated[list[Annotated[int, Query(ge=0, le=100)]] | None, Query(alias="p", max_length=20)] = None

    def __post_init__(self) -> None:
        self.percentiles = self.percentiles or [2, 98]


@dataclass
class HistogramParameters(DefaultDependency):
    """Bins."""

    bins: Annotated[int, Query(ge=1, le=1000)] = 10


def colour_map(colormap_name: Annotated[Literal[colormaps.NAMES] | None, Query()] = None) -> str | None:  # type: ignore[valid-type]
    """Return the name of a map of colours."""
    return colormap_name


def no_process() -> None:
    """TiTiler's algorithms are not offered: expressions are."""
