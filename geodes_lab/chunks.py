"""The chunks of a cube: whole tiles of its files, as many as the worker's memory and the number of chunks allow."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from odc.geo.geobox import GeoBox

from geodes_lab.cluster import Workers
from geodes_lab.source import Source

_TILE = 1024  # pixels, where a file says nothing of its tiles
_LARGEST = 2048  # pixels: beyond, a chunk gains nothing and memory loses
# A thread may spend so much of its memory on one chunk, and on the chunks of all dates of one place, which a reduction
# over time holds at once.
_CHUNK_SHARE, _COLUMN_SHARE = 1 / 64, 1 / 8
_CHUNKS_PER_THREAD = 4  # so many, if they are not small, so that all threads have work and reading overlaps with decoding

Sizes = tuple[tuple[int, ...], tuple[int, ...]]


def choose(grid: GeoBox, source: Source, dates: int, dtype: str, workers: Workers) -> Sizes:
    """Choose chunk sizes in y and x.

    Parameters
    ----------
    grid
        The cube's grid.
    source
        The finest band: its tiles are what costs most to decode.
    dates
        How many slices the cube has.
    dtype
        Of the largest variable.
    workers
        Whose memory counts.
    """
    side = _tile_on(grid, source)
    memory = workers.memory / workers.threads
    pixel = np.dtype(dtype).itemsize
    affordable = math.sqrt(min(memory * _CHUNK_SHARE, memory * _COLUMN_SHARE / max(dates, 1)) / pixel)
    wanted = workers.count * workers.threads * _CHUNKS_PER_THREAD / max(dates, 1)
    busy = math.sqrt(grid.shape[0] * grid.shape[1] / wanted)
    times = max(int(min(affordable, max(busy, _TILE), max(_LARGEST, side)) / side), 1)
    return aligned(grid, source, side * times)


def aligned(grid: GeoBox, source: Source, side: int) -> Sizes:
    """Chunk sizes in y and x whose edges fall on whole chunks counted from the source's first pixel."""
    _, _, c, _, _, f = source.transform
    same = grid.crs.epsg == source.epsg
    starts = (
        (round((grid.affine.f - f) / grid.affine.e), round((grid.affine.c - c) / grid.affine.a)) if same else (0, 0)
    )
    sizes = []
    for start, length in zip(starts, grid.shape, strict=True):
        edges = [0, *range((-start) % side or side, length, side), length]
        sizes.append(tuple(b - a for a, b in pairwise(edges)))
    return sizes[0], sizes[1]


def _tile_on(grid: GeoBox, source: Source) -> int:
    """Pixels of the grid that a tile of the source spans, where that is a whole number and no more than a chunk."""
    tile = max(source.tile or (_TILE, _TILE))
    if grid.crs.epsg != source.epsg:
        return _TILE
    span = tile * abs(source.transform[0]) / abs(grid.affine.a)
    whole = round(span)
    return whole if abs(span - whole) < 1e-6 and 16 <= whole <= _LARGEST else _TILE
