"""Checks what runs, again and again, and records it in the accounts."""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta

import httpx

from geodes_lab.policy.lab import Lab
from hub.services.hubapi import HubApi, Server
from hub.services.usage.accounts import Books
from hub.services.usage.costs import written
from hub.services.usage.records import Session

_FORGET = 600.0  # seconds between two searches for expired records
_log = logging.getLogger("usage")


class Collector:
    """Fills the accounts.

    Parameters
    ----------
    lab
        The operator's file, with the resources of each profile.
    books
        The accounts.
    api
        The hub.
    """

    def __init__(self, lab: Lab, books: Books, api: HubApi) -> None:
        self.lab, self.books, self.api = lab, books, api
        self.running: list[Server] = []
        self.groups: dict[str, tuple[str, ...]] = {}
        self.looked: datetime | None = None
        """When the hub last answered."""

    async def keep_looking(self) -> None:
        """Continue for as long as the service lives."""
        forget = 0.0
        while True:
            try:
                await self.look(datetime.now(UTC))
                if (now := asyncio.get_running_loop().time()) > forget:
                    forget = now + _FORGET
                    self.books.forget(datetime.now(UTC) - timedelta(seconds=self.lab.usage.keep))
            except (httpx.HTTPError, OSError) as error:
                _log.warning("usage is not counted at present: %s", error)
            except Exception:
                _log.exception("the measurement failed")
            await asyncio.sleep(self.lab.usage.every)

    async def look(self, now: datetime) -> None:
        """Check once."""
        self.groups, self.running = await self.api.people()
        sessions = []
        for s in self.running:
            profile = self.lab.profiles.get(s.profile)
            cores = profile.cores if profile else float(os.cpu_count() or 1)
            memory = int(profile.memory) if profile else 0
            sessions.append(Session(s.person, s.name, s.started, s.profile, cores, memory, s.groups))
        self.books.saw(sessions, now)
        self.books.keep_storage(self.groups, now)
        self.books.set_tariff(written(self.lab.tariff), now)
        self.looked = now
