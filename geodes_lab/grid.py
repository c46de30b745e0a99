"""The output grid of a cube: the products' own unless told, so that pixels are pasted and not warped."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox, bbox_intersection, bbox_union
from odc.geo.geom import box as geom_box

from geodes_lab.box import checked
from geodes_lab.errors import GeodesError
from geodes_lab.footprint import footprint
from geodes_lab.source import Source

Box = tuple[float, float, float, float]
Resolution = float | tuple[float, float]
"""Of a pixel in units of the CRS: of a square one its side, else its width and its height."""
_MUCH = 0.5  # of a box: what covers less is told


def choose(
    sources: Sequence[Source],
    *,
    geobox: GeoBox | None = None,
    bbox: Sequence[float] | None = None,
    crs: str | int | None = None,
    resolution: Resolution | None = None,
) -> GeoBox:
    """Choose the output grid; no I/O.

    Parameters
    ----------
    sources
        All bands of all products.
    geobox
        The exact grid, if the user has one; then the others must be None.
    bbox
        West, south, east, north in degrees.
    crs
        The output CRS; None: the one that all sources share.
    resolution
        Pixel size in units of the CRS, or width and height of a pixel; None: the finest of the sources, in x and in y.

    Raises
    ------
    GeodesError
        If the sources share no grid and the user chose none, if ``bbox`` is no box or beyond all products, or
        if the CRS has no EPSG code.
    """
    if geobox is not None:
        if any(v is not None for v in (bbox, crs, resolution)):
            raise GeodesError("geobox= and like= say the whole grid: leave out bbox=, crs= and resolution=.")
        if geobox.crs is None or geobox.crs.epsg is None:
            raise GeodesError("The grid given has no EPSG code: give one in a CRS that has.")
        a, b, _, d, e, _ = geobox.affine[:6]
        if b or d or a <= 0 or e >= 0:
            raise GeodesError(
                "The grid given is rotated or not north-up: give one whose rows run south and columns east."
            )
        if not any(overlaps(s, geobox) for s in sources):
            raise GeodesError(
                f"The grid given, {tuple(geobox.boundingbox.bbox)} in {geobox.crs}, lies outside every product."
            )
        return geobox
    target = _crs(sources, crs)
    native = [s for s in sources if s.epsg == target.epsg]
    if resolution is None:
        if len(native) < len(sources):
            raise GeodesError(f"crs={crs!r} is not the products' own: say resolution= too, in units of {target}.")
        size = min(abs(s.transform[0]) for s in sources), min(abs(s.transform[4]) for s in sources)
        _refuse_shifted(sources, size)
    else:
        size = _size_of(resolution)
    extents = [footprint(g, target) for g in dict.fromkeys(s.geobox for s in sources)]
    extent = bbox_union(iter(extents))
    if bbox is not None:
        extent = _within(bbox, extents, extent, target)
    rounding = 1 - 1e-6
    if size[0] * rounding > extent.right - extent.left and size[1] * rounding > extent.top - extent.bottom:
        raise GeodesError(
            f"A pixel of {size[0]:g} × {size[1]:g} (in units of {target}) is larger than the whole cube: give a smaller resolution=."
        )
    anchor_x, anchor_y = (native[0].transform[2], native[0].transform[5]) if native else (0.0, 0.0)
    return _snapped(extent, size, anchor_x, anchor_y, target)


def overlaps(source: Source, grid: GeoBox) -> bool:
    """Whether a band and a grid have area in common; of another CRS by its bounds."""
    return _area(bbox_intersection(iter([grid.boundingbox, footprint(source.geobox, grid.crs)]))) > 0


def _crs(sources: Sequence[Source], crs: str | int | None) -> CRS:
    if crs is not None:
        try:
            target = CRS(crs)
        except Exception as error:
            raise GeodesError(f"{crs!r} is no CRS: give one such as 'EPSG:32631'.") from error
        if target.epsg is None:
            raise GeodesError(f"{crs!r} has no EPSG code: give a CRS that has one.")
        return target
    codes = {s.epsg: s.product for s in sources}
    if len(codes) > 1:
        parts = " and ".join(f"{product} in EPSG:{code}" for code, product in sorted(codes.items())[:2])
        raise GeodesError(f"The products share no grid: {parts}; choose one with crs= and resolution=, or geobox=.")
    return CRS(f"EPSG:{next(iter(codes))}")


def _size_of(resolution: Any) -> tuple[float, float]:
    """Width and height of a pixel."""
    pair = resolution if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(pair) != 2 or not all(isinstance(v, Real) and 0 < float(v) < math.inf for v in pair):
        raise GeodesError(
            f"resolution is a pixel's size, more than 0, or its width and height, such as (600, 601), not {resolution!r}."
        )
    return float(pair[0]), float(pair[1])


def _refuse_shifted(sources: Sequence[Source], size: tuple[float, float]) -> None:
    """Grids of one CRS may still lie between each other's pixels: pasting would move the data by part of a pixel."""
    first = min(sources, key=lambda s: abs(s.transform[0] * s.transform[4]))
    for other in sources:
        shift = [(other.transform[i] - first.transform[i]) / by for i, by in zip((2, 5), size, strict=True)]
        if max(abs(v - round(v)) for v in shift) > 1e-3:
            raise GeodesError(
                f"The products share no grid: {other.band} of {other.product} lies {shift[0] % 1:.2f} pixel in x and "
                f"{shift[1] % 1:.2f} in y between the {_shown(size)} pixels of {first.band} of {first.product}; choose one "
                "with resolution=, or geobox=."
            )


