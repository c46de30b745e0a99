"""The event loop in which all requests of this process wait, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextvars import Context
from functools import cache
from typing import Any

AT_ONCE = 128
"""The number of requests of this process that may run at the same time."""
_FAREWELL = 2.0  # seconds that running requests have when the process ends


class Loop(asyncio.SelectorEventLoop):
    """An event loop that knows which threads are calling it.

    obstore reports each answer from a thread of its own. If such a thread waits for the interpreter while the
    interpreter shuts down, the whole process aborts, although its work is done (PyO3/pyo3-async-runtimes#40): it
    happened in one of fifty short programs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.telling = 0
        self._count = threading.Lock()

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Count the calling thread until it returns."""
        with self._count:
            self.telling += 1
        try:
            return super().call_soon_threadsafe(callback, *args, context=context)
        finally:
            with self._count:
                self.telling -= 1

    def close_quietly(self) -> None:
        """Cancel running requests, and wait until no other thread is in a call."""

        async def give_up() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=_FAREWELL) if others else None

        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(give_up(), self).result(2 * _FAREWELL)
        deadline = time.monotonic() + _FAREWELL
        while self.telling and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)  # from the end of the callback to the end of the call


@cache
def _made_loop() -> Loop:
    event_loop = Loop()
    threading.Thread(target=event_loop.run_forever, name="datalake", daemon=True).start()
    atexit.register(event_loop.close_quietly)
    return event_loop


def loop() -> asyncio.AbstractEventLoop:
    """Return the event loop in which all requests of this process wait.

    It runs in a thread of its own, because readers are synchronous functions.
    """
    with _first:
        return _made_loop()


@cache
def turns() -> asyncio.Semaphore:
    """Return the semaphore that each running request holds."""
    return asyncio.Semaphore(AT_ONCE)


_first = threading.Lock()  # one loop, even if many threads ask for it at once


def _forked() -> None:
    """A child of a fork has none of the threads."""
    global _first
    _first = threading.Lock()
    if _made_loop.cache_info().currsize:
        atexit.unregister(_made_loop().close_quietly)
    for cached in (_made_loop, turns):
        cached.cache_clear()


os.register_at_fork(after_in_child=_forked)
