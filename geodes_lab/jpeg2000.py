"""Numbers of a band of JPEG 2000 by its tiles: only those that are needed, at the resolution that is needed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds

from geodes_lab import tiles
from geodes_lab.datalake import place_of
from geodes_lab.gdal import Numbers
from geodes_lab.index import Index
from geodes_lab.jp2 import NotUnderstood
from geodes_lab.source import Source

_MARGIN = 8  # pixels around the window of a warp: no kernel reaches further
_BLEED = 2  # pixels of an overview beside no data that have some of it mixed in: the reach of the 5/3 wavelet


def numbers(source: Source, grid: GeoBox, resampling: Resampling) -> Numbers:
    """Read the file's own numbers on a grid; returns what `gdal.numbers` returns.

    A grid coarser than the band's own is read from the overview that is next finer, except for classes, which no
    overview keeps.

    Raises
    ------
    NotUnderstood
        If this is no JPEG 2000 that can be read by tiles; nothing has been read then but its header.
    """
    index = _index(source)
    _confirm(source, index)
    levels = index.header.levels if index.header.prefixes and np.dtype(source.dtype).kind == "f" else 0
    level = 0 if source.place_on(grid) else min(_level(source, grid), levels)
    halved = source.halved(level)
    place = halved.place_on(grid)
    if place is None:
        return _warp(halved, index, level, grid, resampling)
    rows, cols, window = place
    top, left = int(window.row_off), int(window.col_off)
    found, there = _window(halved, index, level, (top, top + int(window.height)), (left, left + int(window.width)))
    return found, there, rows, cols


def _index(source: Source) -> Index:
    if source.href.startswith("/vsizip/"):
        if source.stored is None:
            raise NotUnderstood("the member is compressed")
        place = place_of(source.href.removeprefix("/vsizip/{").partition("}/")[0])
    else:
        place = place_of(source.href)
    stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
    return tiles.index_of(place, source.stored, stamp)


def _confirm(source: Source, index: Index) -> None:
    rows, cols = index.header.size
    if (rows, cols) != source.shape:
        raise source.contradiction(f"has {rows} × {cols} pixels, not {source.shape[0]} × {source.shape[1]}")
    a, _, c, _, e, f = source.transform
    x, y = index.centre[0] - a / 2, index.centre[1] - e / 2
    if not math.isnan(x) and max(abs(x - c), abs(y - f)) > 1e-3 * abs(a):
        raise source.contradiction(f"begins at ({x}, {y}), not ({c}, {f})")


def _level(source: Source, grid: GeoBox) -> int:
    """How many times the band can be halved and still be at least as fine as the grid."""
    a, _, _, _, e, _ = source.transform
    if grid.crs.epsg == source.epsg:
        ratio = min(abs(grid.affine.a / a), abs(grid.affine.e / e))
    else:
        left, bottom, right, top = transform_bounds(grid.crs, f"EPSG:{source.epsg}", *grid.boundingbox.bbox)
        ratio = min((right - left) / abs(a) / grid.shape[1], (top - bottom) / abs(e) / grid.shape[0])
    return max(int(math.log2(ratio) + 1e-9), 0) if ratio > 1 else 0


def _window(
    halved: Source, index: Index, level: int, rows: tuple[int, int], cols: tuple[int, int]
) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """A window of the image, and where it is data; of an overview not beside no data, where both are mixed."""
    if not level or halved.nodata is None:
        found = tiles.read(index, rows, cols, level)[halved.index - 1]
        return found, halved.there(found)
    top, bottom = max(rows[0] - _BLEED, 0), min(rows[1] + _BLEED, halved.shape[0])
    left, right = max(cols[0] - _BLEED, 0), min(cols[1] + _BLEED, halved.shape[1])
    wide = tiles.read(index, (top, bottom), (left, right), level)[halved.index - 1]
    missing = ~halved.there(wide)
    if missing.any():
        for axis in (0, 1):
            for shift in range(1, _BLEED + 1):
                missing = missing | _shifted(missing, shift, axis) | _shifted(missing, -shift, axis)
    inner = slice(rows[0] - top, rows[1] - top), slice(cols[0] - left, cols[1] - left)
    return wide[inner], ~missing[inner]


def _shifted(mask: NDArray[np.bool_], by: int, axis: int) -> NDArray[np.bool_]:
    out = np.zeros_like(mask)
    to, of = [slice(None)] * 2, [slice(None)] * 2
    to[axis], of[axis] = (slice(by, None), slice(None, -by)) if by > 0 else (slice(None, by), slice(-by, None))
    out[tuple(to)] = mask[tuple(of)]
    return out


def _warp(halved: Source, index: Index, level: int, grid: GeoBox, resampling: Resampling) -> Numbers:
    """Warp the part of the band that the grid needs; what is no data is left out of every average."""
    a, b, c, d, e, f = halved.transform
    left, bottom, right, top = transform_bounds(grid.crs, f"EPSG:{halved.epsg}", *grid.boundingbox.bbox)
    col0, col1 = math.floor((left - c) / a) - _MARGIN, math.ceil((right - c) / a) + _MARGIN
    row0, row1 = math.floor((top - f) / e) - _MARGIN, math.ceil((bottom - f) / e) + _MARGIN
    row0, row1, col0, col1 = max(row0, 0), min(row1, halved.shape[0]), max(col0, 0), min(col1, halved.shape[1])
    everywhere = slice(None), slice(None)
    if row0 >= row1 or col0 >= col1:
        return np.zeros(grid.shape, "uint16"), np.zeros(grid.shape, bool), *everywhere
    found, there = _window(halved, index, level, (row0, row1), (col0, col1))
    options = {
        "src_crs": f"EPSG:{halved.epsg}",
        "src_transform": Affine(a, b, c, d, e, f) * Affine.translation(col0, row0),
        "dst_crs": str(grid.crs),
        "dst_transform": grid.affine,
        "num_threads": 1,
        "warp_mem_limit": 256,
    }
    # A number that the band does not use stands for no data during the warp.
    hole = float(np.iinfo(found.dtype).max) if halved.nodata is None else halved.nodata
    source = np.where(there, found, found.dtype.type(hole))
    out = np.full(grid.shape, hole, found.dtype)
    reproject(source, out, resampling=resampling, src_nodata=hole, dst_nodata=hole, init_dest_nodata=True, **options)
    return out, out != hole, *everywhere
