"""What operators have ordered to stop: a server or a Dask cluster, when, and what its person is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from hub.services.culler import kept
from hub.services.hubapi import Server, time


@dataclass(frozen=True)
class Order:
    """An operator's order."""

    person: str
    server: str
    """The name of the server; a person's first server has none."""
    cluster: str
    """The id of the cluster to stop; empty: the server itself."""
    started: str
    """When the server started: a later server of the same name is another one."""
    when: str
    """The ISO time at which it stops."""
    text: str
    by: str

    @property
    def stops(self) -> datetime:
        """When it stops."""
        return time(self.when)


class Orders:
    """All orders that have not been carried out, also after a restart of this service.

    Parameters
    ----------
    file
        Where they are kept; None: only in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        try:
            self._all = [Order(**one) for one in kept.read(file, [])]
        except TypeError:
            self._all = []

    def all(self) -> list[Order]:
        """Return them, the earliest first."""
        return sorted(self._all, key=lambda order: order.stops)

    def add(self, order: Order) -> None:
        """Add one; it replaces an earlier order for the same thing."""
        self._set([*(o for o in self._all if _key(o) != _key(order)), order])

    def withdraw(self, person: str, server: str, cluster: str) -> bool:
        """Remove one; return whether there was one."""
        left = [o for o in self._all if _key(o) != (person, server, cluster)]
        return self._set(left)

    def of_server(self, server: Server) -> Order | None:
        """Return the order to stop a server."""
        key = (server.person, server.name, "")
        return next((o for o in self._all if _key(o) == key and time(o.started) == server.started), None)

    def of_clusters(self, person: str, server: str) -> list[Order]:
        """Return the orders to stop clusters of a server."""
        return [o for o in self._all if o.cluster and (o.person, o.server) == (person, server)]

    def keep(self, servers: list[Server]) -> None:
        """Forget the orders for servers that no longer run."""
        there = {(s.person, s.name, s.started) for s in servers}
        self._set([o for o in self._all if (o.person, o.server, time(o.started)) in there])

    def ended(self, person: str, server: str, clusters: set[str]) -> None:
        """Forget the orders for clusters that a server no longer has."""
        gone = {_key(o) for o in self.of_clusters(person, server) if o.cluster not in clusters}
        self._set([o for o in self._all if _key(o) not in gone])

    def _set(self, orders: list[Order]) -> bool:
        if orders == self._all:
            return False
        self._all = orders
        kept.write(self._file, [asdict(o) for o in orders])
        return True


def _key(order: Order) -> tuple[str, str, str]:
    return order.person, order.server, order.cluster
