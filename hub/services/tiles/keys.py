"""Keys for addresses: of one person, for one collection or Item, for some hours, and for tiles alone.

A program that cannot send a header, such as QGIS, has such a key in its address. It opens nothing else than tiles, and
what its person may no longer read it no longer opens: rights are asked anew with each use. All keys end when the hub's
token for this service changes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

STAND_IN = "KEY-OF-THE-ADDRESS"
"""In links of the tiler, in place of the key."""
_TEMPLATE = re.compile(rb'template="([^"]*)"')
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
    """The one Item that it opens; empty: all of the collection, and its mosaics."""
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
    """

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._secret = hashlib.sha256(f"keys of tiles\0{secret}".encode()).digest()
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
        if not 0 < hours <= MOST_HOURS:
            raise ValueError(f"A key lives from 0 to {MOST_HOURS:g} hours.")
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


def carried(content: bytes, key: str, base: str) -> bytes:
    """Return an answer whose links have the key with which it was asked.

    Parameters
    ----------
    content
        Of the tiler, which does not know the key: its links have `STAND_IN`. The templates of WMTS for each way to draw
        a product have nothing.
    key
        The key.
    base
        How our own addresses begin; others get no key.
    """
    text = quote(key, safe="").encode()

    def with_key(match: re.Match[bytes]) -> bytes:
        address = match[1]
        if not address.startswith(base.encode()) or b"key=" in address:
            return match[0]
        return b'template="%s%skey=%s"' % (address, b"&amp;" if b"?" in address else b"?", text)

    return _TEMPLATE.sub(with_key, content.replace(STAND_IN.encode(), text))


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
