"""How much freed memory a process keeps: by default glibc keeps more, the larger the blocks are that were freed."""

from __future__ import annotations

import ctypes

import pyarrow

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt(3)
_LARGE = 2**20  # bytes; a larger block goes back to the machine as soon as it is freed


def give_back() -> None:
    """Let large blocks go back to the machine, in a process that handles many of them and lives long.

    Without it, some hundred megabytes of files that pass through stay with the process. Where the C library is another
    one, nothing happens. Arrow then takes its memory from the C library too, since its own pools keep what was freed.
    """
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    mallopt(_ARENA_MAX, 2)
