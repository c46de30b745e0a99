"""Processes that end at a named point, or are killed from outside: forks of one that has imported all and started nothing.

So hundreds of deaths take no longer than what the processes do. For each line it prints the id of a process, and then its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from geodes_lab.util import faults

KILLED = 137


def die_at(point: str, number: int) -> None:
    """End this process when it reaches a point for that time: no handler, no flush, no clean-up."""
    left = number

    def die(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os._exit(KILLED)

    faults.on_reach = die


def forked(live: Callable[..., None]) -> None:
    """Have a fork live for each line, which has its words."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                live(*line.split())
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
