"""How an engine is doing: what was found, fetched and refused and why, rates, lag, and what is stuck."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from geodes_lab import extras
from geodes_lab.acquisition.ledger.tables import Database, conversions, hooks, looks, products
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant

_MOST = 20  # products of each list
_p = products.c
_STUCK = 2  # attempts after which a product that waits is named


@dataclass(frozen=True)
class Named:
    """One product that needs attention."""

    name: str
    collection: str
    reason: str
    attempts: int


@dataclass(frozen=True)
class Failing:
    """One source that cannot be read."""

    source: str
    reason: str
    seconds: float
    """Since when."""


@dataclass(frozen=True)
class Status:
    """The status of an engine."""

    time: float
    states: dict[str, dict[str, int]]
    """By collection: how many products are in each state."""
    bytes: int
    """Of all products in the datalake."""
    last_hour: tuple[int, int]
    """Products and bytes that came into the catalogue in the last hour."""
    lag: dict[str, float]
    """By collection: seconds since the publication of the oldest product that waits; 0: none does."""
    looked: dict[str, float]
    """By source: seconds since it was read."""
    stuck: list[Named]
    """Products that failed before and wait for another attempt."""
    refused: list[Named]
    failing: list[Failing]
    postponed: list[Named] = field(default_factory=list)
    """Products that wait though nothing is wrong with them: on tape, over a quota, or for room on a disk."""
    converted: dict[str, dict[str, int]] = field(default_factory=dict)
    """By collection: how many conversions are in each state."""
    webhooks: dict[str, str] = field(default_factory=dict)
    """By address: why it could not be told the news the last time; empty: it could."""

    def __str__(self) -> str:
        lines = []
        for collection, states in sorted(self.states.items()):
            counts = ", ".join(f"{n:,} {state}" for state, n in sorted(states.items()))
            lag = self.lag.get(collection, 0.0)
            lines.append(
                f"{collection}: {counts}{f'; the oldest that waits was published {_span(lag)} ago' if lag else ''}"
            )
        for collection, states in sorted(self.converted.items()):
            counts = ", ".join(f"{n:,} {state}" for state, n in sorted(states.items()))
            lines.append(f"{collection}, conversions: {counts}")
        lines.append(f"In the datalake: {self.bytes:,} bytes; in the last hour {self.last_hour[0]:,} products, "
                     f"{self.last_hour[1]:,} bytes.")  # fmt: skip
        lines += [f"{source} was read {_span(seconds)} ago." for source, seconds in sorted(self.looked.items())]
        lines += [f"{f.source} fails since {_span(f.seconds)}: {f.reason}" for f in self.failing]
        lines += [f"Waits: {n.name}: {n.reason}" for n in self.postponed]
        lines += [f"Waits after {n.attempts} attempts: {n.name}: {n.reason}" for n in self.stuck]
        lines += [f"Refused: {n.name}: {n.reason}" for n in self.refused]
        lines += [f"{address} has not all news: {why}" for address, why in self.webhooks.items() if why]
        return "\n".join(lines)


def status(database: Database) -> Status:
    """Read the status."""
    now = time.time()
    here = _p.state.in_(("stored", "done"))
    with database.change() as c:
        states: dict[str, dict[str, int]] = {}
        for row in c.execute(
            sa.select(_p.collection, _p.state, sa.func.count().label("n")).group_by(_p.collection, _p.state)
        ):
            states.setdefault(row.collection, {})[row.state] = row.n
        size = c.execute(sa.select(sa.func.coalesce(sa.func.sum(_p.size), 0)).where(here)).scalar_one()
        hour = c.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_p.size), 0)).where(here, _p.done > now - 3600)
        ).one()
        oldest = c.execute(
            sa.select(_p.collection, sa.func.min(_p.published).label("first"))
            .where(_p.state == "waiting")
            .group_by(_p.collection)
        ).all()
        read = c.execute(
            sa.select(looks.c.source, sa.func.max(looks.c.looked).label("at")).group_by(looks.c.source)
        ).all()
        failing = c.execute(sa.select(looks).where(looks.c.failing_since.is_not(None))).all()
        waits = sa.select(products).where(_p.state == "waiting", _p.attempts >= _STUCK)
        calm = sa.select(products).where(_p.state == "waiting", _p.attempts < _STUCK, _p.reason != "")
        postponed = c.execute(calm.order_by(_p.number).limit(_MOST)).all()
        stuck = c.execute(waits.order_by(_p.attempts.desc()).limit(_MOST)).all()
        converted: dict[str, dict[str, int]] = {}
        with_collection = sa.select(_p.collection, conversions.c.state, sa.func.count().label("n"))
        of_products = with_collection.join(products, _p.number == conversions.c.number)
        for row in c.execute(of_products.group_by(_p.collection, conversions.c.state)):
            converted.setdefault(row.collection, {})[row.state] = row.n
        not_converted = c.execute(
            sa.select(_p.name, _p.collection, conversions.c.reason, conversions.c.attempts)
            .join(products, _p.number == conversions.c.number)
            .where(conversions.c.state == "refused")
            .order_by(_p.number.desc())
            .limit(_MOST)
        ).all()
        told = c.execute(sa.select(hooks.c.address, hooks.c.reason)).all()
        refused = c.execute(
            sa.select(products).where(_p.state == "refused").order_by(_p.number.desc()).limit(_MOST)
        ).all()
    first = {r.collection: instant.utc(r.first) for r in oldest}
    return Status(
        now,
        states,
        int(size),
        (int(hour[0]), int(hour[1])),
        {k: max(now - t.timestamp(), 0.0) for k, t in first.items() if t is not None},
        {r.source: now - r.at for r in read if r.at},
        [Named(r.name, r.collection, r.reason, r.attempts) for r in stuck],
        [Named(r.name, r.collection, r.reason, r.attempts) for r in (*refused, *not_converted)],
        [Failing(r.source, r.failed, now - r.failing_since) for r in failing],
        [Named(r.name, r.collection, r.reason, r.attempts) for r in postponed],
        converted,
        {r.address.partition("?")[0]: r.reason for r in told},
    )


def write_metrics(database: Database, path: Path) -> None:
    """Write a file for Prometheus' node exporter, whole or not at all.

    Raises
    ------
    GeodesError
        If the package for it is missing.
    """
    with extras.needed("The file of metrics"):
        from prometheus_client import write_to_textfile
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), _registry(database))


class Metrics:
    """The metrics at an address, as they were at the end of the last round.

    Parameters
    ----------
    listen
        Host and port; it listens at once, in a thread of its own.

    Raises
    ------
    GeodesError
        If the package for it is missing, or the address cannot be used.
    """

    def __init__(self, listen: str) -> None:
        with extras.needed("The address of metrics"):
            from prometheus_client import start_http_server
        host, _, port = listen.rpartition(":")
        self._now: Any = None
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), registry=self)
        except (OSError, OverflowError) as error:
            raise GeodesError(f"metrics_listen is {listen}, which cannot be used ({error}): choose another.") from error
        self.port: int = self._server.server_port

    def collect(self) -> Iterable[Any]:
        """Return the metrics; prometheus_client calls it for each request."""
        return () if self._now is None else self._now.collect()

    def update(self, database: Database) -> None:
        """Read them anew."""
        self._now = _registry(database)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _registry(database: Database) -> Any:
    from prometheus_client import CollectorRegistry, Gauge

    told, registry = status(database), CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"geodes_acquisition_{name}", text, labels, registry=registry)

    number = gauge("products", "Products by state.", "collection", "state")
    for collection, states in told.states.items():
        for state, count in states.items():
            number.labels(collection, state).set(count)
    turned = gauge("conversions", "Conversions by state.", "collection", "state")
    for collection, states in told.converted.items():
        for state, count in states.items():
            turned.labels(collection, state).set(count)
    lag = gauge("lag_seconds", "Since the publication of the oldest product that waits.", "collection")
    for collection in told.states:
        lag.labels(collection).set(told.lag.get(collection, 0.0))
    looked = gauge("look_timestamp_seconds", "When a source was last read.", "source")
    for source, seconds in told.looked.items():
        looked.labels(source).set(told.time - seconds)
    failing = gauge("source_failing", "1 if a source cannot be read.", "source")
    for source in {*told.looked, *(f.source for f in told.failing)}:
        failing.labels(source).set(any(f.source == source for f in told.failing))
    gauge("webhook_failing", "1 if a webhook could not be told the news.").set(any(told.webhooks.values()))
    gauge("stored_bytes", "Bytes of all products in the datalake.").set(told.bytes)
    gauge("stuck_products", "Products that failed before and wait.").set(len(told.stuck))
    gauge("run_timestamp_seconds", "When the engine last finished a round.").set(told.time)
    return registry


def _span(seconds: float) -> str:
    for unit, factor in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds:.0f} s"
