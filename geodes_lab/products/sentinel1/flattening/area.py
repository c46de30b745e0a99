"""The area of ground in each cell of an image, and what hides or overlays the ground: computed by tiles of the image.

A tile is the same whatever is asked for, so that numbers do not depend on the chunks of a cube, and neighbouring chunks
and the polarisations of a product share it while it is in the cache of decoded tiles.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.formats import tile_cache
from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.products.sentinel1.flattening import facets as facets_
from geodes_lab.products.sentinel1.flattening.facets import UNKNOWN
from geodes_lab.products.sentinel1.flattening.mesh import LOOKS
from geodes_lab.products.sentinel1.flattening.scene import Scene

_TILE = 256, 1024  # rows and columns of cells
_LEAST = 0.01  # of a cell's own area: less ground is no ground
_KIND = np.dtype([("area", "f4"), ("mask", "u1")])

Span = tuple[int, int]


def of_pixels(scene: Scene, rows: Span, cols: Span) -> NDArray[np.float32]:
    """Return the area of ground in the pixels of a window, as a share of a pixel's own area.

    Gamma nought is beta nought divided by it: on level ground it is the cotangent of the angle of incidence.

    Returns
    -------
    numpy.ndarray
        (lines, pixels); linear between the centres of cells. NaN where there is no ground (shadow) or its heights are
        not known.
    """
    (top, below, down), (left, right, across) = (_around(np.arange(*span)) for span in (rows, cols))
    cells = _window(scene, (top, below + 1), (left, right + 1), "area")
    lines = cells[down[0]] * (1 - down[1][:, np.newaxis]) + cells[down[0] + 1] * down[1][:, np.newaxis]
    between: NDArray[Any] = lines[:, across[0]] * (1 - across[1]) + lines[:, across[0] + 1] * across[1]
    return between


def mask(scene: Scene, line: Floats, pixel: Floats) -> NDArray[np.uint8]:
    """Return what hides or overlays places, by their lines and pixels in the tie points; see `facets.SHADOW`."""
    row, col = (np.floor((v + 0.5) / LOOKS).astype(int) for v in (line, pixel))
    top, left = int(row.min()), int(col.min())
    found = _window(scene, (top, int(row.max()) + 1), (left, int(col.max()) + 1), "mask")
    picked: NDArray[np.uint8] = found[row - top, col - left]
    return picked


def _around(pixels: NDArray[np.int_]) -> tuple[int, int, tuple[NDArray[np.int_], NDArray[np.float32]]]:
    """Return the first and last cell for linear interpolation to pixels; for each its cell and the next's weight."""
    place = (pixels + 0.5) / LOOKS - 0.5
    before = np.floor(place).astype(int)
    first = int(before[0])
    return first, int(before[-1]) + 1, (before - first, (place - before).astype(np.float32))


def _window(scene: Scene, rows: Span, cols: Span, field: str) -> NDArray[Any]:
    """Return the cells of a window, put together from tiles."""
    out = np.empty((rows[1] - rows[0], cols[1] - cols[0]), _KIND[field])
    for down in range(rows[0] // _TILE[0], (rows[1] - 1) // _TILE[0] + 1):
        for across in range(cols[0] // _TILE[1], (cols[1] - 1) // _TILE[1] + 1):
            tile, (top, left) = _tile(scene, down, across), (down * _TILE[0], across * _TILE[1])
            (a, b), (c, d) = (
                (max(span[0], at), min(span[1], at + size))
                for span, at, size in zip((rows, cols), (top, left), _TILE, strict=True)
            )
            out[a - rows[0] : b - rows[0], c - cols[0] : d - cols[0]] = tile[field][
                a - top : b - top, c - left : d - left
            ]
    return out


def _tile(scene: Scene, down: int, across: int) -> NDArray[Any]:
    """Return a tile, computed once while it is in the cache."""

    def begin(_: list[int]) -> list[Future[NDArray[Any]]]:
        done: Future[NDArray[Any]] = Future()
        done.set_result(_computed(scene, down, across))
        return [done]

    with tile_cache.few():
        (tile,) = tile_cache.shared().get([(scene, "area of ground", down, across)], begin)
    return tile


def _computed(scene: Scene, down: int, across: int) -> NDArray[Any]:
    out = np.empty(_TILE, _KIND)
    rows, cols = ((n * size, (n + 1) * size) for n, size in zip((down, across), _TILE, strict=True))
    seen = facets_.facets(scene, rows, cols)
    if seen is None:
        out["area"], out["mask"] = np.nan, UNKNOWN
        return out
    here = slice(cols[0] - seen.first, cols[1] - seen.first)
    share = facets_.gathered(seen, cols) / seen.own[:, here]
    share[share < _LEAST] = np.nan
    unknown = seen.mask == UNKNOWN
    if unknown.any():
        share[facets_.gathered(replace(seen, area=unknown.astype(float)), cols) > _LEAST] = np.nan
    out["area"], out["mask"] = share, seen.mask[:, here]
    return out
