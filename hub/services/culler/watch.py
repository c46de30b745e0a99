"""Which servers are to be stopped, and when: pure of I/O, so that its clock can be turned by a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from geodes_lab.policy.lab import Culling
from hub.services.hubapi import Server

_FRESH = 4.0  # beats may be so many of their own intervals old
_BEAT = 30.0  # seconds between two beats of a server, see hub/singleuser/presence.py

Why = Literal["idle", "age"]


@dataclass(frozen=True)
class Beat:
    """What a server says of itself."""

    at: datetime
    active: datetime
    """When a person, a kernel, a terminal or Dask last did something there."""
    running: tuple[str, ...] = ()
    """The notebooks whose kernels run, and what else would be lost."""


@dataclass
class Notice:
    """What a person is told of a server."""

    why: Why
    stops: datetime
    said: datetime
    """Since when it is said."""


@dataclass
class Watch:
    """Remembers beats and notices."""

    rules: Culling
    beats: dict[tuple[str, str], Beat] = field(default_factory=dict)
    notices: dict[tuple[str, str], Notice] = field(default_factory=dict)

    def look(self, servers: list[Server], now: datetime) -> list[tuple[Server, Why]]:
        """Look at all servers; give those that are to be stopped now.

        No one is stopped that was not told long enough before.
        """
        due: list[tuple[Server, Why]] = []
        there = {(s.person, s.name) for s in servers}
        for known in (self.beats, self.notices):
            for gone in [k for k in known if k not in there]:
                del known[gone]
        warning = timedelta(seconds=self.rules.warning)
        for server in servers:
            key = (server.person, server.name)
            why, stops = self._end(server, now)
            if why is None or now < stops - warning:
                self.notices.pop(key, None)
                continue
            notice = self.notices.get(key)
            if notice is None or notice.why != why:
                notice = self.notices[key] = Notice(why, stops, now)
            # After a restart of this service nobody has been told: the time begins anew.
            notice.stops = max(stops, notice.said + warning)
            if now >= notice.stops:
                due.append((server, why))
        return due

    def _end(self, server: Server, now: datetime) -> tuple[Why | None, datetime]:
        ends: list[tuple[datetime, Why]] = []
        if self.rules.idle:
            ends.append((self.active(server, now) + timedelta(seconds=self.rules.idle), "idle"))
        if self.rules.age:
            ends.append((server.started + timedelta(seconds=self.rules.age), "age"))
        if not ends:
            return None, now
        stops, why = min(ends)
        return why, stops

    def active(self, server: Server, now: datetime) -> datetime:
        """When a server was last used.

        What the server itself says goes first: the hub sees requests, and a forgotten tab asks something every few
        seconds.
        """
        beat = self.beats.get((server.person, server.name))
        fresh = beat is not None and (now - beat.at).total_seconds() < _BEAT * _FRESH
        return max(beat.active, server.started) if beat is not None and fresh else max(server.active, server.started)
