"""What datashader compiles for a map is kept for the next kernel: numba takes three seconds of a core for it."""

from __future__ import annotations

from functools import cache


@cache
def keep() -> None:
    """Have numba keep what it compiles of datashader's resampling, and find what it kept; nothing is compiled now.

    Numba keeps it beside datashader if this account may write there, else in the account's own cache, each for its
    processor and for this version of datashader's file. Where neither can be written, each kernel compiles for itself.
    """
    from datashader import resampling
    from numba.core.dispatcher import Dispatcher

    for function in vars(resampling).values():
        if isinstance(function, Dispatcher):
            try:
                function.enable_caching()
            except RuntimeError:  # no folder
                return
