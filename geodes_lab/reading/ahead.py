"""Reads the next chunks of a computation while the present ones wait for bytes.

A thread that computes a chunk waits for the header of its file, then for its tiles, then decodes them: with a server
20 ms away, half of a small computation is waiting. Only chunks that the computation will ask for are read, each once,
a few at a time, in threads of their own; the computation takes the results as they are.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol

from dask.system import CPU_COUNT

from geodes_lab.formats import tile_cache

Block = tuple[int, ...]

_AT_ONCE = max(4, min(2 * CPU_COUNT, 16))
"""Chunks that are read ahead, and not yet taken."""
_PIXELS = 2**24
"""Pixels that all of them may have together, in the files or in the cube, whichever is more: 64 MiB of results."""
_FAR = 4  # chunks along the way of a computation


class Table(Protocol):
    """The part of `geodes_lab.cube.mosaic.Mosaic` that is used here."""

    @property
    def cube(self) -> str:
        """The same for all tables of a cube."""

    def pixels(self, time: int, y: int, x: int) -> int | None:
        """See `geodes_lab.cube.mosaic.Mosaic.pixels`."""


tables: weakref.WeakValueDictionary[str, Table] = weakref.WeakValueDictionary()
"""The tables of this process, by their keys in graphs."""
_live: weakref.WeakSet[Ahead] = weakref.WeakSet()
_lock = threading.RLock()  # a garbage collection may end an Ahead in the midst of another one's work
_held = [0, 0]  # chunks, and their pixels


class Ahead:
    """The reads of one layer of a graph, as the function of its tasks: it lives as long as these.

    On a Dask worker it only calls the function: the next chunks may be another worker's.

    Parameters
    ----------
    call
        Reads a chunk, of a table and the chunk's number.
    table
        The key of the table.
    blocks
        The chunks that the graph has; None: all.
    shape
        The number of all chunks, by axis.
    """

    def __init__(
        self, call: Callable[..., Any], table: str, blocks: Collection[Block] | None, shape: tuple[int, ...]
    ) -> None:
        self.call, self._table, self._blocks, self._shape = call, table, blocks, shape
        self._seen = set[Block]()
        self._coming: dict[Block, tuple[Future[Any], int]] = {}
        self._last: Block | None = None
        self._way = 0, -1  # axis and direction in which the computation goes
        weakref.finalize(self, _end, self._coming).atexit = False
        with _lock:
            _live.add(self)

    def __call__(self, table: Table, block: Block) -> Any:
        """Return a chunk: what was read ahead, or read now."""
        if threading.current_thread() is threading.main_thread() or tile_cache.worker() is not None:
            return self.call(table, block)
        with _lock:
            self._seen.add(block)
            coming = self._coming.pop(block, None)
            if coming is not None:
                _release(coming[1])
            self._note_way(block)
            for layer, mosaic, next_ in list(self._next(table, block)):
                layer._begin(mosaic, next_)
        if coming is None or coming[0].cancel():  # one that has not begun is read by who waits for it
            return self.call(table, block)
        return coming[0].result()

    def __reduce__(self) -> Any:
        return _plain, (self.call,)

    def __dask_tokenize__(self) -> Any:
        return self.call

    def _note_way(self, block: Block) -> None:
        if self._last is not None:
            steps = [(axis, b - a) for axis, (a, b) in enumerate(zip(self._last, block, strict=True)) if a != b]
            if len(steps) == 1:
                self._way = steps[0][0], 1 if steps[0][1] > 0 else -1
        self._last = block

    def _next(self, table: Table, block: Block) -> Iterator[tuple[Ahead, Table, Block]]:
        """Yield chunks that the computation probably needs next."""
        axis, sign = self._way

        def along(direction: int) -> Iterator[tuple[Ahead, Table, Block]]:
            for far in range(1, _FAR + 1):
                yield self, table, (*block[:axis], block[axis] + direction * far, *block[axis + 1 :])

        yield from along(sign)
        for other in list(_live):
            mosaic = tables.get(other._table)
            if other is not self and mosaic is not None and mosaic.cube == table.cube:
                yield other, mosaic, block
        yield from along(-sign)

    def _begin(self, table: Table, block: Block) -> None:
        if block in self._seen or not self._has(block) or _held[0] >= _AT_ONCE:
            return
        pixels = table.pixels(*block)
        if pixels is None or _held[1] + pixels > _PIXELS:
            return
        self._seen.add(block)
        _held[0] += 1
        _held[1] += pixels
        self._coming[block] = _readers().submit(self.call, table, block), pixels

    def _has(self, block: Block) -> bool:
        if self._blocks is not None:
            return block in self._blocks
        return all(0 <= n < size for n, size in zip(block, self._shape, strict=True))


def _plain(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return what another process gets: the function alone."""
    return call


def _release(pixels: int) -> None:
    with _lock:
        _held[0] -= 1
        _held[1] -= pixels


def _end(coming: dict[Block, tuple[Future[Any], int]]) -> None:
    """Give up what no task took, because the computation failed or was stopped."""
    while coming:
        _, (future, pixels) = coming.popitem()
        future.cancel()
        _release(pixels)


@cache
def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ahead")


def _forked() -> None:
    """A child of a fork has none of the threads."""
    global _lock
    _lock = threading.RLock()
    _held[:] = [0, 0]
    _live.clear()
    _readers.cache_clear()


os.register_at_fork(after_in_child=_forked)
