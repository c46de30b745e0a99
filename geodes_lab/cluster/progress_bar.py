"""How far a computation of the cluster is.

A bar in a notebook or a terminal once it takes a while, nothing elsewhere.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Iterator
from typing import Any

from distributed.client import futures_of
from distributed.diagnostics.progressbar import ProgressBar

from geodes_lab.util import progress

_PATIENCE = 1.5  # seconds of a computation that nobody needs a bar for


def say(text: str) -> None:
    """Tell the person something that happens beside what they wait for, below the cell that runs."""
    # Without a context of its own: that of a callback is the cell that has made it, which may have ended long ago.
    contextvars.Context().run(print, text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(client: Any, results: Any) -> Iterator[None]:
    """Show a bar for the results that are waited for within, if it takes a while and there is a person to see it."""
    if threading.current_thread() is not threading.main_thread() or not (
        sys.stderr.isatty() or "ipykernel" in sys.modules
    ):
        yield
        return
    watched: list[_Watched] = []
    over = threading.Lock()

    def begin() -> None:
        with over:
            waiting = [f for f in futures_of(results) if f.status == "pending"]
            bar = progress.new("Computing") if waiting and not watched else None
            if bar is not None:
                watched.append(_Watched(waiting, client.scheduler.address, bar))
                client.loop.add_callback(watched[0].listen)

    timer = threading.Timer(_PATIENCE, begin)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with over:
            for one in watched:
                one.bar.end()
                client.loop.add_callback(one.leave)


class _Watched(ProgressBar):
    """What the scheduler says of results, drawn by us.

    Distributed's own bars need widgets, which stay in the notebook's file.
    """

    def __init__(self, futures: list[Any], scheduler: str, bar: progress.Bar) -> None:
        super().__init__(futures, scheduler, interval="500ms")
        self.bar = bar
        self.comm: Any = None  # until it listens

    def leave(self) -> None:
        """Listen no longer: of what was interrupted the scheduler would never say that it is done."""
        if self.comm is not None:
            self.comm.abort()

    def _draw_bar(self, remaining: int, all: int, **said: Any) -> None:
        self.bar.update(all - remaining, all)

    def _draw_stop(self, **said: Any) -> None:
        self.bar.end()
