"""Keys in the address of a feed: of one person, for one search, for a year at most, until they are taken back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from hub.services.catalogue.news import searches
from hub.services.catalogue.news.store import Store
from hub.services.keys import Keys

HOURS = 24.0 * 365
"""The life of a key."""


class FeedKeys:
    """Makes keys, and says whose they are.

    Parameters
    ----------
    keys
        Signs them.
    store
        Knows those that were not taken back.
    """

    def __init__(self, keys: Keys, store: Store) -> None:
        self._keys, self._store = keys, store

    def made(self, person: str, search: Mapping[str, str]) -> tuple[str, str, float]:
        """Make a key; return its name, itself, and when it ends in seconds since 1970.

        Raises
        ------
        ValueError
            Without a hub.
        TooMany
            If the person has many.
        """
        name = secrets.token_urlsafe(12)
        text, key = self._keys.made(person, search["collection"], _thing(name, search), HOURS)
        self._store.add_key(name, person, searches.text(search), key.ends)
        return name, text, key.ends

    def person(self, text: str, search: Mapping[str, str]) -> str:
        """Return whose key it is; empty: it is none for this search, has ended, or was taken back."""
        key = self._keys.read(text)
        name = key.item.partition(" ")[0] if key else ""
        if key is None or not name or not key.opens(search["collection"], _thing(name, search)):
            return ""
        return key.person if self._store.has_key(name, key.person) else ""

    def revoke(self, person: str, name: str) -> None:
        """Take a key of this person back."""
        self._store.remove_key(name, person)


def _thing(name: str, search: Mapping[str, str]) -> str:
    return f"{name} {hashlib.sha256(searches.text(search).encode()).hexdigest()[:32]}"
