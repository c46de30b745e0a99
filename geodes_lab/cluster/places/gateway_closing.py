"""Gateways that nobody holds any more are closed in a thread of their own.

dask-gateway closes them in ``__del__``, in whichever thread the garbage collector happens to run. That thread may hold
the lock for which closing waits (``distributed.utils.LoopRunner`` holds it while it starts a thread), or may be the
event loop that closing asks: then it waits for ever, and so does each cluster that starts after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import Any

_abandoned: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()  # its put() is safe in a __del__


@cache
def close_aside() -> None:
    """Change dask-gateway's two classes, once in a process: the user's own gateways are concerned too."""
    from dask_gateway.client import Gateway, GatewayCluster

    for kind in (Gateway, GatewayCluster):
        kind.__del__ = _leaving(kind.__del__)
    threading.Thread(target=_close, name="gateway-closing", daemon=True).start()


def _leaving(close: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda abandoned: _abandoned.put((close, abandoned))


def _close() -> None:
    while True:
        close, abandoned = _abandoned.get()
        try:
            close(abandoned)
        except Exception:  # as in a __del__: nobody is there to be told
            continue
        finally:
            del close, abandoned
