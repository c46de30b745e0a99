"""The secret of each kind that this process has now: renewed before it ends, by whoever needs it first."""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geodes_lab import settings
from geodes_lab.credentials import sources
from geodes_lab.credentials.secret import KINDS, Kind, Secret
from geodes_lab.errors import GeodesError

Lender = Callable[[Kind, int | None], Secret | None]
"""Asks another process; waits for another than the one of a mark, if one is given. None: there, too, is none."""

_log = logging.getLogger("geodes_lab.credentials")

_LEASE = 10.0  # seconds for which what is lent, and not known to end, is taken to be as it was
_PAUSE = (
    0.5  # seconds before a source is asked again that failed, or gave one that is due, while there is one that is good
)
_YOUNG = 5.0  # seconds for which one that is refused is not held to be the reason: the right is missing, not the key


@dataclass
class _Held:
    """What is held of one kind."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    secret: Secret | None = None
    again: float = 0.0
    """When to look again, in seconds since 1970."""
    refused: int | None = None
    """The mark of one that will not do."""
    stamp: object = None
    """What changes when the file does."""
    source: object = None
    """How the settings described where it comes from."""


_held: dict[Kind, _Held] = {}
_lender: Lender | None = None


def _forget() -> None:
    """At the start, and in a child of a fork: locks may be held by threads that it does not have."""
    for kind in KINDS:
        _held[kind] = _Held()


_forget()
os.register_at_fork(after_in_child=_forget)


def lend_by(lender: Lender | None) -> None:
    """Let another process lend to this one, as a worker's scheduler does; None: this process looks for itself again."""
    global _lender
    _lender = lender
    _forget()


def is_lent() -> bool:
    """Whether another process lends to this one."""
    return _lender is not None


def current(kind: Kind) -> Secret | None:
    """Give the secret of a kind, fresh; None if there is none, and the settings describe none.

    The source is asked when the secret is due, by one thread; others go on with the one there is, and wait only if it
    has ended.

    Raises
    ------
    GeodesError
        If its source fails and there is none that is good.
    """
    held = _held[kind]
    source = settings.get(f"credentials.{kind}")
    if held.source != source:  # the user has said another one
        held = _held[kind] = _Held(source=copy.copy(source))
    now = held.secret
    is_good = now is not None and now.left > 0 and now.mark != held.refused
    if is_good and time.time() < held.again:
        return now
    if not held.lock.acquire(blocking=not is_good):
        return now
    try:
        if held.secret is not now and held.secret is not None and held.secret.left > 0:
            return held.secret  # somebody renewed it while we waited
        try:
            held.secret, held.again = _asked(kind, held, None if is_good or now is None else now.mark)
            held.refused = None
            if now is not None and held.secret is not None and held.secret.mark != now.mark:
                _log.info("The secret %r has changed.", kind)
        except GeodesError:
            if not is_good or _stands_here(kind):
                raise
            held.again = time.time() + _PAUSE
        return held.secret
    finally:
        held.lock.release()


def at_hand(kind: Kind) -> Secret | None:
    """The secret that this process has now, good or not; asks nobody."""
    return _held[kind].secret


def standing(kind: Kind) -> int:
    """The mark of a secret that stands in the environment, which the user may change at any time.

    0: it is from elsewhere.
    """
    found = sources.environment(kind) if _stands_here(kind) else None
    return 0 if found is None else found.mark


def _stands_here(kind: Kind) -> bool:
    return _lender is None and sources.chosen(kind) == "environment"


def known(kind: Kind) -> bool:
    """Whether there is a secret of a kind, or a description of where it comes from; asks nobody."""
    return _lender is not None or sources.chosen(kind) != "environment" or sources.environment(kind) is not None


def refused(kind: Kind, mark: int | None) -> bool:
    """Say that a server refused a secret, by its mark; give whether there is another one to try.

    Raises
    ------
    GeodesError
        If the source of another one fails.
    """
    held = _held[kind]
    with held.lock:
        if held.secret is not None and held.secret.mark == mark:
            if time.time() - held.secret.born < _YOUNG and held.secret.left > 0:
                return False
            held.refused = mark
    another = current(kind)
    return another is not None and another.mark != mark


def _asked(kind: Kind, held: _Held, stale: int | None) -> tuple[Secret | None, float]:
    """A secret, and when to look again."""
    if _lender is not None:
        lent = _lender(kind, stale)
        if lent is not None:
            return lent, _later(min(lent.due, time.time() + _LEASE if lent.expires is None else math.inf))
    match sources.chosen(kind):
        case "environment":
            return sources.environment(kind), 0.0  # it costs nothing to look each time
        case "file":
            stamp = _stamp(_said(kind, "file"))
            if stale is None and held.secret is not None and stamp == held.stamp:
                return held.secret, 0.0
            found, held.stamp = sources.file(kind, _said(kind, "file")), stamp
            return found, 0.0
        case "command":
            found = sources.command(kind, _said(kind, "command"))
        case "hub":
            found = sources.hub(_said(kind, "url"))
        case _:
            token = current("token")
            if token is None:
                raise GeodesError(
                    "The keys of the datalake need an access token of yours, and there is none: log in to the lab by "
                    "your organisation's account, or set geodes_lab.credentials.token."
                )
            found = sources.sts(_said(kind, "endpoint"), _said(kind, "role"), int(_said(kind, "seconds")), token)
    return found, _later(found.due)


def _said(kind: Kind, name: str) -> Any:
    return settings.get(f"credentials.{kind}.{name}")


def _later(when: float) -> float:
    return max(when, time.time() + _PAUSE)


def _stamp(path: str) -> object:
    """What changes when a mounted secret does: Kubernetes replaces a link."""
    try:
        told = Path(path).expanduser().stat()
    except OSError:
        return None
    return (told.st_mtime_ns, told.st_ino, told.st_size)
