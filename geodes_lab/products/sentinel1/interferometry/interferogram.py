"""Interferograms of windows of a burst: what the two passes have in common, and each of their powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.products.sentinel1.interferometry import kernel
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.kernel import REACH
from geodes_lab.products.sentinel1.interferometry.offsets import Offsets, offsets
from geodes_lab.raster.source import Span

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over the samples of each cell."""

    product: Complex
    """The primary times the conjugate of the secondary, without the phase of the geometry."""
    primary: Real
    """Power, in squared digital numbers."""
    secondary: Real
    """Power of the aligned secondary."""

    @property
    def normalised(self) -> Complex:
        """Return the estimate of the complex coherence; NaN where a cell is not complete."""
        power = np.sqrt(self.primary * self.secondary)
        there = power > 0
        return np.where(there, self.product / np.where(there, power, 1), np.complex64(complex("nan+nanj")))


def cells(pair: BurstPair, lines: Span, pixels: Span) -> Cells:
    """Compute the interferogram of some cells.

    The images and the terrain are read.

    Parameters
    ----------
    pair
        The two bursts; its looks are the cells' size.
    lines, pixels
        Lines of the primary burst and pixels, as many as whole cells have.

    Returns
    -------
    Cells
        A cell with a sample that is not valid in both images, or whose height is unknown, is 0.
    """
    across, down = pair.looks
    shape = (lines[1] - lines[0]) // down, down, (pixels[1] - pixels[0]) // across, across
    wanted = _valid(pair, lines, pixels)
    if not wanted.any():
        nothing = np.zeros((shape[0], shape[2]))
        return Cells(nothing.astype(np.complex64), nothing.astype(np.float32), nothing.astype(np.float32))
    primary = pair.primary.read(pair.first, lines, pixels)
    where = offsets(pair, lines, pixels)
    secondary, there = _aligned(pair, where)
    complete = (wanted & there & where.known).reshape(shape).all(axis=(1, 3))

    def summed(values: NDArray[np.generic]) -> NDArray[np.generic]:
        total = values.reshape(shape).sum(axis=(1, 3))
        return np.where(complete, total, np.zeros((), total.dtype))

    return Cells(
        summed(primary * np.conj(secondary)),  # type: ignore[arg-type]
        summed(_power(primary)),  # type: ignore[arg-type]
        summed(_power(secondary)),  # type: ignore[arg-type]
    )


def _power(samples: Complex) -> Real:
    return np.square(samples.real) + np.square(samples.imag)


def _valid(pair: BurstPair, lines: Span, pixels: Span) -> NDArray[np.bool_]:
    """Return whether the primary's samples are valid."""
    (top, bottom), (left, right) = pair.primary.valid(pair.first)
    line, pixel = np.arange(*lines)[:, np.newaxis], np.arange(*pixels)
    return (line >= top) & (line < bottom) & (pixel >= left) & (pixel < right)


def _aligned(pair: BurstPair, where: Offsets) -> tuple[Complex, NDArray[np.bool_]]:
    """Return the secondary's samples at the primary's, turned by the geometry's phase; and whether they are valid."""
    swath = pair.secondary
    (top, bottom), (left, right) = swath.valid(pair.second)
    inside = (where.line >= top + REACH[1]) & (where.line <= bottom - 1 - REACH[1])
    inside &= (where.pixel >= left + REACH[0]) & (where.pixel <= right - 1 - REACH[0])
    line, pixel = np.clip(where.line, top - 1, bottom), np.clip(where.pixel, left - 1, right)
    rows, cols = (
        (int(np.floor(v.min())) - reach, int(np.ceil(v.max())) + reach + 1)
        for v, reach in ((line, REACH[1]), (pixel, REACH[0]))
    )
    ramp, turn = swath.ramp(pair.second), 4 * np.pi / swath.described.tops.wavelength
    window = swath.read(pair.second, rows, cols)
    own = np.arange(*rows, dtype=float)[:, np.newaxis], np.arange(*cols, dtype=float)
    flat = kernel.resampled(window * _unit(-ramp.phase(*own)), line - rows[0], pixel - cols[0])
    # The farther ground delays the secondary's phase, which is added again here.
    return flat * _unit(ramp.phase(line, pixel) + turn * where.farther), inside


def _unit(phase: Floats) -> Complex:
    """Return exp(i phase)."""
    small = np.remainder(phase, 2 * np.pi).astype(np.float32)
    out = np.empty(small.shape, np.complex64)
    np.cos(small, out=out.real)
    np.sin(small, out=out.imag)
    return out
