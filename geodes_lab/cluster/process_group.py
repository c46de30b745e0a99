"""Worker processes that the terminal's and the notebook's signals do not reach.

Whoever interrupts a computation, by the stop button or by Ctrl-C, signals a whole group of processes: the kernel's, or
the terminal's. A worker that gets it says good-bye to its nanny, the nanny ends, and the cluster has no workers for
ever. So a worker is in a session of its own. Before it can see to that it starts with the signal blocked, as its nanny
has it: a mask is inherited.

It is in ``preload_nanny`` and in ``preload`` of the cluster.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from multiprocessing import resource_tracker
from typing import Any

from geodes_lab.cluster import first_use

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def dask_setup(server: Any) -> None:
    """Called by distributed, in the nanny before it starts its worker, and in the worker's own process."""
    from distributed import Nanny

    if isinstance(server, Nanny):
        # This is the loop of the kernel, whose main thread keeps the signal. What is started from here inherits.
        resource_tracker.ensure_running()  # its start would let the signal through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    else:
        first_use.inherited()
        _leave()


def _leave() -> None:
    """Leave the group of the kernel, and end with it all the same: the signal that kills the group no longer comes."""
    with contextlib.suppress(PermissionError):  # it leads a group already
        os.setsid()
    if sys.platform == "linux":
        # A worker that is stopped, or that holds Python's lock, does not see that the pipe to its nanny is closed.
        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
