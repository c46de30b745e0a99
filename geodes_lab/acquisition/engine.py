"""The engine: it looks at sources, fetches and stores what is new, enters it in the catalogue, and begins again."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from geodes_lab.acquisition import destination, faults, fetching, items, keys, news, sources, status, verification
from geodes_lab.acquisition.cataloguing import Cataloguing
from geodes_lab.acquisition.config import Config
from geodes_lab.acquisition.converting import Converting, Rules
from geodes_lab.acquisition.identity import Identity, identify
from geodes_lab.acquisition.ledger.alive import kept
from geodes_lab.acquisition.ledger.conversions import Conversions
from geodes_lab.acquisition.ledger.entries import Entries
from geodes_lab.acquisition.ledger.leases import LeaseLost, Leases, Task
from geodes_lab.acquisition.ledger.looks import Looks
from geodes_lab.acquisition.ledger.tables import Database, folder_of_work
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.sources import Request, Source
from geodes_lab.acquisition.telling.webhook import Webhook
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage.fetch import Gone, OnTape, QuotaUsedUp
from geodes_lab.storage.whole_object.stop import Stop, Stopped

log = logging.getLogger("geodes_lab.acquisition")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAPE = 3600.0  # seconds until a product on tape is asked for again
_QUOTA = 300.0  # seconds until a source is asked again that does not say when
_LONGEST = 86400.0  # seconds between two attempts
_GATHER = 20  # products that come into the catalogue together, if there are so many


class OutsideRegion(GeodesError):
    """A product is not where the settings say."""


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
        self.area = _area(config)
        self.database = Database(config.state)
        self.looks, self.entries = Looks(self.database), Entries(self.database)
        self.leases = Leases(self.database, float(config.schedule.lease))
        self.work = folder_of_work(config.state)
        self.sources = given or {name: sources.opened(name, settings) for name, settings in config.sources.items()}
        self.destination = destination.of(config.destination, int(config.room))
        self.catalogue = Cataloguing(self.entries, config.catalogue, config.collections)
        wanted = {name: w for name, w in config.collections.items() if w.convert is not None}
        rules = Rules(wanted, float(config.schedule.retry), config.schedule.attempts, int(config.room))
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
            with kept(lambda task=task: self.leases.renew(task), self.leases.seconds) as lost:  # type: ignore[misc]
                done += self._one(task, result, lost)
            if done >= max(_GATHER // self.config.parallel, 1):
                done = 0
                self._enter(result)

    def _one(self, task: Task, result: Result, check: Callable[[], None]) -> int:
        """Bring one product into the datalake; returns 1 if it is there."""
        try:
            size = self._bring(task, check)
        except (Stopped, LeaseLost):
            return 0
        except QuotaUsedUp as error:
            pause = error.after if error.after is not None else _QUOTA
            self.looks.hold(task.source, pause)
            self._later(task, str(error), pause, result, counts=False)
        except OnTape as error:
            self._later(task, str(error), _TAPE, result, counts=False)
        except Gone as error:
            with contextlib.suppress(LeaseLost):
                self.leases.withdraw(task, str(error))
        except fetching.NoRoom as error:
            self._later(task, str(error), float(self.config.schedule.retry), result, counts=False)
        except OutsideRegion as error:
            self._refuse(task, str(error), result)
        except (GeodesError, OSError) as error:
            is_full = isinstance(error, OSError) and error.errno in _FULL
            self._failed(task, error, result, counts=not is_full)
        else:
            with self._lock:
                result.stored, result.bytes = result.stored + 1, result.bytes + size
            return 1
        return 0

    def _failed(self, task: Task, error: Exception, result: Result, *, counts: bool) -> None:
        why = shown(str(error)) or type(error).__name__
        log.warning("%s", why)
        if counts and task.attempts + 1 >= self.config.schedule.attempts:
            self._refuse(task, why, result)
            return
        pause = min(float(self.config.schedule.retry) * 2**task.attempts, _LONGEST)
        self._later(task, why, pause, result, counts=counts)

    def _later(self, task: Task, why: str, pause: float, result: Result, *, counts: bool) -> None:
        with contextlib.suppress(LeaseLost):
            self.leases.postpone(task, why, pause, counts=counts)
            with self._lock:
                result.postponed += 1

    def _refuse(self, task: Task, why: str, result: Result) -> None:
        with contextlib.suppress(LeaseLost):
            self.leases.refuse(task, why)
            fetching.clear(self._path(task))
            with self._lock:
                result.refused += 1

    def _path(self, task: Task) -> Path:
        return self.work / f"{task.number}{items.ending(task.publication)}"

    def _bring(self, task: Task, check: Callable[[], None]) -> int:
        began, publication = time.monotonic(), task.publication
        identity = identify(publication.name, publication.properties)
        path = self._path(task)
        source = self.sources.get(task.source)
        if source is None:
            raise GeodesError(
                f"The source {task.source} of {identity.name} is no longer in the settings: add it again."
            )

        def show(_: int) -> None:
            check()

        whole = fetching.fetch(
            lambda: source.remote(publication), publication, identity, path, int(self.config.room), self.stop, show
        )
        about = items.described(publication, identity, whole.path)
        if self.area is not None:
            if not about["geometry"]:
                raise OutsideRegion(f"{identity.name} has no footprint: nothing says whether it is in the region.")
            if not self.area.intersects(shape(about["geometry"])):
                raise OutsideRegion(f"{identity.name} is outside the region of the settings.")
        key = keys.key(identity, task.collection, items.ending(publication), items.sensed(about))
        check()
        key = self._store(whole.path, key, whole.verified.checksums, check)
        item = items.item(
            publication, identity, task.collection, task.source, about, whole.verified, self.destination.href(key)
        )
        evidence = json.dumps({"verified": whole.verified.evidence, "checksums": whole.verified.checksums})
        self.leases.stored(
            task, identity.with_part(whole.verified.part), key, item, evidence,
            received=whole.received, seconds=time.monotonic() - began, layout=whole.verified.layout,
        )  # fmt: skip
        faults.reach("store.recorded")
        fetching.clear(path)
        return whole.verified.size

    def _store(self, path: Path, key: str, checksums: dict[str, str], check: Callable[[], None]) -> str:
        """Store a product; one with the same name and other bytes gets a key of its own."""

        def look() -> None:
            check()
            self.stop.check()

        try:
            self.destination.put(path, key, look)
        except destination.Taken:
            key = keys.beside(key, checksums[verification.OURS][:16].lower())
            self.destination.put(path, key, look)
        return key


def _area(config: Config) -> BaseGeometry | None:
    if config.region is None:
        return None
    if config.region.bbox is not None:
        return box(*config.region.bbox)
    from geodes_lab.vector import shapes

    return shapes.degrees("region.file", config.region.file)
