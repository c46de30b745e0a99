"""holoviews' ``rasterize``, its compiled code kept for the next kernel: numba takes three seconds of a core for it."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def operation() -> Any:
    """Return ``holoviews.operation.datashader.rasterize``; nothing is compiled now.

    Numba keeps what it compiles of datashader's resampling beside datashader if this account may write there, else in
    the account's own cache, each for its processor and for the version of the file. Where neither can be written, each
    kernel compiles for itself, as without this.
    """
    from datashader import core, resampling
    from holoviews.operation import datashader
    from numba.core.dispatcher import Dispatcher

    axes = core.LinearAxis.mapper, core.LinearAxis.inverse_mapper
    for function in (*vars(resampling).values(), *axes):
        if isinstance(function, Dispatcher):
            try:
                function.enable_caching()
            except RuntimeError:  # there is no such folder
                break
    return datashader.rasterize
