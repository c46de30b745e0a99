"""Who has read how much.

Counted here, handed to the accounts of use every few seconds, kept until they have taken it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

import httpx

_EVERY = 5.0  # seconds


class Tally:
    """Bytes by person and collection, not yet in the accounts.

    Parameters
    ----------
    url, token
        Where the accounts take them, and by which right; without an address they are only counted.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._counted: Counter[tuple[str, str]] = Counter()
        self.refused: dict[str, str] = {}
        """Who has read what the month allows, and the sentence that says so."""

    def add(self, person: str, collection: str, size: int) -> None:
        """Count."""
        self._counted[person, collection] += size

    async def keep_telling(self) -> None:
        """Hand over what was counted, again and again."""
        async with httpx.AsyncClient(timeout=10) as client:
            while True:
                await asyncio.sleep(_EVERY)
                await self.tell(client)

    async def tell(self, client: httpx.AsyncClient) -> None:
        """Hand over what was counted; what the accounts do not take is kept."""
        if not self._url:
            return
        counted, self._counted = self._counted, Counter()
        rows = [{"person": p, "collection": c, "bytes": n} for (p, c), n in counted.items()]
        try:
            answer = await client.post(self._url, json=rows, headers={"Authorization": f"token {self._token}"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self._counted.update(counted)
            logging.getLogger("data").warning("the accounts of use do not answer (%s): kept for later", error)
            return
        with contextlib.suppress(ValueError, KeyError):
            self.refused = dict(answer.json()["refused"])
