"""Chunks that a computation will need are read while others wait: each once, no other, and with the same results."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass, field

import dask.array as da
import numpy as np
import pytest
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from geodes_lab.cube import layers
from geodes_lab.reading import ahead

TIMES = 5


@dataclass(eq=False)
class Told:
    """A table of chunks of one number; the first that a task asks for waits until another one has begun."""

    name: str
    size: int | None = 4
    waits: bool = True
    fails: int | None = None
    cube: str = "c"
    begun: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    other: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pixels(self, time: int, y: int, x: int) -> int | None:
        return self.size

    def read(self, block: tuple[int, int, int]) -> NDArray[np.float32]:
        with self.lock:
            self.begun.append(block[0])
            self.threads.add(threading.get_ident())
            is_first = len(self.begun) == 1
        if not is_first:
            self.other.set()
        elif self.waits:
            assert self.other.wait(60), "no other chunk was read meanwhile"
        if block[0] == self.fails:
            raise OSError(f"chunk {block[0]} is damaged")
        return np.full((1, 1, 1), block[0], np.float32)

    def array(self) -> da.Array:
        table = f"table-{self.name}"
        ahead.tables[table] = self
        layer = layers.Reads.of(f"read-{self.name}", table, (TIMES, 1, 1), lambda t, b: t.read(b))
        graph = HighLevelGraph({table: {(table,): self}, layer.output: layer}, {table: set(), layer.output: {table}})
        return da.Array(graph, layer.output, ((1,) * TIMES, (1,), (1,)), dtype="float32")


def computed(told: Told, array: da.Array) -> list[float]:
    """The numbers of an array, by one thread of dask."""
    return array.compute(scheduler="threads", num_workers=1).ravel().tolist()


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    gc.collect()
    assert ahead._held == [0, 0]


def test_while_a_chunk_waits_the_next_are_read_each_once():
    told = Told("a")
    assert computed(told, told.array()) == [0, 1, 2, 3, 4]
    assert sorted(told.begun) == [0, 1, 2, 3, 4]


def test_what_nobody_asked_for_is_not_read():
    told = Told("b")
    assert computed(told, told.array()[1:3]) == [1, 2]
    assert sorted(told.begun) == [1, 2]


def test_the_same_chunk_of_another_variable_is_read_if_it_is_asked_for():
    one, other, third = Told("c1", waits=False), Told("c2", waits=False), Told("c3")
    unasked = third.array()
    assert (one.array()[2:3] + other.array()[2:3]).compute(scheduler="threads", num_workers=1).tolist() == [[[4]]]
    assert (one.begun, other.begun, third.begun) == ([2], [2], [])
    del unasked


@pytest.mark.parametrize("size", [None, ahead._PIXELS + 1], ids=["computed", "large"])
def test_large_chunks_and_those_that_are_computed_are_not_read_ahead(size):
    told = Told("d", size=size, waits=False)
    assert computed(told, told.array()) == [0, 1, 2, 3, 4]
    assert len(told.threads) == 1


def test_without_threads_nothing_is_read_in_a_thread():
    told = Told("e", waits=False)
    assert told.array().compute(scheduler="sync").ravel().tolist() == [0, 1, 2, 3, 4]
    assert told.threads == {threading.get_ident()}


def test_an_error_ahead_is_the_error_of_that_chunk():
    told = Told("f", fails=2)
    with pytest.raises(OSError, match="chunk 2 is damaged"):
        computed(told, told.array())
    assert told.begun.count(2) == 1
