"""Tiles of a burst's cells: the same whatever is asked for, and computed once while they are in the cache."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from geodes_lab.formats import tile_cache
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.interferogram import Complex, cells

_SAMPLES = 128, 4096  # lines and pixels of a tile, at least one cell


def picked(pair: BurstPair, row: NDArray[np.int_], col: NDArray[np.int_]) -> Complex:
    """Return the complex coherence of cells; see `geodes_lab.products.sentinel1.interferometry.interferogram.Cells`.

    Parameters
    ----------
    pair
        The two bursts.
    row, col
        (n,) numbers of cells; not negative.
    """
    out = np.full(row.shape, np.complex64(complex("nan+nanj")))
    high, wide = (max(size // looks, 1) for size, looks in zip(_SAMPLES, reversed(pair.looks), strict=True))
    number = np.stack([row // high, col // wide])
    for down, across in np.unique(number, axis=1).T.tolist():
        here = (number[0] == down) & (number[1] == across)
        out[here] = _tile(pair, down, across, (high, wide))[row[here] - down * high, col[here] - across * wide]
    return out


def _tile(pair: BurstPair, down: int, across: int, size: tuple[int, int]) -> Complex:
    """Return a tile, computed once while it is in the cache."""

    def begin(_: list[int]) -> list[Future[Complex]]:
        done: Future[Complex] = Future()
        lines, pixels = (
            (n * count * looks, (n + 1) * count * looks)
            for n, count, looks in zip((down, across), size, reversed(pair.looks), strict=True)
        )
        done.set_result(cells(pair, lines, pixels).normalised)
        return [done]

    (tile,) = tile_cache.shared().get([(pair, "interferogram", down, across)], begin)
    return tile
