"""The request of a cube: the arguments of `geodes_lab.open_cube`, each checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from geodes_lab import arguments
from geodes_lab.cube.chunks import Chunks
from geodes_lab.cube.chunks import asked as asked_chunks
from geodes_lab.errors import GeodesError
from geodes_lab.raster.source import RasterSource
from geodes_lab.vector import shapes

_KEEPING = ("nearest", "mode", "min", "max")  # resamplings that return only existing numbers


@dataclass(frozen=True)
class CubeRequest:
    """The arguments of `geodes_lab.open_cube`, converted to their types; see there."""

    bands: list[str]
    resampling: str | Mapping[str, str]
    """A kernel's name, for all bands or by band."""
    geobox: GeoBox | None
    bbox: Any
    geometry: Geometry | None
    clip: bool
    """Whether pixels outside ``geometry`` become no data."""
    crs: str | int | None
    resolution: Any
    groupby: Literal["pass", "solar_day", "item"]
    classes: frozenset[str]
    """Bands whose numbers are classes."""
    chunks: Chunks
    mask: Any
    mask_buffer: float
    """In metres."""
    dtype: str | None
    dem_heights: Literal["geoid", "ellipsoid"] | None
    overviews: bool
    converted: bool
    """Whether files that were converted from a product take its place."""
    errors: Literal["raise", "fill"]

    def kernel(self, band: str) -> str:
        """Return the requested kernel of a band."""
        return self.resampling.get(band, "nearest") if isinstance(self.resampling, Mapping) else self.resampling

    def makes_means(self, band: str) -> bool:
        """Whether that kernel computes numbers that are not in the file."""
        return self.kernel(band) not in _KEEPING

    def kernel_of(self, band: str, source: RasterSource) -> str:
        """Return how a band is resampled: classes are never averaged, the nearest pixel is used."""
        return "nearest" if source.is_class and self.makes_means(band) else self.kernel(band)


def checked(
    *,
    bands: Sequence[str],
    resampling: Any,
    geobox: Any,
    like: Any,
    bbox: Any,
    geometry: Any,
    clip: Any,
    crs: Any,
    resolution: Any,
    groupby: Any,
    classes: Any,
    chunks: Any,
    mask: Any,
    mask_buffer: Any,
    dtype: Any,
    has_dem: bool,
    dem_heights: Any,
    overviews: Any,
    converted: Any,
    errors: Any,
) -> CubeRequest:
    """Check each argument; the first invalid one is refused in a sentence.

    Raises
    ------
    GeodesError
        If an argument is invalid, or two contradict each other.
    """
    names = arguments.names("bands", bands)
    kernels = (
        {band: arguments.kernel(way) for band, way in resampling.items()}
        if isinstance(resampling, Mapping)
        else arguments.kernel(resampling)
    )
    size = None if resolution is None else arguments.size("resolution", resolution)
    code = arguments.whole("crs", crs, "an EPSG code") if _is_number(crs) else crs
    wanted = asked_chunks(chunks)
    measure = _measure(dtype)
    of_classes = [] if classes is None else arguments.names("classes", classes)
    if isinstance(kernels, Mapping):
        _refuse_unknown("resampling", kernels, names)
    if not names:
        raise GeodesError("open_cube needs bands, such as bands=['red', 'nir'].")
    arguments.choice("errors", errors, ("raise", "fill"))
    arguments.choice("groupby", groupby, ("pass", "solar_day", "item"))
    flag = arguments.flag("overviews", overviews)
    _refuse_unknown("classes", of_classes, names)
    buffer = arguments.number("mask_buffer", mask_buffer, "a distance in metres, 0 or more")
    if buffer < 0:
        raise GeodesError(f"mask_buffer is a distance in metres, 0 or more, not {mask_buffer!r}.")
    if buffer and mask is None:
        raise GeodesError("mask_buffer= widens what mask= hides: give mask= too.")
    is_clipped = arguments.flag("clip", clip)
    _refuse_contradictions(geometry, is_clipped, bbox, geobox if like is None else like)
    outline = None if geometry is None else shapes.union("geometry", geometry)
    if outline is not None and outline.geom.area == 0:
        raise GeodesError("geometry= has no area: give polygons, or a box around the place with bbox=.")
    if dem_heights is not None:
        arguments.choice("dem_heights", dem_heights, ("geoid", "ellipsoid"))
        if not has_dem:
            raise GeodesError("dem_heights= gives the reference of the heights in dem=: give dem= too.")
    return CubeRequest(
        names,
        kernels,
        _grid(geobox, like),
        bbox,
        outline,
        is_clipped,
        code,
        size,
        groupby,
        frozenset(of_classes),
        wanted,
        mask,
        buffer,
        measure,
        dem_heights,
        flag,
        arguments.flag("converted", converted),
        errors,
    )


def _refuse_contradictions(geometry: Any, is_clipped: bool, bbox: Any, grid: Any) -> None:
    """Refuse two arguments that both say the extent, and a clip by nothing."""
    if geometry is None:
        if is_clipped:
            raise GeodesError("clip=True hides the pixels outside geometry=: give geometry= too.")
    elif bbox is not None:
        raise GeodesError("bbox= and geometry= both set the extent: give only one of them.")
    elif grid is not None and not is_clipped:
        raise GeodesError(
            "geobox= and like= set the whole grid: leave out geometry=, or add clip=True to hide the pixels outside."
        )


def _is_number(crs: Any) -> bool:
    return crs is not None and not isinstance(crs, str) and hasattr(crs, "__index__")


def _refuse_unknown(argument: str, named: Any, bands: Sequence[str]) -> None:
    if unknown := [name for name in named if name not in bands]:
        raise GeodesError(f"{argument}= names {unknown[0]!r}, which is not in bands=.")


def _grid(geobox: Any, like: Any) -> GeoBox | None:
    """Return the whole output grid, if one is given."""
    if like is None:
        return None if geobox is None else arguments.grid("geobox", geobox)
    if geobox is not None:
        raise GeodesError("like= and geobox= both set the whole grid: give only one of them.")
    return arguments.grid("like", like)


def _measure(dtype: Any) -> str | None:
    """Return the name of the dtype of measures."""
    if dtype is None:
        return None
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in ("float32", "float64"):
        raise GeodesError(f"dtype is 'float32' or 'float64', not {dtype!r}: measures need NaN for no data.")
    return name
