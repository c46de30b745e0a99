"""The engine: it looks at sources, fetches and stores what is new, enters it in the catalogue, and begins again."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from geodes_lab.acquisition import carrying, destination, news, sources, status
from geodes_lab.acquisition.carrying import Carried, Carrying
from geodes_lab.acquisition.cataloguing import Cataloguing
from geodes_lab.acquisition.converting import Converting, Rules
from geodes_lab.acquisition.identity import Identity, identify
from geodes_lab.acquisition.ledger.alive import kept
from geodes_lab.acquisition.ledger.conversions import Conversions
from geodes_lab.acquisition.ledger.entries import Entries
from geodes_lab.acquisition.ledger.leases import Leases
from geodes_lab.acquisition.ledger.looks import Looks
from geodes_lab.acquisition.ledger.tables import Database, folder_of_work
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.settings.config import Config
from geodes_lab.acquisition.sources import Request, Source
from geodes_lab.acquisition.telling.webhook import Webhook
from geodes_lab.errors import GeodesError
from geodes_lab.storage.whole_object.stop import Stop, Stopped
from geodes_lab.util import faults

log = logging.getLogger("geodes_lab.acquisition")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_GATHER = 20  # products that come into the catalogue together, if there are so many


@dataclass
class Result:
    """What one round did."""

    found: int = 0
    stored: int = 0
    bytes: int = 0
    catalogued: int = 0
    converted: int = 0
    removed: int = 0
    postponed: int = 0
    refused: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Sources that could not be read, each with a sentence."""

    def add(self, carried: Carried) -> None:
        """Count one product."""
        self.stored, self.bytes = self.stored + carried.stored, self.bytes + carried.bytes
        self.postponed, self.refused = self.postponed + carried.postponed, self.refused + carried.refused


