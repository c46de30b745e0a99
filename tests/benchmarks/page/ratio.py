"""A ratio of two times that noise disturbs: measured in turn until it is known well enough."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

TIGHT = 0.1  # the half of an interval, beside its ratio
_DRAWS = 2000
_FEW, _NEAR = 3, 0.25


@dataclass(frozen=True)
class Measured:
    """Times in turn, and what they say."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """How many times theirs takes longer, of the medians."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the ratio is in nine of ten draws of these pairs (bootstrap, always the same draws)."""
        random_ = random.Random(1)
        pairs = list(zip(self.ours, self.theirs, strict=True))
        found = []
        for _ in range(_DRAWS):
            ours, theirs = zip(*random_.choices(pairs, k=len(pairs)), strict=True)
            found.append(statistics.median(theirs) / statistics.median(ours))
        found.sort()
        return found[_DRAWS // 20], found[-_DRAWS // 20]

    def is_tight(self, goal: float) -> bool:
        """Whether more pairs would hardly change what the ratio says of a goal."""
        low, high = self.interval
        return high - low <= 2 * TIGHT * self.ratio or (high - low <= self.ratio / 2 and not low <= goal <= high)

    def met(self, goal: float) -> str:
        """Whether at least the goal is reached; in doubt where the interval has it within, or a few pairs are near it."""
        low, high = self.interval
        if len(self.ours) < _FEW and abs(self.ratio / goal - 1) < _NEAR:
            return "in doubt"
        return "yes" if low >= goal else "no" if high < goal else "in doubt"


def in_turn(
    ours: Callable[[int], float], theirs: Callable[[int], float], goal: float, least: int, most: int, seconds: float
) -> Measured:
    """Measure pairs until the ratio is tight: at least and at most so many, and no more begun after some seconds.

    Both get the number of the pair. Which comes first alternates.
    """
    began, mine, other = time.monotonic(), list[float](), list[float]()
    for number in range(most):
        if number % 2:
            second = theirs(number)
            mine.append(ours(number))
            other.append(second)
        else:
            mine.append(ours(number))
            other.append(theirs(number))
        if number + 1 >= least:
            found = Measured(mine, other)
            if found.is_tight(goal) or time.monotonic() - began > seconds:
                break
    return Measured(mine, other)
