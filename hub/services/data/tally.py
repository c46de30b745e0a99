"""Who has read how much.

Counted here, sent to the usage accounts every few seconds, and kept until they have accepted it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

import httpx

_EVERY = 5.0  # seconds


class Tally:
    """Bytes by person and collection that are not yet in the accounts.

    Parameters
    ----------
    url, token
        The accounts' address and token; without an address the bytes are only counted.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._counted: Counter[tuple[str, str]] = Counter()
        self.refused: dict[str, str] = {}
        """Who has read as much as the month allows, with the message."""

    def add(self, person: str, collection: str, size: int) -> None:
        """Count."""
        self._counted[person, collection] += size

    async def keep_telling(self) -> None:
        """Send the counts, again and again."""
        async with httpx.AsyncClient(timeout=10) as client:
            while True:
                await asyncio.sleep(_EVERY)
                await self.tell(client)

    async def tell(self, client: httpx.AsyncClient) -> None:
        """Send the counts; what the accounts do not accept is kept."""
        if not self._url:
            return
        counted, self._counted = self._counted, Counter()
        rows = [{"person": p, "collection": c, "bytes": n} for (p, c), n in counted.items()]
        try:
            answer = await client.post(self._url, json=rows, headers={"Authorization": f"token {self._token}"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._counted.update(counted)
            logging.getLogger("data").warning(
                "the usage service does not answer (%s): the counts are kept for later", error
            )
            return
        with contextlib.suppress(ValueError, KeyError):
            self.refused = dict(answer.json()["refused"])
