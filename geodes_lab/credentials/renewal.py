"""The secret of each kind that this process has: renewed before it expires, by the first thread that needs it."""

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
"""Asks another process for a secret. With the mark of a refused secret, waits for another one.

None: that process has no secret either.
"""

_log = logging.getLogger("geodes_lab.credentials")

_LEASE = 10.0  # seconds for which a lent secret without a known end is used before the lender is asked again
_PAUSE = (
    # seconds before a source that failed, or that returned an old secret, is asked again while the present secret is
    # valid
    0.5
)
_YOUNG = 5.0  # seconds for which a refused new key is not the suspect: then the right is missing


@dataclass
class _Held:
    """The secret of one kind, and its state."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    secret: Secret | None = None
    again: float = 0.0
    """When to look again, in seconds since 1970."""
    refused: int | None = None
    """The mark of the secret that was refused."""
    stamp: object = None
    """A value that changes when the file changes."""
    source: object = None
    """The settings that described the source."""


_held: dict[Kind, _Held] = {}
_lender: Lender | None = None


def _forget() -> None:
    """Start without secrets and locks.

    A child of a fork does so too: threads that it does not have may hold the locks.
    """
    for kind in KINDS:
        _held[kind] = _Held()


_forget()
os.register_at_fork(after_in_child=_forget)


def lend_by(lender: Lender | None) -> None:
    """Let another process lend secrets to this one, as a scheduler does for a worker.

    None: this process finds its own again.
    """
    global _lender
    _lender = lender
    _forget()


def is_lent() -> bool:
    """Whether another process lends to this one."""
    return _lender is not None


def current(kind: Kind) -> Secret | None:
    """Return a valid secret of a kind; None if there is none and the settings describe no source.

    When the secret is due for renewal, one thread asks the source; the others use the present secret, and wait only if
    it has expired.

    Raises
    ------
    GeodesError
        If the source fails and no secret is valid.
    """
    held = _held[kind]
    source = settings.get(f"credentials.{kind}")
    if held.source != source:  # the user has changed the setting
        held = _held[kind] = _Held(source=copy.copy(source))
    now = held.secret
    is_good = now is not None and now.left > 0 and now.mark != held.refused
    if is_good and time.time() < held.again:
        return now
    if not held.lock.acquire(blocking=not is_good):
        return now
    try:
        if held.secret is not now and held.secret is not None and held.secret.left > 0:
            return held.secret  # another thread renewed it while this one waited
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
    """Return the secret that this process has now, valid or not; asks no source."""
    return _held[kind].secret


def standing(kind: Kind) -> int:
    """Return the mark of a secret that comes from the environment, where the user may change it at any time.

    0: it comes from elsewhere.
    """
    secret = sources.environment(kind) if _stands_here(kind) else None
    return 0 if secret is None else secret.mark


def _stands_here(kind: Kind) -> bool:
    return _lender is None and sources.chosen(kind) == "environment"


def known(kind: Kind) -> bool:
    """Whether there is a secret of a kind, or a setting that describes its source; asks no source."""
    return _lender is not None or sources.chosen(kind) != "environment" or sources.environment(kind) is not None


def refused(kind: Kind, mark: int | None) -> bool:
    """Report that a server refused a secret, by its mark; return whether there is another secret to try.

    Raises
    ------
    GeodesError
        If the source of another secret fails.
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
    """Return a secret, and when to look again."""
    if _lender is not None:
        lent = _lender(kind, stale)
        if lent is not None:
            return lent, _later(min(lent.due, time.time() + _LEASE if lent.expires is None else math.inf))
    match sources.chosen(kind):
        case "environment":
            return sources.environment(kind), 0.0  # reading the environment is cheap
        case "file":
            stamp = _stamp(_said(kind, "file"))
            if stale is None and held.secret is not None and stamp == held.stamp:
                return held.secret, 0.0
            secret, held.stamp = sources.file(kind, _said(kind, "file")), stamp
            return secret, 0.0
        case "command":
            secret = sources.command(kind, _said(kind, "command"))
        case "hub":
            secret = sources.hub(_said(kind, "url"))
        case _:
            token = current("token")
            if token is None:
                raise GeodesError(
                    "The keys of the datalake need your access token, and there is none: log in to the lab with your "
                    "organisation's account, or set geodes_lab.credentials.token."
                )
            secret = sources.sts(_said(kind, "endpoint"), _said(kind, "role"), int(_said(kind, "seconds")), token)
    return secret, _later(secret.due)


def _said(kind: Kind, name: str) -> Any:
    return settings.get(f"credentials.{kind}.{name}")


def _later(when: float) -> float:
    return max(when, time.time() + _PAUSE)


def _stamp(path: str) -> object:
    """Return a value that changes when a mounted secret changes: Kubernetes replaces a link."""
    try:
        status = Path(path).expanduser().stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ino, status.st_size)
