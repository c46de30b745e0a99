"""The progress of a long task: a bar in a terminal or a notebook, nothing elsewhere."""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from dask.utils import format_bytes, format_time

from geodes_lab.errors import shown

_EVERY = 0.25  # seconds between two updates in a notebook


class Bar(Protocol):
    """A bar that disappears when the task ends."""

    def update(self, done: float, total: float | None) -> None:
        """Show how much is done, and the total if it is known; from any thread."""

    def end(self) -> None:
        """Remove the bar."""


def new(name: str, in_bytes: bool = False) -> Bar | None:
    """Show a bar where a person can see it; None: nobody can.

    Parameters
    ----------
    name
        The task.
    in_bytes
        Whether the numbers are bytes.
    """
    name = shown(name)
    if _in_notebook():
        return _InNotebook(name, in_bytes)
    return _InTerminal(name, in_bytes) if sys.stderr.isatty() else None


@contextlib.contextmanager
def bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar of bytes; of simultaneous ones, only that of the main thread.

    Yields the function that takes the bytes that are done, and the total if it is known.
    """
    shown = new(name[:60], in_bytes=True) if threading.current_thread() is threading.main_thread() else None
    try:
        yield (lambda done, total: None) if shown is None else shown.update
    finally:
        if shown is not None:
            shown.end()


class _InTerminal:
    """Uses rich."""

    def __init__(self, name: str, in_bytes: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),  # a product's name is not markup of rich
            BarColumn(),
            DownloadColumn() if in_bytes else MofNCompleteColumn(),
        )
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=None)
        self._progress.start()

    def update(self, done: float, total: float | None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def end(self) -> None:
        self._progress.stop()


class _InNotebook:
    """Uses the notebook's own display, which is emptied at the end; a widget would stay in the file."""

    def __init__(self, name: str, in_bytes: bool) -> None:
        from IPython.display import display

        self._name, self._count = html.escape(name), format_bytes if in_bytes else (lambda n: f"{n:,.0f}")
        self._began = self._drawn = time.monotonic()
        self._lock, self._ended = threading.Lock(), False
        self._handle: Any = display(self._drawing(0, None), raw=True, display_id=True)

    def update(self, done: float, total: float | None) -> None:
        with self._lock:
            if not self._ended and time.monotonic() - self._drawn > _EVERY:
                self._drawn = time.monotonic()
                self._handle.update(self._drawing(done, total), raw=True)

    def end(self) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                self._handle.update({"text/plain": "", "text/html": ""}, raw=True)

    def _drawing(self, done: float, total: float | None) -> dict[str, str]:
        passed = time.monotonic() - self._began
        known = f' value="{done:.0f}" max="{total:.0f}"' if total else ""
        of = f"{self._count(done)} of {self._count(total)}" if total else self._count(done) if done else ""
        left = f", {format_time(passed / done * (total - done))} left" if total and done else ""
        words = f"{of}, {format_time(passed)}{left}" if of else format_time(passed)
        return {
            "text/plain": f"{self._name}: {words}",
            "text/html": f"<div><label>{self._name} <progress "
            f'style="width:20em;vertical-align:middle"{known}></progress></label> {words}</div>',
        }


def _in_notebook() -> bool:
    if "ipykernel" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
