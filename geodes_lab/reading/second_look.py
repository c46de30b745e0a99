"""Looks once more at the pixels of an overview that are in doubt: in a finer one, and at last in the image itself.

They are often few, beside a sharp edge that the wavelet undershoots, and lie in many tiles.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.raster.source import RasterSource

_PIECE = 2**20  # pixels of an image that are read at once
_TILE = 1024  # pixels, where metadata do not tell the tiles
_FEW = 1 / 8  # of a tile: so many doubtful pixels are no single dark ones
_AT_ONCE = 8  # places that are looked at at the same time

Read = Callable[[GeoBox, int], tuple[NDArray[Any], NDArray[np.bool_]]]
"""Reads numbers on a grid from an overview (0: the image), and where they are data."""


def replace(
    source: RasterSource,
    level: int,
    grid: GeoBox,
    doubtful: NDArray[np.bool_],
    numbers: NDArray[Any],
    there: NDArray[np.bool_],
    read: Read,
) -> None:
    """Replace the doubtful numbers of a grid with those of a finer overview, or of the image itself.

    In pieces of a tile at most, of which no more is decoded than the box around the doubtful pixels. Pieces are read at
    the same time.

    Parameters
    ----------
    source
        The band.
    level
        The overview that the numbers are of.
    grid
        Their grid.
    doubtful
        Which are in doubt.
    numbers, there
        The numbers, and where they are data; changed in place.
    read
        See `Read`.
    """
    tile = math.prod(source.tile or (_TILE, _TILE)) / math.prod(source.ratios(grid))

    def look(piece: tuple[slice, slice]) -> None:
        part = doubtful[piece]
        # An undershoot is gone in a finer overview, or nearly so; along the edge of the data, only the image helps.
        exact, known = read(grid[piece], level - 1 if part.sum() < _FEW * tile else 0)
        numbers[piece][part], there[piece][part] = exact[part], known[part]

    pieces = list(_pieces(source, grid, doubtful))
    if len(pieces) < 2 or _is_looking.get():
        for piece in pieces:
            look(piece)
        return
    token = _is_looking.set(True)  # those who look never wait for threads of their own kind
    try:
        coming = [_threads().submit(copy_context().run, look, piece) for piece in pieces]
        try:
            for done in coming:
                done.result()
        finally:
            for later in coming:
                later.cancel()
    finally:
        _is_looking.reset(token)


def _pieces(
    source: RasterSource, grid: GeoBox, doubtful: NDArray[np.bool_], top: int = 0, left: int = 0
) -> Iterator[tuple[slice, slice]]:
    """Yield the boxes around doubtful pixels, each within a tile of the image."""
    rows, cols = np.flatnonzero(doubtful.any(axis=1)), np.flatnonzero(doubtful.any(axis=0))
    if not rows.size:
        return
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
    here, doubtful, top, left = grid[box], doubtful[box], top + box[0].start, left + box[1].start
    cut = _cut(source, here)
    for part in cut or ():
        yield from _pieces(source, here[part], doubtful[part], top + (part[0].start or 0), left + (part[1].start or 0))
    if cut is None:
        yield slice(top, top + here.shape[0]), slice(left, left + here.shape[1])


def _cut(source: RasterSource, grid: GeoBox) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Return the halves of a grid with more of the image than a tile, cut where a tile ends; None: it has no more."""
    everything = slice(None)
    ratios = source.ratios(grid)
    for axis, span in sorted(enumerate(source.spans(grid, 0)), key=lambda one: one[1][0] - one[1][1]):
        side, least, tile = grid.shape[axis], 2 * ratios[axis], (source.tile or (_TILE, _TILE))[axis]
        edge = round((span[0] + span[1]) / 2 / tile) * tile
        if span[0] + least <= edge <= span[1] - least:
            at = round(side * (edge - span[0]) / (span[1] - span[0]))
        elif grid.shape[0] * grid.shape[1] * math.prod(ratios) > _PIECE:
            at = side // 2
        else:
            continue
        if 0 < at < side:
            first, second = slice(at), slice(at, None)
            if axis:
                return (everything, first), (everything, second)
            return (first, everything), (second, everything)
    return None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="look")  # they wait for bytes and for decoders


_is_looking: ContextVar[bool] = ContextVar("looking", default=False)
os.register_at_fork(after_in_child=_threads.cache_clear)