def _shown(size: tuple[float, float]) -> str:
    return f"{size[0]:g} m" if size[0] == size[1] else f"{size[0]:g} × {size[1]:g} m"


def _within(bbox: Sequence[float], extents: list[BoundingBox], extent: BoundingBox, target: CRS) -> BoundingBox:
    west, south, east, north = checked(bbox)
    east += 360 if east < west else 0
    covered = extent.to_crs("EPSG:4326")
    w, s, e, n = covered.bbox
    if (w + e) / 2 + 180 < west:  # the products lie beyond the date line, east of 180
        w, e = w + 360, e + 360
    outside = GeodesError(
        f"bbox {tuple(bbox)} lies outside every product: they cover ({w:.3f}, {s:.3f}, {e:.3f}, {n:.3f})."
    )
    _tell_if_cut((west, south, east, north), (w, s, e, n))
    # Clipped first: far from the products their projection has no meaning.
    west, south, east, north = max(west, w - 1), max(south, s - 1), min(east, e + 1), min(north, n + 1)
    if west >= east or south >= north:
        raise outside
    # Densified: the edge of a box in degrees is a curve in metres.
    asked = geom_box(west, south, east, north, "EPSG:4326").to_crs(target, resolution=0.01).boundingbox
    if not any(_area(bbox_intersection(iter([asked, e]))) > 0 for e in extents):
        raise outside
    return bbox_intersection(iter([asked, extent]))


def _tell_if_cut(asked: Box, covered: Box) -> None:
    """Warn of a cube that is much smaller than what was asked for; a box round all products asks for all of them."""
    common = (
        max(asked[0], covered[0]),
        max(asked[1], covered[1]),
        min(asked[2], covered[2]),
        min(asked[3], covered[3]),
    )
    part = _size(common) / _size(asked)
    if 0 < part < _MUCH and common != covered:
        warnings.warn(
            f"The products cover {100 * part:.0f} % of the bbox: the cube is cut to ({', '.join(f'{v:.3f}' for v in common)}).",
            stacklevel=5,
        )


def _size(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _area(box: BoundingBox) -> float:
    return max(box.right - box.left, 0) * max(box.top - box.bottom, 0)


def _snapped(extent: BoundingBox, size: tuple[float, float], anchor_x: float, anchor_y: float, crs: CRS) -> GeoBox:
    """Widen an extent to whole pixels counted from the anchor."""
    tiny = 1e-6  # of a pixel: a bound that is on a pixel's edge but for rounding stays there
    wide, high = size
    left = math.floor((extent.left - anchor_x) / wide + tiny)
    right = math.ceil((extent.right - anchor_x) / wide - tiny)
    top = math.floor((anchor_y - extent.top) / high + tiny)
    bottom = math.ceil((anchor_y - extent.bottom) / high - tiny)
    affine = Affine(wide, 0, anchor_x + left * wide, 0, -high, anchor_y - top * high)
    return GeoBox((max(bottom - top, 1), max(right - left, 1)), affine, crs)
