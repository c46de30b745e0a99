"""How far something is that takes a while: a bar in a terminal or a notebook, nothing elsewhere."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar; of those side by side, only that of the main thread.

    Yields what is to be told the bytes that are done, and those of all, if that is known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = (console.is_terminal or console.is_jupyter) and threading.current_thread() is threading.main_thread()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(name[:60], total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
