"""The border of Sentinel-1 images made before IPF 2.9: low numbers without a measurement, which should be 0.

ESA's method (MPC-0243, "Masking no-value pixels on GRD products"): the border's power is not above the noise. The same
is true of a calm sea in places. So the border is followed from the edge of the image inward, and ends where one in
sixteen pixels is above the noise, which never occurs in a border and always in a sea; if that does not occur near the
edge, nothing is masked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodes_lab.raster.source import Span

SINCE = 2.9
"""The first version of ESA's processor that writes 0."""
_REACH = 3000, 2000  # pixels and lines from the edge that may be border
_LENGTH, _ENOUGH = 64, 4  # of so many pixels so many are above the noise, where it ends
_NEAR = 8  # pixels after the first, one of which is above too: a bright pixel within the border is isolated
_SIDES = 0.1  # of the columns may be border from end to end
_STEP = 128  # lines that are looked at together

Measured = Callable[[Span, Span], NDArray[np.bool_]]
"""Return whether the numbers of some rows and columns are above the noise."""
Limits = tuple[NDArray[np.int64], NDArray[np.int64]]


class Inside(NamedTuple):
    """Where an image begins and ends in each of its columns."""

    first: NDArray[np.int64]
    """Line."""
    last: NDArray[np.int64]
    """Line, excluded."""


def mask(measured: Measured, inside: Inside, rows: Span, cols: Span, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a window of an image is border."""
    first, last = _along_lines(measured, rows, cols, shape[1])
    pixel, line = np.arange(*cols), np.arange(*rows)[:, np.newaxis]
    across = (pixel < first[:, np.newaxis]) | (pixel >= last[:, np.newaxis])
    return across | (line < inside.first[slice(*cols)]) | (line >= inside.last[slice(*cols)])


def inside(measured: Measured, shape: tuple[int, int]) -> Inside:
    """Find the first and the last line of each column: lines are read from both ends, no more than needed."""
    lines, columns = shape
    reach = min(_REACH[1], lines // 4)
    if lines < 2 * _LENGTH:
        return Inside(np.zeros(columns, np.int64), np.full(columns, lines))
    ends = []
    for turned in (False, True):

        def read(span: Span, turned: bool = turned) -> NDArray[np.bool_]:
            if not turned:
                return measured(span, (0, columns))
            return measured((lines - span[1], lines - span[0]), (0, columns))[::-1]

        ends.append(_from_the_top(read, reach, columns))
    return Inside(ends[0], lines - ends[1])


def _from_the_top(read: Callable[[Span], NDArray[np.bool_]], reach: int, columns: int) -> NDArray[np.int64]:
    first = np.full(columns, -1)
    there, top = np.zeros((0, columns), bool), 0  # lines that have been read, from line top
    known = 0
    for bottom in range(_STEP, reach + _STEP + 1, _STEP):
        there = np.concatenate([there, read((known, min(bottom, reach + _LENGTH)))])
        known = top + len(there)
        begins = _begin(there.T)
        new = (first < 0) & (begins >= 0)
        first[new] = begins[new] + top
        if known >= reach + _LENGTH or (first >= 0).mean() > 1 - _SIDES:
            break
        there, top = there[1 - _LENGTH :], known - _LENGTH + 1
    has = np.flatnonzero(first >= 0)
    if not len(has):
        return np.zeros(columns, np.int64)
    # A column at the side may be border from end to end: it begins where its neighbour does.
    return first[has[np.searchsorted((has[1:] + has[:-1]) / 2, np.arange(columns))]]


def _along_lines(measured: Measured, rows: Span, cols: Span, columns: int) -> Limits:
    """Return the first and the last (excluded) pixel of each line."""
    reach = min(_REACH[0], columns // 4)
    count = rows[1] - rows[0]
    first, last = np.zeros(count, np.int64), np.full(count, columns)
    if columns < 2 * _LENGTH:
        return first, last
    if cols[0] < reach:
        first = np.maximum(_begin(measured(rows, (0, reach + _LENGTH))), 0)
    if cols[1] > columns - reach:
        last = columns - np.maximum(_begin(measured(rows, (columns - reach - _LENGTH, columns))[:, ::-1]), 0)
    return first, last


def _begin(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each row, the first pixel that is valid, like enough of those after it; −1: none."""
    count = np.cumsum(np.pad(there, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    behind = count[:, _LENGTH:] - count[:, :-_LENGTH]
    size = behind.shape[1]
    near = count[:, 1 + _NEAR :][:, :size] - count[:, :size] > 1
    begins = there[:, :size] & near & (behind >= _ENOUGH)
    return np.where(begins.any(1), begins.argmax(1), -1)
