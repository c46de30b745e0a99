"""A gateway that nobody holds is closed, whatever the thread holds in which the garbage collector finds it."""

from __future__ import annotations

import gc
import threading
import weakref

import dask_gateway
from distributed.utils import LoopRunner

from geodes_lab.cluster.places import gateway_closing
from tests.support.awaiting import awaited


def test_gateway_is_collected_while_its_thread_starts_a_loop():
    """As seen: a cluster's start created a thread, which collected the gateway of the start that had failed before."""
    gateway_closing.close_aside()
    gateway = dask_gateway.Gateway("http://127.0.0.1:9")
    loop = gateway.loop.asyncio_loop
    held = [gateway]
    gone = weakref.ref(gateway)
    del gateway

    def collect() -> None:
        with LoopRunner._lock:
            held.clear()
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the thread waits for the lock that it holds"
    awaited(loop.is_closed, 30)  # closed all the same, and forgotten
    awaited(lambda: gone() is None, 30)


def test_gateway_is_collected_in_its_own_loop():
    """Closing asks the loop and waits for the answer, which the loop cannot give while it waits."""
    gateway_closing.close_aside()
    gateway = dask_gateway.Gateway("http://127.0.0.1:9")
    loop, held, collected = gateway.loop, [gateway], threading.Event()
    del gateway

    def collect() -> None:
        held.clear()
        gc.collect()
        collected.set()

    loop.add_callback(collect)
    assert collected.wait(30), "the loop waits for itself"
    awaited(loop.asyncio_loop.is_closed, 30)
