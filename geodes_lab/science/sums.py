"""Weighted sums of the pixels in zones, which can be added to one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.science.coverage import Coverage


@dataclass
class Sums:
    """Sums over some pixels; of shape (zones, times)."""

    count: NDArray[np.float64]
    total: NDArray[np.float64]
    weight: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    """Of differences from the mean, weighted."""
    least: NDArray[np.float64]
    most: NDArray[np.float64]

    @classmethod
    def empty(cls, zones: int, times: int) -> Sums:
        """Return the sums of no pixel."""
        shape = zones, times
        count, total, weight, mean, squares = (np.zeros(shape) for _ in range(5))
        return cls(count, total, weight, mean, squares, np.full(shape, np.inf), np.full(shape, -np.inf))

    def add(self, rows: NDArray[np.intp], columns: slice, other: Sums) -> None:
        """Add the sums of some zones and times (Chan, Golub and LeVeque 1983: no difference of large squares)."""
        at = (rows, columns)
        weight = self.weight[at] + other.weight
        with np.errstate(invalid="ignore"):
            part = np.where(weight > 0, other.weight / np.where(weight > 0, weight, 1), 0.0)
        step = other.mean - self.mean[at]
        self.squares[at] += other.squares + step**2 * self.weight[at] * part
        self.mean[at] += step * part
        self.weight[at] = weight
        self.count[at] += other.count
        self.total[at] += other.total
        self.least[at] = np.minimum(self.least[at], other.least)
        self.most[at] = np.maximum(self.most[at], other.most)


def of_chunk(block: NDArray[Any], weights: Coverage, fill: float | None) -> Sums:
    """Sums of one chunk."""
    values = np.asarray(block, np.float64).reshape(-1, weights.shares.shape[1])
    valid = np.isfinite(values)
    if fill is not None:
        valid &= values != fill
    rows, pixels = len(weights.row_areas), values.shape[1]
    areas = np.repeat(weights.row_areas, pixels // max(rows, 1))
    partial = Sums.empty(len(weights.zones), len(values))
    for number in range(len(weights.zones)):
        begin, end = weights.shares.indptr[number : number + 2]
        cells, share = weights.shares.indices[begin:end], weights.shares.data[begin:end]
        inside, there = values[:, cells], valid[:, cells]
        shares = np.where(there, share, 0.0)
        area = shares * areas[cells]
        inside = np.where(there, inside, 0.0)
        weight = area.sum(axis=1)
        mean = (area * inside).sum(axis=1) / np.where(weight > 0, weight, 1)
        partial.count[number], partial.total[number] = shares.sum(axis=1), (shares * inside).sum(axis=1)
        partial.weight[number], partial.mean[number] = weight, mean
        partial.squares[number] = (area * (inside - mean[:, np.newaxis]) ** 2).sum(axis=1)
        if len(cells):
            partial.least[number] = np.where(there, inside, np.inf).min(axis=1)
            partial.most[number] = np.where(there, inside, -np.inf).max(axis=1)
    return partial


def together(partials: list[tuple[slice, Coverage, Sums]], zones: int, times: int) -> Sums:
    """Add the sums of all chunks to those of all zones and times."""
    whole = Sums.empty(zones, times)
    for columns, weights, partial in partials:
        whole.add(weights.zones, columns, partial)
    return whole
