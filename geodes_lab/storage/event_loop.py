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
"""Requests of this process that are under way together."""
_FAREWELL = 2.0  # seconds that requests under way have when the process ends


class Loop(asyncio.SelectorEventLoop):
    """A loop that knows which threads are telling it something.

    obstore tells the loop of each answer from threads of its own. One that waits for the interpreter while this ends
    would abort the whole process, though its work is done (PyO3/pyo3-async-runtimes#40): one in fifty short programs
    ended so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.telling = 0
        self._count = threading.Lock()

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Count the thread that calls, until it is back."""
        with self._count:
            self.telling += 1
        try:
            return super().call_soon_threadsafe(callback, *args, context=context)
        finally:
            with self._count:
                self.telling -= 1

    def close_quietly(self) -> None:
        """Give up what is under way, and wait until no other thread is about to come back."""

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
        time.sleep(0.01)  # from the last word to the end of the call that said it


@cache
def _made_loop() -> Loop:
    made = Loop()
    threading.Thread(target=made.run_forever, name="datalake", daemon=True).start()
    atexit.register(made.close_quietly)
    return made


def loop() -> asyncio.AbstractEventLoop:
    """The loop in which all requests of this process wait.

    In a thread of its own, since readers are plain functions.
    """
    with _first:
        return _made_loop()


@cache
def turns() -> asyncio.Semaphore:
    """Of which each request under way holds one."""
    return asyncio.Semaphore(AT_ONCE)


_first = threading.Lock()  # one loop, though many threads come at once


def _forked() -> None:
    """A child of a fork has none of the threads."""
    global _first
    _first = threading.Lock()
    if _made_loop.cache_info().currsize:
        atexit.unregister(_made_loop().close_quietly)
    for cached in (_made_loop, turns):
        cached.cache_clear()


os.register_at_fork(after_in_child=_forked)
