"""The last answers, by what was asked of which Items: the same tile is drawn once, for all who may see it."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

from hub.services.tiles.workers import Answer

_KEPT = 128 * 2**20  # bytes
_LARGEST = 2**21  # of one answer


class Answers:
    """Answers in memory, the least used forgotten first."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._coming: dict[str, asyncio.Future[Answer]] = {}
        self._waiting: Counter[str] = Counter()
        self._begun: set[str] = set()

    async def of(self, key: str, turns: asyncio.Semaphore, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return an answer; made once, even if several ask for it at the same time.

        Whoever no longer wants it cancels this. What nobody wants when its turn comes is not made.

        Parameters
        ----------
        key
            What is asked for.
        turns
            Of who makes it.
        make
            Makes it.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        coming = self._coming.get(key)
        if coming is None:
            coming = asyncio.ensure_future(self._made(key, turns, make))
            self._coming[key] = coming
            coming.add_done_callback(lambda done: self._came(key, done))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(coming)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                if not coming.done() and key not in self._begun:
                    del self._coming[key]
                    coming.cancel()

    async def _made(self, key: str, turns: asyncio.Semaphore, make: Callable[[], Awaitable[Answer]]) -> Answer:
        async with turns:
            self._begun.add(key)
            try:
                return await make()
            finally:
                self._begun.discard(key)

    def _came(self, key: str, done: asyncio.Future[Answer]) -> None:
        if self._coming.get(key) is done:
            del self._coming[key]
        if done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        if answer.status not in (200, 404) or len(answer.body) > _LARGEST:
            return
        self._kept[key] = answer
        self._size += len(answer.body)
        while self._size > self._most:
            _, gone = self._kept.popitem(last=False)
            self._size -= len(gone.body)
