"""Whoever a job names is told of its begin and its end: only at sites that the operator allows, never by a redirect."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa

from geodes_lab.batch.store.records import ENDED, Record
from geodes_lab.batch.store.tables import jobs
from geodes_lab.batch.store.writing import COLUMNS, Store, tell
from geodes_lab.errors import GeodesError
from hub.services.jobs import documents

_log = logging.getLogger("jobs")
_EVERY = 2.0  # seconds between two looks
_ATTEMPTS, _PAUSE = 5, 30.0  # seconds before the second attempt; twice as many before each further one
_SECONDS = 10.0
_AT_ONCE = 20
_AGAIN, _MOST = 600.0, 20  # seconds between two messages that a job is under way, and how many there are at most
_URIS = ("successUri", "inProgressUri", "failedUri")


def checked(subscriber: Any, origins: Sequence[str]) -> dict[str, str]:
    """Check whom a job names.

    Raises
    ------
    GeodesError
        If it is not the object of the standard, or the operator does not allow a site of it.
    """
    if not isinstance(subscriber, dict) or not subscriber or set(subscriber) - set(_URIS):
        raise GeodesError(f"subscriber is an object with some of {', '.join(_URIS)}.")
    for name, uri in subscriber.items():
        if not isinstance(uri, str) or len(uri) > 2000 or not uri.isascii() or not uri.isprintable() or " " in uri:
            raise GeodesError(f"subscriber.{name} must be an address.")
        if _origin(uri) not in origins:
            known = f"those of {', '.join(origins)}" if origins else "none"
            raise GeodesError(f"subscriber.{name} is at a site that may not be told of jobs here: allowed are {known}.")
    return dict(subscriber)


def _origin(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        if parts.username is not None or parts.password is not None or "\\" in uri:
            return ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def tried_again(store: Store, number: str, person: str | None) -> Record:
    """Let the units of a job wait again that failed or were cancelled; whom it names is told of its next end too."""
    record = store.retry(number, person)
    known = json.loads(record.subscriber or "{}")
    if not known.get("subscriber") or record.state in ENDED:
        return record
    with store.database.change() as c:
        after = json.dumps(known | {"told": False, "attempts": 0, "next": 0})
        c.execute(sa.update(jobs).where(jobs.c.id == record.id).values(subscriber=after))
    return store.job(number, person)


class Callbacks:
    """Tells of ends; and of jobs under way: when the first unit begins, then at most every ten minutes.

    Parameters
    ----------
    store
        The jobs of all people.
    origins
        The sites that may be told, as the operator's file has them now.
    """

    def __init__(self, store: Store, origins: Sequence[str]) -> None:
        self._store, self._origins = store, origins
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=False)

    def begin(self) -> None:
        """Tell from now on, in a thread."""
        threading.Thread(target=self._go_on, name="callbacks", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            try:
                self.look()
            except GeodesError as error:  # the store does not answer
                _log.warning("%s", error)
            time.sleep(_EVERY)

    def look(self) -> int:
        """Tell of what has ended or begun since; return of how many jobs."""
        told, j, now = 0, jobs.c, self._store.clock()
        for record in self._some(j.finished, j.state.in_(ENDED)):
            known = json.loads(record.subscriber or "{}")
            if known.get("told") or known.get("next", 0) > now:
                continue
            told += 1
            self._tell(record, known)
        # Ends first: who hears of them slowly, or not at all, delays what is said beside them.
        for record in self._some(j.started, j.state == "running", j.subscriber.like("%inProgressUri%")):
            told += told < _AT_ONCE and self._said_under_way(record, json.loads(record.subscriber or "{}"))
        return told

    def _some(self, order: Any, *where: Any) -> list[Record]:
        untold = jobs.c.subscriber.like('%"told": false%')
        with self._store.database.read() as c:
            rows = c.execute(sa.select(*COLUMNS).where(untold, *where).order_by(order).limit(_AT_ONCE * 10))
            return [Record(**row._mapping) for row in rows]

    def _said_under_way(self, record: Record, known: dict[str, Any]) -> bool:
        """Say that a job is under way, if it is time and there is something new to say; it is sent once each time."""
        uri, last = known.get("subscriber", {}).get("inProgressUri"), known.get("under_way") or {}
        now, count = self._store.clock(), last.get("count", 0)
        if not uri or count >= _MOST or last.get("next", 0) > now:
            return False
        progress = self._store.progress(record.id, record.person)
        is_new = progress.percent != last.get("percent")
        why = self._sent(uri, documents.status(record, progress, str(known.get("at", "")))) if is_new else ""
        after = {"count": count + is_new, "next": now + _AGAIN, "percent": progress.percent}
        with self._store.database.change() as c:
            kept = json.dumps(known | {"under_way": after})
            c.execute(sa.update(jobs).where(jobs.c.id == record.id).values(subscriber=kept))
            if why and count == 0:
                tell(c, record.id, f"The subscriber could not be told that the job runs: {why}", now)
        return is_new

    def _tell(self, record: Record, known: dict[str, Any]) -> None:
        uris = known.get("subscriber", {})
        uri = uris.get("successUri" if record.state == "successful" else "failedUri")
        why = self._sent(uri, self._of_end(record, known)) if uri else ""
        attempts = known.get("attempts", 0) + 1
        is_over = not why or attempts >= _ATTEMPTS
        after = {"told": is_over, "attempts": attempts, "next": self._store.clock() + _PAUSE * 2**attempts}
        with self._store.database.change() as c:
            c.execute(sa.update(jobs).where(jobs.c.id == record.id).values(subscriber=json.dumps(known | after)))
            if why and is_over:
                tell(c, record.id, f"The subscriber could not be told of the end: {why}", self._store.clock())

    def _of_end(self, record: Record, known: dict[str, Any]) -> dict[str, Any]:
        at = str(known.get("at", ""))
        if record.state == "successful":
            return documents.results(record, at)
        return documents.status(record, self._store.progress(record.id, record.person), at)

    def _sent(self, uri: str, document: dict[str, Any]) -> str:
        """Send it; return why not, or nothing."""
        if _origin(uri) not in self._origins:
            return "its site may not be told of jobs here any more."
        try:
            # Only the first line of the answer counts; its body is not read.
            with self._client.stream("POST", uri, json=document) as answer:
                return "" if answer.is_success else f"it answers {answer.status_code}."
        except httpx.HTTPError as error:
            return f"it does not answer ({type(error).__name__})."
