"""The output grid of a cube: by default the products' own, so that pixels are copied and not warped."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import shapely
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox, Geometry, bbox_intersection, bbox_union
from shapely.geometry.base import BaseGeometry

from geodes_lab.errors import GeodesError
from geodes_lab.raster import globe
from geodes_lab.raster.footprint import footprint
from geodes_lab.raster.source import RasterSource
from geodes_lab.util.bbox import checked
from geodes_lab.vector.shapes import DEGREES, converted

Box = tuple[float, float, float, float]
Resolution = float | tuple[float, float]
"""The size of a pixel in units of the CRS: of a square one its side, else its width and its height."""


class NothingThere(GeodesError):
    """No product overlaps the grid that was asked for."""


_MUCH = 0.5  # of a box: a smaller coverage gives a warning


def choose(
    sources: Sequence[RasterSource],
    *,
    geobox: GeoBox | None = None,
    bbox: Sequence[float] | None = None,
    geometry: Geometry | None = None,
    crs: str | int | None = None,
    resolution: Resolution | None = None,
) -> GeoBox:
    """Choose the output grid; no I/O.

    Parameters
    ----------
    sources
        All bands of all products.
    geobox
        The exact grid, if the user gave one; then the others must be None.
    bbox
        West, south, east, north in degrees.
    geometry
        A shape instead of ``bbox``: the grid is the box around it.
    crs
        The output CRS; None: the CRS of all sources.
    resolution
        Pixel size in units of the CRS, or width and height of a pixel; None: the finest of the sources, in x and in y.

    Raises
    ------
    GeodesError
        If the sources share no grid and the user chose none, if ``bbox`` is not a box or is outside of all products, or
        if the CRS has no EPSG code.
    """
    if geobox is not None:
        if any(v is not None for v in (bbox, crs, resolution)):
            raise GeodesError("geobox= and like= set the whole grid: leave out bbox=, crs= and resolution=.")
        if geobox.crs is None or geobox.crs.epsg is None:
            raise GeodesError("The CRS of the given grid has no EPSG code: give a grid whose CRS has one.")
        a, b, _, d, e, _ = geobox.affine[:6]
        if b or d or a <= 0 or e >= 0:
            raise GeodesError(
                "The given grid is rotated or not north-up: give a grid whose rows run south and columns run east."
            )
        if not any(overlaps(s, geobox) for s in sources):
            raise NothingThere(
                f"The given grid, {tuple(geobox.boundingbox.bbox)} in {geobox.crs}, does not overlap any product."
            )
        return geobox
    target = _crs(sources, crs)
    native = [s for s in sources if s.epsg == target.epsg]
    if resolution is None:
        if len(native) < len(sources):
            raise GeodesError(
                f"crs={crs!r} is not the CRS of the products: give resolution= too, in units of {target}."
            )
        size = min(abs(s.transform[0]) for s in sources), min(abs(s.transform[4]) for s in sources)
        _refuse_shifted(sources, size)
    else:
        size = _size_of(resolution)
    # By their numbers: the hash of a grid writes its CRS as text.
    extents = [footprint(s.geobox, target) for s in {(s.epsg, s.transform, s.shape): s for s in sources}.values()]
    if target.geographic:  # in one frame, across 180° too
        first = extents[0].bbox
        extents = [BoundingBox(*globe.near(e.bbox, first), target) for e in extents]
    whole = extent = bbox_union(iter(extents))
    if bbox is not None or geometry is not None:
        extent = _wanted(bbox, geometry, extents, target)
    rounding = 1 - 1e-6
    if size[0] * rounding > whole.right - whole.left and size[1] * rounding > whole.top - whole.bottom:
        raise GeodesError(
            f"A pixel of {size[0]:g} × {size[1]:g} (in units of {target}) is larger than the whole cube: give a "
            "smaller resolution=."
        )
    anchor_x, anchor_y = (native[0].transform[2], native[0].transform[5]) if native else (0.0, 0.0)
    if native and target.geographic:
        anchor_x += globe.near(native[0].geobox.boundingbox.bbox, extent.bbox)[0] - native[0].geobox.boundingbox.left
    return _snapped(extent, size, anchor_x, anchor_y, target)


def overlaps(source: RasterSource, grid: GeoBox) -> bool:
    """Whether a band and a grid have area in common; in another CRS by the bounds."""
    return bool(source.copies(grid))


def _crs(sources: Sequence[RasterSource], crs: str | int | None) -> CRS:
    if crs is not None:
        try:
            target = CRS(crs)
        except Exception as error:
            raise GeodesError(f"{crs!r} is not a CRS: give a code such as 'EPSG:32631'.") from error
        if target.epsg is None:
            raise GeodesError(f"{crs!r} has no EPSG code: give a CRS that has one.")
        return target
    codes = {s.epsg: s.product for s in sources}
    if len(codes) > 1:
        parts = " and ".join(f"{product} in EPSG:{code}" for code, product in sorted(codes.items())[:2])
        raise GeodesError(
            f"The products have different grids: {parts}. Choose one grid with crs= and resolution=, or geobox=."
        )
    return CRS(f"EPSG:{next(iter(codes))}")


def _size_of(resolution: Any) -> tuple[float, float]:
    """Return width and height of a pixel."""
    pair = resolution if isinstance(resolution, (tuple, list)) else (resolution, resolution)
    if len(pair) != 2 or not all(isinstance(v, Real) and 0 < float(v) < math.inf for v in pair):
        raise GeodesError(
            "resolution is a pixel's size, more than 0, or its width and height, such as (600, 601), not "
            f"{resolution!r}."
        )
    return float(pair[0]), float(pair[1])


def _refuse_shifted(sources: Sequence[RasterSource], size: tuple[float, float]) -> None:
    """Refuse grids of one CRS whose pixels do not align: copying would move the data by part of a pixel."""
    first = min(sources, key=lambda s: abs(s.transform[0] * s.transform[4]))
    for other in sources:
        shift = [(other.transform[i] - first.transform[i]) / by for i, by in zip((2, 5), size, strict=True)]
        if max(abs(v - round(v)) for v in shift) > 1e-3:
            raise GeodesError(
                f"The products have different grids: {other.band} of {other.product} is shifted by {shift[0] % 1:.2f} "
                f"pixel in x and {shift[1] % 1:.2f} in y from the {_shown(size)} pixels of {first.band} of "
                f"{first.product}. Choose one grid with resolution=, or geobox=."
            )


def _shown(size: tuple[float, float]) -> str:
    return f"{size[0]:g} m" if size[0] == size[1] else f"{size[0]:g} × {size[1]:g} m"


def _wanted(
    bbox: Sequence[float] | None, geometry: Geometry | None, extents: list[BoundingBox], target: CRS
) -> BoundingBox:
    """What of the box or the shape the products have."""
    if geometry is not None:
        return _around(geometry, extents, target)
    assert bbox is not None
    return _within("bbox", checked(bbox), extents, target)


def _around(geometry: Geometry, extents: list[BoundingBox], target: CRS) -> BoundingBox:
    """What of the box around a shape the products have, in the output CRS."""
    extent = _within("geometry, within", _box_of(converted(geometry, DEGREES).geom), extents, target)
    if target.geographic:
        return extent
    # The box in degrees is larger than the one in the output CRS. Far from it the CRS has no meaning: cut first.
    near = geometry.geom
    if geometry.crs != target:
        west, south, east, north = _degrees(extent)
        wide, high = (east - west) / 10, (north - south) / 10
        near = converted(geometry, DEGREES).geom.intersection(
            shapely.box(west - wide, south - high, east + wide, north + high)
        )
        near = near if near.is_empty else converted(Geometry(near, DEGREES), target).geom
    if near.is_empty:
        return extent
    tight = bbox_intersection(iter([extent, BoundingBox(*near.bounds, target)]))
    return tight if tight.right >= tight.left and tight.top >= tight.bottom else extent


def _box_of(shape: BaseGeometry) -> Box:
    """The box around a shape in degrees; of parts on both sides of the date line, as GeoJSON cuts them, across it."""
    west, south, east, north = shape.bounds
    parts = [part.bounds for part in getattr(shape, "geoms", [shape])]
    eastern, western = [b for b in parts if b[0] >= 0], [b for b in parts if b[2] <= 0]
    if len(eastern) + len(western) == len(parts) and eastern and western:
        across = min(b[0] for b in eastern), max(b[2] for b in western)
        if across[1] + globe.TURN - across[0] < east - west:
            return across[0], south, across[1], north
    if east - west >= globe.TURN:
        return -180.0, south, 180.0, north
    turned = [v if -180 <= v <= 180 else (v + 180) % globe.TURN - 180 for v in (west, east)]
    return turned[0], south, turned[1], north


def _within(name: str, bbox: Box, extents: list[BoundingBox], target: CRS) -> BoundingBox:
    """What of a box the products have, in the output CRS."""
    west, south, east, north = bbox
    box = (west, south, east + (globe.TURN if east < west else 0), north)
    covers = [_degrees(e) for e in extents]
    # Clipped first: far from the products their projection has no meaning.
    common = [(part, n) for n, covered in enumerate(covers) for part in globe.parts(box, covered)]
    if target.geographic:
        # Across 180° either the box or the products have the coherent area in one piece: the narrower one.
        requested, own = [part for part, _ in common], [globe.near(part, covers[n]) for part, n in common]
        parts = [BoundingBox(*part, target) for part in min(requested, own, key=_width)]
    else:
        parts = [bbox_intersection(iter([globe.bounds(part, target), extents[n]])) for part, n in common]
    parts = [p for p in parts if _area(p) > 0]
    if not parts:
        w, s, e, n = _hull([globe.near(c, covers[0]) for c in covers])
        raise GeodesError(
            f"{name} ({', '.join(f'{v:.9g}' for v in bbox)}) does not overlap any product: they cover ({w:.3f}, "
            f"{s:.3f}, {e:.3f}, {n:.3f})."
        )
    _tell_if_cut(box, [part for part, _ in common])
    return bbox_union(iter(parts))


def _degrees(extent: BoundingBox) -> Box:
    """Return a box of the output CRS in degrees."""
    side = 64
    wide, high = (extent.right - extent.left) / side, (extent.top - extent.bottom) / side
    return globe.degrees(GeoBox((side, side), Affine(wide, 0, extent.left, 0, -high, extent.top), extent.crs))


def _width(boxes: list[Box]) -> float:
    west, _, east, _ = _hull(boxes) if boxes else (0.0, 0.0, 0.0, 0.0)
    return east - west


def _hull(boxes: list[Box]) -> Box:
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def _tell_if_cut(requested: Box, parts: list[Box]) -> None:
    """Warn if a cube is much smaller than requested; a box around all products requests all of them."""
    common = _hull(parts)
    share = _size(common) / _size(requested)
    if 0 < share < _MUCH and not all(_is_around(requested, part) for part in parts):
        warnings.warn(
            f"The products cover {100 * share:.0f} % of the bbox: the cube is cut to "
            f"({', '.join(f'{v:.3f}' for v in common)}).",
            stacklevel=5,
        )


def _is_around(requested: Box, part: Box) -> bool:
    is_all_around = requested[2] - requested[0] >= globe.TURN
    beside = is_all_around or (requested[0] < part[0] and requested[2] > part[2])
    return beside and (requested[1] < part[1] or part[1] <= -90) and (requested[3] > part[3] or part[3] >= 90)


def _size(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _area(box: BoundingBox) -> float:
    return max(box.right - box.left, 0) * max(box.top - box.bottom, 0)


def _snapped(extent: BoundingBox, size: tuple[float, float], anchor_x: float, anchor_y: float, crs: CRS) -> GeoBox:
    """Widen an extent to whole pixels counted from the anchor."""
    tiny = 1e-6  # of a pixel: a bound on a pixel's edge stays there despite rounding
    wide, high = size
    left = math.floor((extent.left - anchor_x) / wide + tiny)
    right = math.ceil((extent.right - anchor_x) / wide - tiny)
    top = math.floor((anchor_y - extent.top) / high + tiny)
    bottom = math.ceil((anchor_y - extent.bottom) / high - tiny)
    affine = Affine(wide, 0, anchor_x + left * wide, 0, -high, anchor_y - top * high)
    return GeoBox((max(bottom - top, 1), max(right - left, 1)), affine, crs)
