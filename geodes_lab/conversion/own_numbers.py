"""The numbers that a band's own file has, neither masked nor scaled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import window

ROWS = 1024
"""Rows that are read at once; as many as a tile of Sentinel-2's JPEG 2000 has."""
_AHEAD = 2  # strips: one leaves cores idle while its last tiles are decoded; more would only take memory


def of(source: RasterSource, kind: str) -> RasterSource:
    """Return a band whose measure is its file's own number.

    Raises
    ------
    GeodesError
        If its numbers are of 8 bytes, which nothing wider could be compared with.
    """
    if np.dtype(kind).kind in "iu" and np.dtype(kind).itemsize > 4:
        raise GeodesError(f"Band {source.band} of {source.product} has numbers of 8 bytes: they cannot be compared.")
    # Wider than all other numbers: what ``kind`` cannot hold is seen, and neither wrapped nor rounded.
    return replace(source, dtype="float64", scale=1.0, offset=0.0, nodata=None, saturated=None)


def strips(numbers: RasterSource, kind: str) -> Iterator[NDArray[Any]]:
    """Read a whole band of `of` in strips of `ROWS` rows; while one is used, the next two are read.

    Raises
    ------
    GeodesError
        As `read`.
    """
    rows, cols = numbers.shape
    tops = iter(range(0, rows, ROWS))
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="strips") as pool:

        def begin(top: int) -> Future[NDArray[Any]]:
            return pool.submit(read, numbers, kind, (top, min(top + ROWS, rows)), (0, cols))

        coming = deque(begin(top) for top in islice(tops, _AHEAD))
        try:
            while coming:
                strip = coming.popleft().result()
                coming += [begin(top) for top in islice(tops, 1)]
                yield strip
        finally:
            for one in coming:
                one.cancel()


def read(numbers: RasterSource, kind: str, rows: Span, cols: Span) -> NDArray[Any]:
    """Read a window of a band of `of`.

    Raises
    ------
    GeodesError
        If the file cannot be read, ends early, or has numbers that ``kind`` cannot hold.
    """
    values, there = window.read(numbers, numbers.geobox[rows[0] : rows[1], cols[0] : cols[1]])
    if not there.all():
        raise GeodesError(
            f"Band {numbers.band} of {numbers.product} has no numbers in {int((~there).sum())} of its pixels below row "
            f"{rows[0]}: its file is smaller than its metadata say. Fetch the product again."
        )
    with np.errstate(invalid="ignore"):
        strip: NDArray[Any] = values.astype(kind)
    # NaN is no number of an integer type, and is refused; looking for it would take longer than all the rest.
    same = np.array_equal(strip, values, equal_nan=True) if strip.dtype.kind == "f" else bool((strip == values).all())
    if not same:
        raise GeodesError(
            f"Band {numbers.band} of {numbers.product} has numbers that {kind}, the type that its metadata name, "
            "cannot hold: it was not converted. Correct data_type in its Item."
        )
    return strip
