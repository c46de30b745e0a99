"""How large the objects of a cube are: as large as wanted if there is enough data, and as memory allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

CHUNK = 512
"""Pixels in y and x: the least that a reader decodes."""
MOST = 2**28
"""Bytes of numbers of one object: it is in memory as a whole when it is written."""
_TILE = 1024  # rows of a tile of Sentinel-2's JPEG 2000: a piece that cuts tiles would decode them twice
_LEVEL = 3  # of zstd: with bits shuffled, 1.8 instead of 1.5 times smaller for reflectance, and quicker


@dataclass(frozen=True)
class Shards:
    """The shapes of an array: (time, y, x)."""

    shape: tuple[int, int, int]
    chunk: tuple[int, int, int]
    shard: tuple[int, int, int]

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """The places of the shards, in order."""
        return list(np.ndindex(*(-(-size // side) for size, side in zip(self.shape, self.shard, strict=True))))

    def window(self, place: tuple[int, int, int]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Return first and last (excluded) time, row and column of a shard, as far as the array goes."""
        spans = [
            (n * side, min((n + 1) * side, size)) for n, side, size in zip(place, self.shard, self.shape, strict=True)
        ]
        return spans[0], spans[1], spans[2]


def choose(shape: tuple[int, int, int], itemsize: int, ratio: float, wanted: int) -> Shards:
    """Choose the shard of an array.

    Parameters
    ----------
    shape
        Times, rows and columns.
    itemsize
        Bytes of a number.
    ratio
        How many times smaller the numbers become.
    wanted
        Bytes that each object should have on disk, the last ones included.

    Returns
    -------
    Shards
        Whole rows of one time, as few as are large enough; where a whole image is too small, several times of it.
    """
    times, rows, cols = shape
    chunk = (1, min(CHUNK, rows), min(CHUNK, cols))
    numbers = math.ceil(wanted * ratio)
    width = _up(cols, chunk[2])
    while itemsize * chunk[1] * width > MOST:
        width = _up(-(-width // 2), chunk[2])
    unit = _TILE if rows > _TILE and itemsize * _TILE * width <= MOST else chunk[1]
    whole = _up(rows, chunk[1])
    for parts in range(max(rows // unit, 1), 0, -1):
        height = min(_up(-(-rows // parts), unit), whole)
        last = rows - (-(-rows // height) - 1) * height
        if itemsize * height * width <= MOST and itemsize * last * min(width, cols) >= numbers:
            return Shards(shape, chunk, (1, height, width))
    height = whole
    while itemsize * height * width > MOST:
        height = _up(-(-height // 2), unit)
    needed, possible = numbers // max(itemsize * rows * cols, 1) + 1, MOST // (itemsize * height * width)
    deep = min(times, needed, max(possible, 1))
    groups = max(times // deep, 1)
    if -(-times // groups) * itemsize * height * width > MOST:
        groups = -(-times // deep)
    return Shards(shape, chunk, (-(-times // groups), height, width))


def codec() -> Any:
    """Return the compressor of zarr-python."""
    from zarr.codecs import BloscCodec

    return BloscCodec(cname="zstd", clevel=_LEVEL, shuffle="bitshuffle")


def ratio(numbers: NDArray[Any]) -> float:
    """Return how many times smaller numbers become, from a part of them."""
    tool = numcodecs.Blosc("zstd", _LEVEL, numcodecs.Blosc.BITSHUFFLE)
    plain = np.ascontiguousarray(numbers)
    return max(plain.nbytes / max(len(tool.encode(plain)), 1), 1.0)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
