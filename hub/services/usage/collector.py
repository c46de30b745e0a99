"""Looks at what runs and how large the homes are, again and again, and writes it into the books."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from hubapi import HubApi, Server

from geodes_lab.policy.lab import Lab
from usage.accounts import Books, Session

_HOMES = 600.0  # seconds between two looks at the homes
_log = logging.getLogger("usage")


class Collector:
    """Fills the books.

    Parameters
    ----------
    lab
        The operator's file: what a profile reserves.
    books
        Where it is written down.
    api
        The hub.
    home_of
        Gives a person's home, where this machine sees the homes.
    """

    def __init__(self, lab: Lab, books: Books, api: HubApi, home_of: Callable[[str], Path] | None = None) -> None:
        self.lab, self.books, self.api = lab, books, api
        self.home_of = home_of
        self.running: list[Server] = []
        self.groups: dict[str, tuple[str, ...]] = {}
        self.looked: datetime | None = None
        """When the hub last answered."""

    async def keep_looking(self) -> None:
        """Go on for as long as the service lives."""
        homes = 0.0
        while True:
            try:
                await self.look(datetime.now(UTC))
                if (now := asyncio.get_running_loop().time()) > homes:
                    homes = now + _HOMES
                    await asyncio.get_running_loop().run_in_executor(None, self.measure)
                    self.books.forget(datetime.now(UTC) - timedelta(seconds=self.lab.usage.keep))
            except (httpx.HTTPError, OSError) as error:
                _log.warning("nothing is counted for now: %s", error)
            except Exception:
                _log.exception("the look failed")
            await asyncio.sleep(self.lab.usage.every)

    async def look(self, now: datetime) -> None:
        """Look once."""
        self.groups, self.running = await self.api.people()
        sessions = []
        for s in self.running:
            profile = self.lab.profiles.get(s.profile)
            cores = profile.cores if profile else float(os.cpu_count() or 1)
            memory = int(profile.memory) if profile else 0
            sessions.append(Session(s.person, s.name, s.started, s.profile, cores, memory, s.groups))
        self.books.saw(sessions, now)
        self.looked = now

    def measure(self) -> None:
        """Look how large the homes are."""
        if self.home_of is None:
            return
        homes = {person: self.home_of(person) for person in self.groups}
        sizes = {person: size(home) for person, home in homes.items() if home.is_dir()}
        self.books.set_storage(sizes, datetime.now(UTC))


def size(folder: Path) -> int:
    """The bytes that a folder takes; what links lead to is not of it."""
    total, left = 0, [str(folder)]
    while left:
        try:
            for entry in os.scandir(left.pop()):
                told = entry.stat(follow_symlinks=False)
                total += told.st_blocks * 512 // (1 if entry.is_dir(follow_symlinks=False) else max(told.st_nlink, 1))
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
        except OSError:
            continue
    return total
