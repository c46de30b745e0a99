"""The definition domain of a network: the cells of reflectance that its training spectra fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SLACK = 1e-4  # of a cell: reflectance is stored in steps of 1/260 of a cell or more
_CELLS = 10
"""Cells along each band, between the smallest and the largest reflectance of the training spectra."""


@dataclass(frozen=True, eq=False)
class Domain:
    """An approximate convex hull in eight bands: a grid of ten cells along each, of which some are filled."""

    scale: NDArray[np.float32]
    """(8, 1): cells by reflectance."""
    offset: NDArray[np.float32]
    """(8, 1): so that ``reflectance * scale + offset`` counts cells."""
    is_closed_above: bool
    """Whether a cell has its upper edge, and not its lower."""
    rows: NDArray[np.intp]
    """(10 000,): the row of ``filled`` for the cells of the first four bands; 0 is empty."""
    filled: NDArray[np.bool_]
    """(rows, 10 000): whether a cell is filled, by the cells of the last four bands."""

    @classmethod
    def of(
        cls, minimum: Sequence[float], maximum: Sequence[float], cells: Sequence[str], is_closed_above: bool
    ) -> Domain:
        """Make it from the published tables.

        Parameters
        ----------
        minimum, maximum
            Reflectance of each band, of eight.
        cells
            The filled cells, each as eight digits: the number of the cell along each band, from 0.
        is_closed_above
            See there.
        """
        low, high = np.array(minimum), np.array(maximum)
        scale = _CELLS / (high - low)
        first = np.array([int(c[:4]) for c in cells])
        last = np.array([int(c[4:]) for c in cells])
        known, row = np.unique(first, return_inverse=True)
        rows = np.zeros(10**4, np.intp)
        rows[known] = np.arange(1, len(known) + 1)
        filled = np.zeros((len(known) + 1, 10**4), bool)
        filled[row + 1, last] = True
        return cls(
            scale[:, np.newaxis].astype(np.float32), (-low * scale)[:, np.newaxis].astype(np.float32), is_closed_above,
            rows, filled,
        )  # fmt: skip

    def holds(self, reflectance: NDArray[np.float32], cells: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return whether spectra are in the domain.

        Parameters
        ----------
        reflectance
            (8, n); a spectrum with NaN is in no domain.
        cells
            (8, n): room for the numbers of the cells, which is overwritten.

        Returns
        -------
        numpy.ndarray
            (n,) bool.
        """
        np.multiply(reflectance, self.scale, out=cells)
        np.add(cells, self.offset, out=cells)
        inside: NDArray[np.bool_] = cells.min(axis=0) >= -_SLACK
        inside &= cells.max(axis=0) <= _CELLS + _SLACK
        if self.is_closed_above:
            np.subtract(cells, np.float32(_SLACK), out=cells)
            np.ceil(cells, out=cells)
            np.subtract(cells, 1, out=cells)
            inside &= cells.min(axis=0) >= 0
        else:
            np.floor(cells, out=cells)
        np.minimum(cells, _CELLS - 1, out=cells)
        np.maximum(cells, 0, out=cells)
        # NaN and infinity have no cell.
        first, last = np.where(inside, _PLACES @ cells, 0).astype(np.intp)
        at = self.rows.take(first)
        at *= self.filled.shape[1]
        at += last
        inside &= self.filled.take(at)
        return inside


# The numbers of the cells along four bands, written one after the other: exact in float32.
_PLACES = np.kron(np.eye(2), 10.0 ** np.arange(3, -1, -1)).astype(np.float32)
