"""Ranges of one object that lie close: one request for several, where the bytes between cost less than requests.

What is cheaper depends on the server, so it is measured while this process reads: how long a small request takes, and
how many bytes come in a second.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache, partial

from dask.utils import parse_bytes

from geodes_lab import settings
from geodes_lab.storage.event_loop import AT_ONCE

MOST = 2**18
"""Bytes of one request for several ranges: larger ones come side by side, and are decoded so."""
_WIDEST = 2**18  # bytes between two ranges, however quick the server
_WORK = 4e-4  # seconds of this process for one request; measured: 363 ranges of 8 KB took 0.12 s
_SMALL, _LARGE = 2**16, 2**20  # bytes of a request that tells a server's time, and of all that tell its rate
_NEWS = 0.3  # how much of a new measurement is believed
_LONG = 1.0  # seconds after which bytes are reckoned up although requests are still running


class Rates:
    """What one server has been measured to do; before that, what the settings of `gl.plan` say.

    The event loop's thread alone writes.
    """

    def __init__(self) -> None:
        self.latency = float(settings.get("plan.latency"))
        """Seconds of a small request."""
        self.bandwidth = float(parse_bytes(settings.get("plan.bandwidth")))
        """Bytes in a second, of all requests together."""
        self._running, self._bytes, self._since = 0, 0, 0.0

    @property
    def gap(self) -> int:
        """Return how many bytes between two ranges cost as much as one more request."""
        return min(int(self.bandwidth * (self.latency / AT_ONCE + _WORK)), _WIDEST)

    def begins(self) -> float:
        """Note that a request begins, and return when."""
        now = time.monotonic()
        if not self._running:
            self._bytes, self._since = 0, now
        self._running += 1
        return now

    def ends(self, began: float, size: int) -> None:
        """Note that a request has ended, and how many bytes came; 0 if it failed."""
        now = time.monotonic()
        self._running, self._bytes = self._running - 1, self._bytes + size
        took, busy = now - began, now - self._since
        if 0 < size <= _SMALL:  # those that waited for others say little
            self.latency = took if took < self.latency else self.latency + _NEWS / 10 * (took - self.latency)
        if self._bytes >= _LARGE and (not self._running or busy > _LONG):
            measured = self._bytes / max(busy - self.latency, busy / 10, 1e-6)
            self.bandwidth += _NEWS * (measured - self.bandwidth)
            self._bytes, self._since = 0, now


@cache
def rates(scheme: str, root: str) -> Rates:
    """Return those of a server."""
    return Rates()


def runs(ranges: Sequence[tuple[int, int]], gap: int, most: int = MOST) -> list[list[int]]:
    """Return which ranges (start, length) one request has: numbers of them, each once, in the order of the object."""
    found: list[list[int]] = []
    first = last = 0
    for number, (start, length) in sorted(enumerate(ranges), key=lambda one: one[1]):
        end = max(last, start + length)
        if found and start <= last + gap and end - first <= most:
            found[-1].append(number)
            last = end
        else:
            found.append([number])
            first, last = start, start + length
    return found


def shared(ranges: Sequence[tuple[int, int]], start: int, whole: Future[bytes]) -> list[Future[bytes]]:
    """Return the futures of ranges within one answer, which begins at ``start``; its error is the error of each."""
    parts: list[Future[bytes]] = [Future() for _ in ranges]

    def give(ranges: Sequence[tuple[int, int]], coming: Future[bytes]) -> None:
        try:
            data = coming.result()
        except BaseException as error:
            for part in parts:
                part.set_exception(error)
            return
        for (at, length), part in zip(ranges, parts, strict=True):
            part.set_result(data[at - start : at - start + length])

    whole.add_done_callback(partial(give, list(ranges)))
    return parts
