"""Samples of a complex image between its own: a windowed sinc, first along range and then along azimuth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geodes_lab.products.sentinel1.annotation import Floats

REACH = 8, 6
"""Samples on each side, in range and in azimuth: range has less room between its band and the sampling rate."""
_STEPS = 1024  # places between two samples
_BETA = 4.0, 4.0  # of Kaiser's window

Complex = NDArray[np.complex64]


def resampled(window: Complex, line: Floats, pixel: Floats) -> Complex:
    """Interpolate an image whose spectrum is around zero, as it is without its ramp.

    Parameters
    ----------
    window
        (lines, pixels); no sample that is asked for is nearer to its edge than `REACH`.
    line, pixel
        (n, m) places in the window. From a line to the next, pixels change by little.
    """
    rows, (n, m) = window.shape[0], pixel.shape
    # Each line of the window is brought to the pixels of the line that is made of it.
    first = float(np.median(line - np.arange(n)[:, np.newaxis]))
    maker = np.clip(np.rint(np.arange(rows) - first).astype(int), 0, n - 1)
    along_range = _summed(window.ravel(), pixel[maker], np.arange(rows)[:, np.newaxis] * window.shape[1], 1, 0)
    return _summed(along_range.ravel(), line, np.arange(m)[np.newaxis], m, 1)


def _summed(samples: Complex, place: Floats, origin: NDArray[np.int_], step: int, direction: int) -> Complex:
    """Sum the neighbours of places, with their weights; ``origin`` and ``step`` say where they are in the samples."""
    reach, weights = REACH[direction], _weights(direction)
    whole = np.floor(place)
    between = np.rint((place - whole) * _STEPS).astype(np.int32)
    index = (origin + (whole.astype(np.int64) - reach + 1) * step).astype(np.int64)
    out = np.zeros(place.shape, np.complex64)
    for tap in range(2 * reach):
        out += samples.take(index, mode="clip") * weights[tap].take(between)
        index += step
    return out


@lru_cache
def _weights(direction: int) -> NDArray[np.float32]:
    """Return (taps, places) weights; their sum is one at each place."""
    reach = REACH[direction]
    tap = np.arange(-reach + 1, reach + 1)[:, np.newaxis]
    away = tap - np.arange(_STEPS + 1) / _STEPS
    window = np.i0(_BETA[direction] * np.sqrt(np.clip(1 - (away / reach) ** 2, 0, None)))
    weights = np.sinc(away) * window
    return (weights / weights.sum(axis=0)).astype(np.float32)
