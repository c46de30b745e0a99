"""Enhanced spectral diversity: how late a secondary is, by the overlaps of bursts, where its phase is seen twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geodes_lab.products.sentinel1.annotation import seconds
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.interferogram import cells

_LOOKS = 16, 4  # samples and lines of a cell, whose phases in both bursts are compared
_AT_ONCE, _BLOCK = 64, 8  # cells in range that are computed at once, and that give one estimate
_MOST = 12  # overlaps that are read
_COHERENT = 0.2  # cells with less say nothing
_LEAST = 4  # blocks, for a mean with a spread
_LARGEST = 0.1  # lines: more is no error of an orbit


@dataclass(frozen=True)
class Delay:
    """What spectral diversity found."""

    seconds: float
    """How late the secondary's orbit and clock are; 0 if it was not found."""
    error: float
    """Its standard error in seconds, from the spread of the estimates; NaN if it was not found."""
    overlaps: int
    """How many overlaps of bursts were used."""
    note: str
    """For people."""


def delay(pairs: Sequence[BurstPair]) -> Delay:
    """Estimate the delay from the overlaps of adjacent bursts; their lines are read.

    A secondary that is sampled too late by t has a phase of 2π f t too much, where f is the Doppler frequency of the
    sample; two bursts see their overlap at frequencies that are more than 4 kHz apart. One delay is assumed for all
    bursts: what the ionosphere adds to it changes from place to place and stays.

    References
    ----------
    Prats-Iraola, P., Scheiber, R., Marotti, L., Wollstadt, S., Reigber, A. (2012): TOPS interferometry with TerraSAR-X.
    IEEE Transactions on Geoscience and Remote Sensing 50(8), 3179–3188. https://doi.org/10.1109/TGRS.2011.2178247

    Yagüe-Martínez, N. et al. (2016): Interferometric processing of Sentinel-1 TOPS data. IEEE Transactions on
    Geoscience and Remote Sensing 54(4), 2220–2234. https://doi.org/10.1109/TGRS.2015.2497902
    """
    adjacent = [
        (one, other)
        for one in pairs
        for other in pairs
        if one.primary == other.primary and one.secondary == other.secondary and other.first == one.first + 1
        and other.second == one.second + 1
    ]  # fmt: skip
    if not adjacent:
        return Delay(0.0, float("nan"), 0, "not refined: there are no two adjacent bursts")
    some = [adjacent[n] for n in np.unique(np.linspace(0, len(adjacent) - 1, min(_MOST, len(adjacent))).astype(int))]
    found = [(z, f) for one, other in some for z, f in _blocks(one, other)]
    if len(found) < _LEAST:
        return Delay(0.0, float("nan"), 0, "not refined: the overlaps of the bursts are not coherent enough")
    turned, apart = (np.array(v) for v in zip(*found, strict=True))
    # Roughly by the mean of all, then around it, where no phase is more than half a turn.
    rough = float(np.angle(turned.sum()) / (2 * np.pi * np.average(apart, weights=np.abs(turned))))
    rest = np.angle(turned * np.exp(-2j * np.pi * apart * rough)) / (2 * np.pi * apart)
    weight = np.abs(turned) * apart**2
    mean = float(np.average(rest, weights=weight))
    error = float(np.sqrt((weight**2 * (rest - mean) ** 2).sum()) / weight.sum())
    late, interval = rough + mean, some[0][0].primary.described.annotation.interval
    if abs(late) > _LARGEST * interval or error > _LARGEST * interval / 4:
        found_lines = f"{late / interval:.3f} ± {error / interval:.3f} lines"
        return Delay(0.0, float("nan"), 0, f"not refined: the overlaps say {found_lines}, which no orbit is wrong by")
    note = (
        f"by {len(some)} overlaps of bursts the secondary is {late * 1e6:.2f} ± {error * 1e6:.2f} µs late "
        f"({late / interval:.5f} lines), which was corrected"
    )
    return Delay(late, error, len(some), note)


def _blocks(one: BurstPair, other: BurstPair) -> list[tuple[complex, float]]:
    """Return for each block of an overlap the product of both interferograms, and how many Hz they are apart."""
    about = one.primary.described
    across, down = _LOOKS
    start, next_start = about.bursts[one.first].start, about.bursts[other.first].start
    # The last lines of a burst are the first of the next, which begins this many lines later.
    later = round(float(seconds(next_start, start)) / about.annotation.interval)
    (_, bottom), one_pixels = one.primary.valid(one.first)
    (top, _), other_pixels = other.primary.valid(other.first)
    left, right = max(one_pixels[0], other_pixels[0]), min(one_pixels[1], other_pixels[1])
    lines = top, top + (bottom - later - top) // down * down
    if lines[1] <= lines[0]:
        return []
    ramps = one.primary.ramp(one.first), one.primary.ramp(other.first)
    looking = [replace(pair, looks=_LOOKS) for pair in (one, other)]
    found = []
    line = np.array(sum(lines) / 2)
    for begin in range(left, right - across + 1, _AT_ONCE * across):
        pixels = begin, begin + min(_AT_ONCE, (right - begin) // across) * across
        before = cells(looking[0], (lines[0] + later, lines[1] + later), pixels).normalised
        after = cells(looking[1], lines, pixels).normalised
        both = before * np.conj(after)
        both[~(np.minimum(np.abs(before), np.abs(after)) > _COHERENT)] = 0
        for col in range(0, both.shape[1], _BLOCK):
            if total := complex(both[:, col : col + _BLOCK].sum()):
                pixel = np.array(begin + (col + _BLOCK / 2) * across)
                apart = float(ramps[0].doppler(line + later, pixel) - ramps[1].doppler(line, pixel))
                found.append((total, apart))
    return found