class Engine:
    """One engine; several may share a state in PostgreSQL, or the SQLite of one machine.

    Parameters
    ----------
    config
        Its settings.
    stop
        Ends it soon; what is under way stays as it is, and is continued by the next one.
    given
        Sources, instead of those that the settings describe.
    """

    def __init__(self, config: Config, stop: Stop | None = None, given: Mapping[str, Source] | None = None) -> None:
        self.config, self.stop = config, stop or Stop()
        self.area, room = _area(config), int(config.room)
        self.database = Database(config.state)
        self.looks, self.entries = Looks(self.database), Entries(self.database)
        self.leases = Leases(self.database, float(config.schedule.lease))
        self.work = folder_of_work(config.state)
        self.sources = given or {name: sources.opened(name, settings) for name, settings in config.sources.items()}
        self.destination = destination.of(config.destination, room)
        self.carrying = Carrying(
            carrying.Rules(self.area, config.schedule, room), self.sources, self.leases, self.looks, self.destination,
            self.work, self.stop,
        )  # fmt: skip
        self.catalogue = Cataloguing(self.entries, config.catalogue, config.collections)
        wanted = {name: w for name, w in config.collections.items() if w.convert is not None}
        rules = Rules(wanted, float(config.schedule.retry), config.schedule.attempts, room)
        self.converting = Converting(rules, Conversions(self.leases), self.destination, self.work)
        self.webhook = Webhook(self.database, config.webhook) if config.webhook else None
        if self.webhook:
            self.webhook.begin()
        self._lock = threading.Lock()

    def run(self, until: float | None = None) -> Result:
        """Look once, and work until nothing waits.

        What has to wait for its next attempt is left; the next call takes it up. After ``until``, a time of the
        monotonic clock, no other conversion is begun.
        """
        result = Result()
        self.look(result)
        self.carry(result)
        self.convert(result, until)
        self.tidy(result)
        return result

    def watch(self, told: Callable[[Result], None] = lambda result: None) -> None:
        """Look again and again, until the engine is stopped; a full disk, or a database that fails, is waited for."""
        with contextlib.suppress(Stopped), self._listening() as metrics:
            while True:
                began = time.monotonic()
                try:
                    told(self.run(began + float(self.config.schedule.every)))
                    if metrics is not None:
                        metrics.update(self.database)
                except (GeodesError, OSError) as error:
                    if isinstance(error, OSError) and error.errno not in _FULL:
                        raise
                    log.error("This round failed, and the next one goes on: %s", error)
                    self.stop.wait(max(float(self.config.schedule.retry), 1.0))
                    continue
                due = began + float(self.config.schedule.every) - time.monotonic()
                earliest = self.leases.next_time()
                if earliest is not None:
                    due = min(due, earliest - time.time())
                self.stop.wait(max(due, 1.0))

    @contextlib.contextmanager
    def _listening(self) -> Iterator[status.Metrics | None]:
        if self.config.metrics_listen is None:
            yield None
            return
        with contextlib.closing(status.Metrics(self.config.metrics_listen)) as metrics:
            yield metrics

    def look(self, result: Result) -> None:
        """Ask each source what is new, and record it."""
        for name, wanted in self.config.collections.items():
            self.stop.check()
            position, hold = self.looks.position(wanted.source, name)
            if hold > time.time():
                continue
            request = Request(
                name,
                wanted,
                self.area,
                self.config.period.start,
                self.config.period.end,
                float(self.config.schedule.overlap),
                lambda source=wanted.source, name=name: self.looks.known(source, name),  # type: ignore[misc]
                lambda after, most, source=wanted.source, name=name: self.looks.known(source, name, after, most),  # type: ignore[misc]
            )
            try:
                for page in self.sources[wanted.source].look(request, position):
                    self.stop.check()
                    faults.reach("look.answered")
                    result.found += self.looks.record(wanted.source, name, *self._understood(page))
                    faults.reach("look.recorded")
                    self.sources[wanted.source].acknowledge(page)
                    faults.reach("look.acknowledged")
            except GeodesError as error:
                log.warning("%s", error)
                result.failed[wanted.source] = str(error)
                self.looks.failed(wanted.source, name, str(error))

    def carry(self, result: Result) -> None:
        """Fetch, verify and store all that waits; enter it in the catalogue."""
        try:
            with ThreadPoolExecutor(self.config.parallel, thread_name_prefix="acquire") as pool:
                workers = [pool.submit(self._worker, result) for _ in range(self.config.parallel)]
                for worker in workers:
                    worker.result()
        finally:
            # What is whole is entered, even if the engine was stopped.
            self._enter(result)

    def convert(self, result: Result, until: float | None = None) -> None:
        """Convert products that are in the catalogue, and enter their Items once more; see `Converting`."""
        try:
            result.converted, refused = self.converting.run(self.stop, until)
            result.refused += refused
        finally:
            with self._lock:
                self.catalogue.enter()

    def tidy(self, result: Result) -> None:
        """Remove what was superseded long enough ago, and what dead engines left; write news and metrics."""
        left = {p: int(m[1]) for p in self.work.iterdir() if (m := re.match(r"(\d+)\.", p.name))}
        gone = self.leases.not_waiting(sorted(set(left.values()))) if left else set()
        for path in (p for p, number in left.items() if number in gone):
            path.unlink(missing_ok=True)
        kept = self.config.retention.superseded
        if kept is not None:
            result.removed += self.catalogue.remove_superseded(time.time() - float(kept), self.destination)
        if self.config.news is not None:
            news.write(self.database, self.config.news)
        if self.webhook is not None:
            self.webhook.send(self.stop.check)
        if self.config.metrics is not None:
            status.write_metrics(self.database, self.config.metrics)

    def _worker(self, result: Result) -> None:
        done = 0
        while True:
            try:
                self.stop.check()
            except Stopped:
                return
            task = self.leases.take()
            if task is None:
                return
            faults.reach("work.taken")
            with kept(lambda task=task: self.leases.renew(task), self.leases.seconds) as check:  # type: ignore[misc]
                carried = self.carrying.one(task, check)
            with self._lock:
                result.add(carried)
            done += carried.stored
            if done >= max(_GATHER // self.config.parallel, 1):
                done = 0
                self._enter(result)

    def _enter(self, result: Result) -> None:
        with self._lock:
            result.catalogued += self.catalogue.enter()

    def _understood(self, page: Page) -> tuple[Page, list[tuple[Publication, Identity]]]:
        """Tell the products of a page, without those that are not wanted."""
        several, refused = list[tuple[Publication, Identity]](), list(page.refused)
        for publication in page.published:
            try:
                identity = identify(publication.name, publication.properties)
            except GeodesError as error:
                refused.append((publication.id, str(error)))
                continue
            if self._is_wanted(identity, publication):
                several.append((publication, identity))
        return replace(page, refused=tuple(refused)), several

    def _is_wanted(self, identity: Identity, publication: Publication) -> bool:
        period, sensed = self.config.period, identity.sensed
        if sensed is not None and period.start is not None and sensed < period.start:
            return False
        if sensed is not None and period.end is not None and sensed >= period.end:
            return False
        return self.area is None or publication.geometry is None or self.area.intersects(shape(publication.geometry))


def _area(config: Config) -> BaseGeometry | None:
    if config.region is None:
        return None
    if config.region.bbox is not None:
        return box(*config.region.bbox)
    from geodes_lab.vector import shapes

    return shapes.degrees("region.file", config.region.file)
