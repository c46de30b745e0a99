"""Decoded tiles of JPEG 2000 bands: read as ranges of bytes, each decoded once, shared by the chunks of a process."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

import imagecodecs
import numpy as np
from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from numpy.typing import NDArray

from geodes_lab import settings
from geodes_lab.datalake import Place, Unreachable
from geodes_lab.index import Index
from geodes_lab.jp2 import SOT, NotUnderstood

# The share of a tile-part that an overview is expected to need, by level; grows where it was too little.
_share = {1: 0.33, 2: 0.09, 3: 0.026, 4: 0.010, 5: 0.006}
_FLOOR = 1_024


class Tiles:
    """Decoded tiles, shared by all readers of this process: each is decoded once while it is here.

    Parameters
    ----------
    limit
        Bytes of pixels to keep; the least recently used goes first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Any, Future[NDArray[Any]]] = OrderedDict()
        self.decoded = 0

    def get(self, index: Index, tiles: Sequence[int], level: int) -> list[NDArray[Any]]:
        """Give tiles, decoding those that nobody has or is decoding; their bytes are read in one go."""
        mine: list[tuple[int, Future[NDArray[Any]]]] = []
        wanted: list[Future[NDArray[Any]]] = []
        with self._lock:
            for tile in tiles:
                key = (index.place, index.first, tile, level)
                future = self._tiles.get(key)
                if future is None:
                    future = self._tiles[key] = Future()
                    mine.append((tile, future))
                self._tiles.move_to_end(key)
                wanted.append(future)
        if mine:
            self._fill(index, mine, level)
        return [f.result() for f in wanted]

    def _fill(self, index: Index, mine: list[tuple[int, Future[NDArray[Any]]]], level: int) -> None:
        try:
            for (_, future), pixels in zip(mine, _decode(index, [t for t, _ in mine], level), strict=True):
                future.set_result(pixels)
                with self._lock:
                    self.decoded += 1
                    self._held += pixels.nbytes
        except BaseException as error:
            with self._lock:
                for tile, future in mine:
                    if not future.done():
                        self._tiles.pop((index.place, index.first, tile, level), None)
                        future.set_exception(error)
            raise
        with self._lock:
            for key in list(self._tiles):
                if self._held <= self._limit:
                    break
                if self._tiles[key].done():
                    self._held -= self._tiles.pop(key).result().nbytes


def _decode(index: Index, tiles: list[int], level: int) -> list[NDArray[Any]]:
    """Read and decode tiles; of an overview the first bytes of each, and more of those where they were too few."""
    share = _share.get(level, 1.0) if level and index.header.prefixes else 1.0
    for last_try in (False, True):
        parts = index.parts(tiles)
        ends = [min(length, max(int(length * share), _FLOOR)) for _, length in parts]
        try:
            data = index.place.read_many([(start, end) for (start, _), end in zip(parts, ends, strict=True)])
        except Unreachable:
            if last_try:
                raise
            data = []  # perhaps beyond the end of an object that has become smaller
        if data and all(d.startswith(struct.pack(">HHH", SOT, 10, t)) for d, t in zip(data, tiles, strict=True)):
            break
        if last_try:
            raise NotUnderstood("tiles are not where the file says")
        index.forget()  # an object of the same name has been replaced since the index was made
    decoded: dict[int, NDArray[Any]] = {}
    missing = list(range(len(tiles)))
    while missing:
        streams = [index.header.alone(tiles[n], data[n], level) for n in missing]
        results = list(_pool().map(_decoded, streams)) if len(streams) > 1 else [_decoded(streams[0])]
        decoded |= {n: r for n, r in zip(missing, results, strict=True) if isinstance(r, np.ndarray)}
        failed = {n: r for n, r in zip(missing, results, strict=True) if not isinstance(r, np.ndarray)}
        for n, error in failed.items():
            if len(data[n]) >= parts[n][1]:
                raise OSError(f"tile {tiles[n]} of the JPEG 2000 does not decode: {error}")
        missing = list(failed)
        # Half as much again of each, all at once; and the next tiles of this process ask for as much from the start.
        more = [
            (parts[n][0] + len(data[n]), min(parts[n][1], len(data[n]) * 3 // 2 + _FLOOR) - len(data[n]))
            for n in missing
        ]
        for n, rest in zip(missing, index.place.read_many(more), strict=True):
            data[n] += rest
        if len(missing) * 4 > len(tiles):
            _share[level] = min(share := share * 1.5, 1.0)
    return [decoded[n] for n in range(len(tiles))]


def _decoded(stream: bytes) -> NDArray[Any] | str:
    """(band, rows, cols), or what the decoder says; it is strict, so what is cut short never decodes."""
    try:
        pixels = imagecodecs.jpeg2k_decode(stream, numthreads=1)
    except imagecodecs.Jpeg2kError as error:
        return str(error)
    return np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[np.newaxis]


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that decode for reads of many tiles: as many as there are cores, however many read."""
    return ThreadPoolExecutor(CPU_COUNT, thread_name_prefix="jpeg2000")


@cache
def shared() -> Tiles:
    """The tiles of this process."""
    return Tiles(parse_bytes(settings.get("cache.tiles")))


@lru_cache(maxsize=4096)
def index_of(place: Place, stored: tuple[int, int] | None, _stamp: int) -> Index:
    """The index of one file, kept in memory; ``_stamp`` is the time of a local file, which may be replaced."""
    return Index(place, stored)


def read(index: Index, rows: tuple[int, int], cols: tuple[int, int], level: int = 0) -> NDArray[Any]:
    """Read a window of the image halved ``level`` times.

    Parameters
    ----------
    index
        Of the file.
    rows, cols
        First and last (excluded) pixel of the halved image.
    level
        How many times halved; at most ``index.header.levels``.

    Returns
    -------
    numpy.ndarray
        (band, rows, cols), in the file's own integers.
    """
    header = index.header
    if level > header.levels or (level and not header.prefixes):
        raise NotUnderstood(f"no overview {level} at the beginning of its tiles")
    down, across = (size >> level for size in header.tile)
    wide = header.grid[1]
    if header.grid == (1, 1):  # a tile larger than the image
        down, across = -(-header.size[0] // (1 << level)), -(-header.size[1] // (1 << level))
    places = [
        (r, c)
        for r in range(rows[0] // down, -(-rows[1] // down))
        for c in range(cols[0] // across, -(-cols[1] // across))
    ]
    out: NDArray[Any] | None = None
    for (r, c), pixels in zip(places, shared().get(index, [r * wide + c for r, c in places], level), strict=True):
        if out is None:
            out = np.empty((pixels.shape[0], rows[1] - rows[0], cols[1] - cols[0]), pixels.dtype)
        top, left = r * down, c * across
        y0, y1 = max(top, rows[0]), min(top + pixels.shape[1], rows[1])
        x0, x1 = max(left, cols[0]), min(left + pixels.shape[2], cols[1])
        out[:, y0 - rows[0] : y1 - rows[0], x0 - cols[0] : x1 - cols[0]] = pixels[
            :, y0 - top : y1 - top, x0 - left : x1 - left
        ]
    assert out is not None
    return out
