"""One product on its way: fetched, verified, stored under its key, and recorded; or refused, or postponed."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geodes_lab.acquisition import fetching, items, keys, verification
from geodes_lab.acquisition.destination import Destination, Taken
from geodes_lab.acquisition.identity import identify
from geodes_lab.acquisition.ledger.leases import LeaseLost, Leases, Task
from geodes_lab.acquisition.ledger.looks import Looks
from geodes_lab.acquisition.settings.config import Schedule
from geodes_lab.acquisition.sources import Source
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage.fetch import Gone, OnTape, QuotaUsedUp
from geodes_lab.storage.whole_object.stop import Stop, Stopped
from geodes_lab.util import faults

log = logging.getLogger("geodes_lab.acquisition")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAPE = 3600.0  # seconds until a product on tape is asked for again
_QUOTA = 300.0  # seconds until a source is asked again that does not say when
_LONGEST = 86400.0  # seconds between two attempts


class OutsideRegion(GeodesError):
    """A product is not where the settings say."""


@dataclass(frozen=True)
class Carried:
    """What became of a product; all 0: another engine has it now, or this one was stopped."""

    stored: int = 0
    bytes: int = 0
    postponed: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Rules:
    """What the settings say of products on their way."""

    area: BaseGeometry | None
    """Where products are wanted, in degrees; None: everywhere."""
    schedule: Schedule
    room: int
    """Bytes that stay free on each disk."""


@dataclass(frozen=True)
class Carrying:
    """Brings products into the datalake; its calls may run side by side."""

    rules: Rules
    sources: Mapping[str, Source]
    leases: Leases
    looks: Looks
    destination: Destination
    work: Path
    """Where products are until they are whole."""
    stop: Stop

    def one(self, task: Task, check: Callable[[], None]) -> Carried:
        """Bring one product into the datalake.

        Parameters
        ----------
        task
            What is leased.
        check
            Raises `LeaseLost` as soon as another engine has it.
        """
        try:
            size = self._bring(task, check)
        except (Stopped, LeaseLost):
            return Carried()
        except QuotaUsedUp as error:
            pause = error.after if error.after is not None else _QUOTA
            self.looks.hold(task.source, pause)
            return self._later(task, str(error), pause, counts=False)
        except OnTape as error:
            return self._later(task, str(error), _TAPE, counts=False)
        except Gone as error:
            with contextlib.suppress(LeaseLost):
                self.leases.withdraw(task, str(error))
            return Carried()
        except fetching.NoRoom as error:
            return self._later(task, str(error), float(self.rules.schedule.retry), counts=False)
        except OutsideRegion as error:
            return self._refuse(task, str(error))
        except (GeodesError, OSError) as error:
            is_full = isinstance(error, OSError) and error.errno in _FULL
            return self._failed(task, error, counts=not is_full)
        return Carried(stored=1, bytes=size)

    def _failed(self, task: Task, error: Exception, *, counts: bool) -> Carried:
        why = shown(str(error)) or type(error).__name__
        log.warning("%s", why)
        if counts and task.attempts + 1 >= self.rules.schedule.attempts:
            return self._refuse(task, why)
        pause = min(float(self.rules.schedule.retry) * 2**task.attempts, _LONGEST)
        return self._later(task, why, pause, counts=counts)

    def _later(self, task: Task, why: str, pause: float, *, counts: bool) -> Carried:
        with contextlib.suppress(LeaseLost):
            self.leases.postpone(task, why, pause, counts=counts)
            return Carried(postponed=1)
        return Carried()

    def _refuse(self, task: Task, why: str) -> Carried:
        with contextlib.suppress(LeaseLost):
            self.leases.refuse(task, why)
            fetching.clear(self._path(task))
            return Carried(refused=1)
        return Carried()

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
            lambda: source.remote(publication), publication, identity, path, self.rules.room, self.stop, show
        )
        about, area = items.described(publication, identity, whole.path), self.rules.area
        if area is not None:
            if not about["geometry"]:
                raise OutsideRegion(f"{identity.name} has no footprint: nothing says whether it is in the region.")
            if not area.intersects(shape(about["geometry"])):
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
        except Taken:
            key = keys.beside(key, checksums[verification.OURS][:16].lower())
            self.destination.put(path, key, look)
        return key
