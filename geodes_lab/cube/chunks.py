"""The chunks of a cube: whole tiles of its files, as many as the worker's memory and the number of chunks allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import dask
import numpy as np
from dask.utils import parse_bytes
from odc.geo.geobox import GeoBox

from geodes_lab import arguments
from geodes_lab.cluster import Workers
from geodes_lab.errors import GeodesError
from geodes_lab.raster.source import RasterSource

_TILE = 1024  # pixels, if a file declares no tiles
_LARGEST = 2048  # pixels: larger chunks bring no speed and cost memory
_SMALL = 1024  # pixels: smaller chunks are not split to occupy more threads
# The fractions of its memory that a thread may use for one chunk, and for the chunks of all dates of one place, which a
# reduction over time holds at once.
_CHUNK_SHARE, _COLUMN_SHARE = 1 / 64, 1 / 8
_WORKING = 0.5  # of its memory, for a reduction: dask writes to disk from 0.6 on
_CHUNKS_PER_THREAD = 4  # so that all threads have work, and reading overlaps with decoding

Sizes = tuple[tuple[int, ...], tuple[int, ...]]
Side = int | Literal["auto"] | tuple[int, ...] | None
Asked = int | Literal["auto"] | Mapping[Any, Side] | None
"""The types of ``chunks=``."""


@dataclass(frozen=True)
class Chunks:
    """The user's request.

    For y and x a side in pixels, -1 for all, a tuple of sizes, or None for automatic ones.
    """

    y: int | tuple[int, ...] | None = None
    x: int | tuple[int, ...] | None = None
    time: int | tuple[int, ...] | None = None
    """None: one slice."""

    @property
    def is_automatic(self) -> bool:
        """Whether y and x are automatic."""
        return self.y is None and self.x is None

    def times(self, count: int) -> tuple[int, ...] | None:
        """Return how many of ``count`` slices each chunk has; None: one.

        Raises
        ------
        GeodesError
            If a tuple of sizes does not match.
        """
        if self.time is None or self.time == 1:
            return None
        if isinstance(self.time, tuple):
            if sum(self.time) != count:
                raise GeodesError(
                    f"The chunks in chunks= add up to {sum(self.time)} slices in time; the cube has {count}."
                )
            return self.time
        each = count if self.time == -1 else min(self.time, count)
        return tuple(min(each, count - n) for n in range(0, count, max(each, 1)))

    def sizes(self, grid: GeoBox, source: RasterSource, automatic: Sizes) -> Sizes:
        """Return the sizes in y and x: edges are multiples of the chunk, counted from the source's first pixel.

        Parameters
        ----------
        grid
            The cube's grid.
        source
            The finest band.
        automatic
            The sizes to use where none are requested.

        Raises
        ------
        GeodesError
            If a tuple of sizes does not match the grid.
        """
        sides = []
        for dim, (name, request) in enumerate((("y", self.y), ("x", self.x))):
            length = grid.shape[dim]
            if request is None:
                sides.append(automatic[dim])
            elif isinstance(request, tuple):
                if sum(request) != length:
                    raise GeodesError(
                        f"The chunks in chunks= add up to {sum(request)} pixels in {name}; the cube has {length}."
                    )
                sides.append(request)
            else:
                sides.append((length,) if request == -1 else _sizes(grid, source, request, request)[dim])
        return sides[0], sides[1]


def asked(chunks: Asked) -> Chunks:
    """Parse ``chunks=`` as xarray does.

    Raises
    ------
    GeodesError
        If it is not valid.
    """
    if not isinstance(chunks, Mapping):
        side = _side("chunks", chunks)
        return Chunks(side, side)
    wrong = [name for name in chunks if name not in ("y", "x", "time")]
    if wrong:
        raise GeodesError(f"chunks= names {wrong[0]!r}, which is not a dimension: a cube has time, y and x.")
    return Chunks(**{str(name): _side(f"chunks[{name!r}]", value) for name, value in chunks.items()})


def _side(name: str, value: Any) -> int | tuple[int, ...] | None:
    if value is None or (isinstance(value, str) and value == "auto"):
        return None
    meaning = "a number of pixels, at least 1; -1 for all, or 'auto'"
    if isinstance(value, (tuple, list)):
        return tuple(arguments.whole(name, one, meaning, 1) for one in value)
    side = arguments.whole(name, value, meaning)
    if side < 1 and side != -1:
        raise GeodesError(f"{name} is {meaning}, not {value!r}.")
    return side


def choose(grid: GeoBox, source: RasterSource, dates: int, dtype: str, workers: Workers) -> Sizes:
    """Choose chunk sizes in y and x.

    Parameters
    ----------
    grid
        The cube's grid.
    source
        The finest band: decoding its tiles costs most.
    dates
        The number of slices.
    dtype
        The dtype of the largest variable.
    workers
        The workers whose memory is used.

    Returns
    -------
    tuple of tuple of int
        Sizes in y and in x; all edges except the grid's own are edges of tiles.
    """
    tile = _tile_on(grid, source)
    thread = workers.memory / workers.threads
    most = min(thread * _CHUNK_SHARE, thread * _COLUMN_SHARE / max(dates, 1)) / np.dtype(dtype).itemsize
    wanted = workers.count * workers.threads * _CHUNKS_PER_THREAD
    for times in range(max(_LARGEST // tile, 1), 0, -1):
        rows, cols = _sizes(grid, source, tile * times, tile)
        enough = len(rows) * len(cols) * dates >= wanted or max(*rows, *cols) <= _SMALL
        if enough and max(rows) * max(cols) <= most:
            return rows, cols
    return _sizes(grid, source, tile, tile)


def pieces(sizes: Sizes, dates: int, dtype: str, workers: Workers) -> Sizes | None:
    """Return parts of the chunks for workers that could not hold a reduction over time; None for others.

    dask then works on pieces of its ``array.chunk-size``, and cuts larger chunks anywhere: a piece spans several
    chunks, and holds all of them. Integer fractions of the chunks stay uncut, if no two of them fit in a piece.
    """
    pixel = max(dates, 1) * np.dtype(dtype).itemsize
    limit = parse_bytes(dask.config.get("array.chunk-size"))
    rows, cols = max(sizes[0]), max(sizes[1])
    if rows * cols * pixel <= limit or reduction(rows * cols * pixel) <= _WORKING * workers.memory / workers.threads:
        return None
    parts = next((n for n in (2, 4) if -(-rows // n) * -(-cols // n) * pixel <= limit), 4)
    largest, side = -(-max(rows, cols) // parts), math.isqrt(limit // pixel)
    return _parted(sizes[0], largest, side), _parted(sizes[1], largest, side)


def reduction(column: int, part: int | None = None) -> int:
    """Return the bytes that a thread needs to reduce a column over time: its chunks, and its work on a piece of them.

    With parts, the next column arrives while the parts of one wait for each other; without, dask's pieces may cut
    across two columns. numpy's median takes five times its input (measured).
    """
    piece = part or min(column, parse_bytes(dask.config.get("array.chunk-size")))
    return (2 if column > piece else 1) * column + 6 * piece


def _parted(sizes: tuple[int, ...], largest: int, side: int) -> tuple[int, ...]:
    """Cut chunks into equal parts.

    dask would join the parts of a chunk at an edge, so it is cut together with its neighbour.
    """
    together: list[int] = []
    for size in sizes:
        if together and min(size, together[-1]) <= side:
            together[-1] += size
        else:
            together.append(size)
    parts = []
    for size in together:
        count = -(-size // largest)
        while count > 1 and 2 * size // count <= side:
            count -= 1
        edges = [round(n * size / count) for n in range(count + 1)]
        parts += [b - a for a, b in pairwise(edges)]
    return tuple(parts)


def _sizes(grid: GeoBox, source: RasterSource, side: int, tile: int) -> Sizes:
    """Return chunks of ``side`` pixels, counted from the edge of the tile where the grid begins."""
    _, _, c, _, _, f = source.transform
    same = grid.crs.epsg == source.epsg
    starts = (
        (round((grid.affine.f - f) / grid.affine.e), round((grid.affine.c - c) / grid.affine.a)) if same else (0, 0)
    )
    sizes = []
    for start, length in zip(starts, grid.shape, strict=True):
        first = -(start % tile)
        edges = [0, *(e for e in range(first + side, length, side) if e > 0), length]
        sizes.append(tuple(b - a for a, b in pairwise(edges)))
    return sizes[0], sizes[1]


def _tile_on(grid: GeoBox, source: RasterSource) -> int:
    """Return the grid pixels that a tile of the source spans, if that is an integer and at most a chunk."""
    tile = max(source.tile or (_TILE, _TILE))
    if grid.crs.epsg != source.epsg:
        return _TILE
    span = tile * abs(source.transform[0]) / abs(grid.affine.a)
    if abs(tile * abs(source.transform[4]) / abs(grid.affine.e) - span) > 1e-6:
        return _TILE
    whole = round(span)
    return whole if abs(span - whole) < 1e-6 and 16 <= whole <= _LARGEST else _TILE
