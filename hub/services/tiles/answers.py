"""The last answers, by what was asked of which Items: the same tile is drawn once, for all who may see it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
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

    async def of(self, key: str, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return an answer; made once, even if several ask for it at the same time."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        coming = self._coming.get(key)
        if coming is None:
            coming = asyncio.ensure_future(make())
            self._coming[key] = coming
            coming.add_done_callback(lambda done: self._came(key, done))
        return await asyncio.shield(coming)

    def _came(self, key: str, done: asyncio.Future[Answer]) -> None:
        self._coming.pop(key, None)
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
