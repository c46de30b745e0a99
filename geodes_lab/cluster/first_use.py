"""What starts a cluster at the first computation of a kernel: Dask's setting ``scheduler``, put aside meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask

_starter: Any = None
_meanwhile: Any = None


def put_aside(meanwhile: Callable[..., Any]) -> None:
    """Take it away until the cluster has ended.

    Parameters
    ----------
    meanwhile
        What computes while the cluster starts, if there was a starter. Workers inherit the settings, so it is a
        function that they can import; they take it out (`inherited`).
    """
    global _starter, _meanwhile
    current = dask.config.get("scheduler", None)
    if callable(current) and current is not _meanwhile:
        _starter, _meanwhile = current, meanwhile
    dask.config.set(scheduler=meanwhile if _starter is not None else None)


def put_back() -> None:
    """Let the next computation start another cluster."""
    if _starter is not None and dask.config.get("scheduler", None) in (None, _meanwhile):
        dask.config.set(scheduler=_starter)


def inherited() -> None:
    """In a worker: leave the kernel's starter out, since a step of a computation starts no cluster."""
    if callable(dask.config.get("scheduler", None)):
        dask.config.set(scheduler=None)
