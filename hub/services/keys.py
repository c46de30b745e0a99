"""Keys for addresses: of one person, for one thing, for some hours, and of one kind: for tiles, or for feeds.

A program that cannot send a header, such as QGIS or a reader of feeds, has such a key in its address. What its person
may no longer read it no longer opens: rights are asked anew with each use. All keys end when the hub's token for the
service changes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST = 1500  # characters of a key
HOURS = 24.0
"""The life of a key, if it is not said."""
MOST_HOURS = 24.0 * 30
"""The longest life of a key."""


@dataclass(frozen=True)
class Key:
    """What a key allows."""

    person: str
    """Whose it is."""
    collection: str
    """The collection that it opens."""
    item: str
    """The one Item or search that it opens; empty: all of the collection, and its mosaics."""
    ends: float
    """When, in seconds since 1970."""

    def opens(self, collection: str, item: str) -> bool:
        """Whether it is for this Item, or for this mosaic."""
        return collection == self.collection and self.item in ("", item)


class Keys:
    """Signs keys, and checks them.

    Parameters
    ----------
    secret
        What only this service and the hub know.
    now
        The clock.
    of
        What they open: keys of one kind are none of another.
    most
        The longest life of a key, in hours.
    """

    def __init__(
        self, secret: str, now: Callable[[], float] = time.time, *, of: str = "tiles", most: float = MOST_HOURS
    ) -> None:
        self._secret = hashlib.sha256(f"keys of {of}\0{secret}".encode()).digest()
        self._most = most
        self._is_usable = bool(secret)
        self._now = now

    def made(self, person: str, collection: str, item: str, hours: float) -> tuple[str, Key]:
        """Make a key.

        Raises
        ------
        ValueError
            If it would live too long, or there is no hub.
        """
        if not self._is_usable:
            raise ValueError("Without a hub there are no keys.")
        if not 0 < hours <= self._most:
            raise ValueError(f"A key lives from 0 to {self._most:g} hours.")
        key = Key(person, collection, item, round(self._now() + hours * 3600))
        text = json.dumps([key.person, key.collection, key.item, key.ends]).encode()
        return f"{_coded(text)}.{_coded(self._signature(text))}", key

    def read(self, text: str) -> Key | None:
        """Return what a key allows; None: it is none of ours, or has ended."""
        if not self._is_usable or not 0 < len(text) <= _LONGEST or not text.isascii():
            return None
        content, _, signature = text.partition(".")
        try:
            plain, signed = _decoded(content), _decoded(signature)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(self._signature(plain), signed):
            return None
        person, collection, item, ends = json.loads(plain)  # ours: it has our signature
        return Key(person, collection, item, ends) if self._now() < ends else None

    def _signature(self, text: bytes) -> bytes:
        return hmac.new(self._secret, text, hashlib.sha256).digest()


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
