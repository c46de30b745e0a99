"""Decoded tiles of images, each decoded once, shared by the chunks of a process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache, partial
from typing import Any

from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from numpy.typing import NDArray

from geodes_lab import settings

Pixels = NDArray[Any]
Begin = Callable[[list[int]], Sequence["Future[Pixels]"]]
"""Begins to read and decode the tiles at positions in a list of keys; returns futures of their pixels."""


_FEW = 3 / 8  # of the limit, for what only neighbours share
_OPENED = 4  # the share of the limit that is added for tiles that stay open: a fourth
_LEFT = 0.9  # of the limit, after it was exceeded: removing one tile at a time would cost more than it saves


class Opened:
    """What decoders keep of tiles of which only areas were decoded: the next area of such a tile costs less.

    Parameters
    ----------
    limit
        Bytes to keep, as far as they are told; the least recently used tile is forgotten first. 0: nothing is kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """Return what is kept of a tile; None: nothing."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Hashable, tile: Any, size: int) -> Any:
        """Keep a tile, or tell its size anew; returns the tile that is kept, which another thread may have opened."""
        with self._lock:
            tile, before = self._kept.pop(key, (tile, 0))
            self._kept[key] = tile, size
            self._held += size - before
            while self._held > self.limit and len(self._kept) > 1:
                self._held -= self._kept.popitem(last=False)[1][1]
            return tile

    def drop(self, key: Hashable) -> None:
        """Forget a tile."""
        with self._lock:
            self._held -= self._kept.pop(key, (None, 0))[1]


class Tiles:
    """Decoded tiles, shared by all readers of this process: each is decoded once while it is in the cache.

    Parameters
    ----------
    limit
        Bytes of pixels to keep; the least recently used tile is removed first.
    opened
        See `Opened`.
    """

    def __init__(self, limit: int, opened: int = 0) -> None:
        self._limit = limit
        self.opened = Opened(opened)
        """What decoders keep."""
        self._held = 0
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Hashable, Future[Pixels]] = OrderedDict()
        self.decoded = 0

    def get(self, keys: Sequence[Hashable], begin: Begin) -> list[Pixels]:
        """Return tiles, in the order of their keys.

        Begins all tiles at once that are neither decoded nor being decoded.

        Raises
        ------
        Exception
            Any error of reading or decoding, raised for all who wait for the tile; the next request begins it again.
        """
        mine: list[int] = []
        wanted: list[Future[Pixels]] = []
        with self._lock:
            for number, key in enumerate(keys):
                future = self._tiles.get(key)
                if future is None:
                    future = self._tiles[key] = Future()
                    mine.append(number)
                self._tiles.move_to_end(key)
                wanted.append(future)
        if mine:
            try:
                for number, pixels in zip(mine, begin(mine), strict=True):
                    pixels.add_done_callback(partial(self._settle, keys[number], wanted[number]))
            except BaseException as error:
                for number in mine:
                    self._drop(keys[number], wanted[number], error)
                raise
        return [future.result() for future in wanted]

    def _settle(self, key: Hashable, future: Future[Pixels], done: Future[Pixels]) -> None:
        error = done.exception()
        if error is not None:
            self._drop(key, future, error)
            return
        pixels = done.result()
        with self._lock:
            self.decoded += 1
            self._held += pixels.nbytes
            if self._held > self._limit:
                for old in list(self._tiles):
                    if self._tiles[old].done():
                        self._held -= self._tiles.pop(old).result().nbytes
                    if self._held <= self._limit * _LEFT:
                        break
        future.set_result(pixels)

    def _drop(self, key: Hashable, future: Future[Pixels], error: BaseException) -> None:
        with self._lock:
            self._tiles.pop(key, None)
        if not future.done():
            future.set_exception(error)


def room(memory: int | None) -> int:
    """Return the bytes of decoded tiles that a process keeps.

    The setting, but at most a sixteenth of the memory.
    """
    limit = parse_bytes(settings.get("cache.tiles"))
    return min(limit, memory // 16) if memory else limit


@cache
def _shared() -> Tiles:
    ours = worker()
    if ours:  # the chunks of a cube share the areas of tiles themselves
        return Tiles(room(ours.memory_manager.memory_limit))
    return Tiles(room(None), room(None) // _OPENED)


@cache
def _few() -> Tiles:
    ours = worker()
    return Tiles(int(room(ours.memory_manager.memory_limit if ours else None) * _FEW))


@contextlib.contextmanager
def few() -> Iterator[None]:
    """Within it, `shared` is a smaller cache: for tiles that neighbouring chunks need, and nothing else does.

    In the larger one they would gather, and a computation would hold more memory, the more ground it passes over.
    """
    before = _is_few.set(True)
    try:
        yield
    finally:
        _is_few.reset(before)


@cache
def _decoders() -> ThreadPoolExecutor:
    ours = worker()
    threads = ours.state.nthreads if ours else CPU_COUNT
    return ThreadPoolExecutor(threads, thread_name_prefix="decoder")


def worker() -> Any:
    """Return the Dask worker of this thread; None if there is none."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        with contextlib.suppress(ValueError):
            return get_worker()
    return None


def shared() -> Tiles:
    """Return the tiles of this process; within `few`, those that only neighbours share."""
    with _first:
        return _few() if _is_few.get() else _shared()


def decoders() -> ThreadPoolExecutor:
    """Return the threads that decode: as many as this Dask worker has threads (elsewhere: as the machine has cores).

    They are separate from the threads that compute: while one of those waits for bytes, its core decodes for another.
    """
    with _first:
        return _decoders()


def later(work: Callable[[], None], futures: Sequence[Future[Pixels]]) -> None:
    """Decode in another thread; if the process is ending and has no more threads, the readers get an error."""
    try:
        decoders().submit(work)
    except RuntimeError as error:
        for future in futures:
            future.set_exception(error)


def forget() -> None:
    """Begin without tiles: in a test, and in a child of a fork, which has none of the threads."""
    _shared.cache_clear()
    _few.cache_clear()
    _decoders.cache_clear()


_is_few: ContextVar[bool] = ContextVar("few", default=False)
_first = threading.Lock()  # created once at first use, even if many threads come at once


def _forked() -> None:
    global _first
    _first = threading.Lock()
    forget()


os.register_at_fork(after_in_child=_forked)
