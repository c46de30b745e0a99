"""The layers of a cube's graph: reads of chunks, and parts of chunks. Neither has a task before one is asked for.

A cube of a thousand dates has millions of them, most of which nobody computes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from itertools import accumulate, product
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Task, TaskRef
from dask.blockwise import BlockIndex, Blockwise, blockwise
from dask.highlevelgraph import HighLevelGraph, Layer
from numpy.typing import NDArray

from geodes_lab.reading.ahead import Ahead

Sizes = tuple[int, ...]
Key = tuple[Any, ...]


class Reads(Blockwise):
    """A layer that calls a function with the table and the number of a chunk.

    dask's own class does the same for any function and inputs, but takes five times as long per task, and rebuilds
    fused layers.
    """

    @classmethod
    def of(cls, name: str, table: str, numblocks: tuple[int, ...], call: Callable[..., Any]) -> Reads:
        """Make the layer with this name; ``table`` is the key of the first argument."""
        plain = blockwise(call, name, "tyx", table, "", BlockIndex(numblocks), "tyx", numblocks={table: ()})
        layer = cls(
            plain.output, plain.output_indices, plain.task, plain.indices, plain.numblocks, io_deps=plain.io_deps
        )
        layer.table, layer.call = table, call
        return layer

    table: str
    call: Callable[..., Any]

    @property
    def _dict(self) -> dict[Any, Task]:
        if not hasattr(self, "_cached_dict"):
            table, name = TaskRef((self.table,)), self.output
            shape = tuple(self.dims[i] for i in self.output_indices)
            call = Ahead(self.call, self.table, self.output_blocks or None, shape)
            blocks = self.output_blocks or product(*map(range, shape))
            self._cached_dict = {"dsk": {(name, *b): Task((name, *b), call, table, b) for b in blocks}}
        tasks: dict[Any, Task] = self._cached_dict["dsk"]
        return tasks

    def _cull_dependencies(self, output_blocks: Iterable[tuple[int, ...]]) -> dict[Any, set[Any]]:
        return {(self.output, *b): {(self.table,)} for b in output_blocks}

    def _cull(self, output_blocks: set[tuple[int, ...]]) -> Reads:
        layer = copy(self)
        layer.__dict__.pop("_cached_dict", None)
        layer.output_blocks = output_blocks
        return layer


class Parts(Layer):
    """A layer that cuts the chunks of another one in y and x, or puts pieces of neighbours together.

    dask's ``rechunk`` makes all its tasks at once: five million of them, in minutes, for the whole tile of a thousand
    dates.
    """

    def __init__(self, name: str, of: str, times: int, chunks: tuple[Sizes, Sizes], parts: tuple[Sizes, Sizes]) -> None:
        super().__init__()
        self.name, self.of, self.times = name, of, times
        self.pieces = _pieces(chunks[0], parts[0]), _pieces(chunks[1], parts[1])
        self.wanted: Collection[Key] | None = None
        self._tasks: dict[Key, Task] | None = None

    has_legacy_tasks = False
    """None is a plain tuple: dask need not look at all to find that."""

    def is_materialized(self) -> bool:
        """Whether the tasks are made."""
        return self._tasks is not None

    def get_output_keys(self) -> set[Key]:
        """Return the keys of all parts."""
        return set(self._keys())

    def cull(self, keys: set[Key], all_hlg_keys: Collection[Key]) -> tuple[Layer, Mapping[Key, set[Key]]]:
        """Return the layer with those parts alone that are among ``keys``, and the chunks that each needs."""
        layer = copy(self)
        layer.wanted, layer._tasks = {key for key in keys if type(key) is tuple and key[0] == self.name}, None
        return layer, {key: set(task.dependencies) for key, task in layer._made().items()}

    def __getitem__(self, key: Key) -> Task:
        return self._made()[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self.wanted) if self.wanted is not None else self.times * len(self.pieces[0]) * len(self.pieces[1])

    def _keys(self) -> Iterable[Key]:
        if self.wanted is not None:
            return self.wanted
        return product([self.name], range(self.times), *(range(len(p)) for p in self.pieces))

    def _made(self) -> dict[Key, Task]:
        if self._tasks is None:
            self._tasks = {key: self._task(key) for key in self._keys()}
        return self._tasks

    def _task(self, key: Key) -> Task:
        _, time, y, x = key
        rows, cols = self.pieces[0][y], self.pieces[1][x]
        blocks = [TaskRef((self.of, time, r, c)) for r, _ in rows for c, _ in cols]
        return Task(key, _cut_out, [s for _, s in rows], [s for _, s in cols], *blocks)

    def __getstate__(self) -> dict[str, Any]:
        # The scheduler makes the tasks itself: their descriptions are a hundredth as large.
        return self.__dict__ | {"_tasks": None}


def in_parts(array: da.Array, name: str, parts: tuple[Sizes, Sizes]) -> da.Array:
    """Cut the chunks of an array (time, y, x) into parts of these sizes in y and x; nothing is computed."""
    if parts == array.chunks[1:]:
        return array
    layer = Parts(name, array.name, len(array.chunks[0]), array.chunks[1:], parts)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[array])
    return da.Array(graph, name, (array.chunks[0], *parts), dtype=array.dtype)


def _pieces(chunks: Sizes, parts: Sizes) -> list[list[tuple[int, slice]]]:
    """Return, for each part, the numbers of the chunks it lies in, and which of their pixels it has."""
    edges, begin, pieces = list(accumulate(chunks, initial=0)), 0, []
    for size in parts:
        end, of_part = begin + size, []
        number = bisect_right(edges, begin) - 1
        while number < len(chunks) and edges[number] < end:
            first, last = max(begin, edges[number]), min(end, edges[number + 1])
            of_part.append((number, slice(first - edges[number], last - edges[number])))
            number += 1
        pieces.append(of_part)
        begin = end
    return pieces


def _cut_out(rows: list[slice], cols: list[slice], *blocks: NDArray[Any]) -> NDArray[Any]:
    """Put together what a part has of each chunk; of one chunk, a view of it."""
    if len(blocks) == 1:
        return blocks[0][:, rows[0], cols[0]]
    each = iter(blocks)
    return np.concatenate([np.concatenate([next(each)[:, r, c] for c in cols], axis=2) for r in rows], axis=1)
