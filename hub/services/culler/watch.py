"""Which servers must be stopped, and when: without I/O, so that a test can set the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from geodes_lab.policy.servers import Culling
from hub.services.culler.orders import Orders
from hub.services.hubapi import Server

_FRESH = 4.0  # the age at which beats expire, in their own intervals
_BEAT = 30.0  # seconds between two beats of a server, see hub/singleuser/presence.py

Why = Literal["idle", "age", "order"]
"""``order``: an operator stops it."""


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster, as the server of its person reports it."""

    id: str
    name: str
    place: str
    workers: int
    cores: int
    memory: int
    """Bytes of all workers."""
    tasks: int
    """Results that are being computed."""


@dataclass(frozen=True)
class Beat:
    """A server's report on itself."""

    at: datetime
    active: datetime
    """When a person, a kernel, a terminal or Dask was last active there."""
    running: tuple[str, ...] = ()
    """The notebooks with running kernels, and what else would be lost."""
    person: datetime | None = None
    """When somebody last typed or pointed there; None: not since the server started."""
    clusters: tuple[Cluster, ...] = ()
    """The Dask clusters of its kernels."""


@dataclass
class Notice:
    """A warning for a person about a server."""

    why: Why
    stops: datetime
    said: datetime
    """Since when it has been shown."""
    text: str = ""
    """What the operator says of it."""


@dataclass
class Watch:
    """Stores beats and warnings."""

    rules: Culling
    orders: Orders = field(default_factory=Orders)
    beats: dict[tuple[str, str], Beat] = field(default_factory=dict)
    notices: dict[tuple[str, str], Notice] = field(default_factory=dict)

    def look(self, servers: list[Server], now: datetime) -> list[tuple[Server, Why]]:
        """Check all servers; return those to stop now.

        A server is stopped only if its person was warned long enough before; where an operator stops it, for as long as
        the operator chose.
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
            if why is None or (why != "order" and now < stops - warning):
                self.notices.pop(key, None)
                continue
            notice = self.notices.get(key)
            if notice is None or notice.why != why:
                notice = self.notices[key] = Notice(why, stops, now)
            if (order := self.orders.of_server(server)) and why == "order":
                notice.stops, notice.text = stops, order.text
            else:
                # After a restart of this service nobody has been warned: the warning time begins again.
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
        if order := self.orders.of_server(server):
            ends.append((order.stops, "order"))
        if not ends:
            return None, now
        stops, why = min(ends)
        return why, stops

    def active(self, server: Server, now: datetime) -> datetime:
        """Return when a server was last used.

        The server's own report takes precedence: the hub sees requests, and a forgotten tab sends some every few
        seconds.
        """
        beat = self.beats.get((server.person, server.name))
        fresh = beat is not None and (now - beat.at).total_seconds() < _BEAT * _FRESH
        return max(beat.active, server.started) if beat is not None and fresh else max(server.active, server.started)
