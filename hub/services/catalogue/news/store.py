"""What people want to be told of, in an SQLite file: keys of feeds, addresses, searches, and what was told."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST = 50
"""Keys, and searches with mails, of one person."""
LETTERS = 5
"""Letters of a day that confirm a person's address."""
_DAY = 86_400.0
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, person TEXT NOT NULL, search TEXT NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (person TEXT PRIMARY KEY, address TEXT NOT NULL, language TEXT NOT NULL,
  confirmed INTEGER NOT NULL, code TEXT NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS letters (person TEXT NOT NULL, sent REAL NOT NULL);
CREATE TABLE IF NOT EXISTS mails (person TEXT NOT NULL, search TEXT NOT NULL, name TEXT NOT NULL, since TEXT NOT NULL,
  PRIMARY KEY (person, search));
CREATE TABLE IF NOT EXISTS told (person TEXT NOT NULL, search TEXT NOT NULL, product TEXT NOT NULL,
  sending INTEGER NOT NULL, PRIMARY KEY (person, search, product)) WITHOUT ROWID;
"""


class TooMany(Exception):
    """A person has as many as there may be."""


@dataclass(frozen=True)
class Address:
    """Where a person gets mails."""

    person: str
    address: str
    language: str
    confirmed: bool


@dataclass(frozen=True)
class Wanted:
    """A search whose new products a person wants to have mails of."""

    person: str
    search: str
    """As `hub.services.catalogue.news.searches.text` writes it."""
    name: str
    since: str
    """What came earlier is not new, even if it was not told; empty: all that was not told is new."""


class Store:
    """Reads and writes the file; every method is one transaction.

    Parameters
    ----------
    path
        The file; it is made, for its owner alone.
    now
        The clock.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._now, self._lock = now, threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        with self._transaction() as database:
            for table in _TABLES.split(";"):
                database.execute(table)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            # From its first question on: another process of the service must not change what was counted.
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    # Keys of feeds.

    def add_key(self, name: str, person: str, search: str, ends: float) -> None:
        """Remember a key; those that have ended are forgotten."""
        with self._transaction() as database:
            database.execute("DELETE FROM keys WHERE ends < ?", (self._now(),))
            (many,) = database.execute("SELECT count(*) FROM keys WHERE person = ?", (person,)).fetchone()
            if many >= MOST:
                raise TooMany
            database.execute("INSERT INTO keys VALUES (?, ?, ?, ?)", (name, person, search, ends))

    def keys(self, person: str) -> list[tuple[str, str, float]]:
        """Return name, search and end of a person's keys."""
        with self._transaction() as database:
            query = "SELECT id, search, ends FROM keys WHERE person = ? AND ends > ? ORDER BY ends"
            return database.execute(query, (person, self._now())).fetchall()

    def has_key(self, name: str, person: str) -> bool:
        """Whether a key was not taken back."""
        with self._transaction() as database:
            query = "SELECT 1 FROM keys WHERE id = ? AND person = ?"
            return database.execute(query, (name, person)).fetchone() is not None

    def remove_key(self, name: str, person: str) -> None:
        """Take a key of this person back."""
        with self._transaction() as database:
            database.execute("DELETE FROM keys WHERE id = ? AND person = ?", (name, person))

    # Addresses.

    def address(self, person: str) -> Address | None:
        """Return the address of a person."""
        with self._transaction() as database:
            query = "SELECT person, address, language, confirmed FROM addresses WHERE person = ?"
            row = database.execute(query, (person,)).fetchone()
        return Address(row[0], row[1], row[2], bool(row[3])) if row else None

    def propose(self, person: str, address: str, language: str, code: str) -> None:
        """Remember an address that its person is still to confirm, by a code that lives a day."""
        now = self._now()
        with self._transaction() as database:
            database.execute("DELETE FROM letters WHERE sent < ?", (now - _DAY,))
            (many,) = database.execute("SELECT count(*) FROM letters WHERE person = ?", (person,)).fetchone()
            if many >= LETTERS:
                raise TooMany
            database.execute("INSERT INTO letters VALUES (?, ?)", (person, now))
            row = (person, address, language, 0, code, now + _DAY)
            database.execute("INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?, ?, ?)", row)

    def confirm(self, person: str, code: str) -> bool:
        """Confirm the address of this person; false: the code is none of theirs, or has ended."""
        with self._transaction() as database:
            change = "UPDATE addresses SET confirmed = 1, code = '' WHERE person = ? AND code = ? AND ends > ?"
            return bool(code) and database.execute(change, (person, code, self._now())).rowcount == 1

    def forget(self, person: str) -> None:
        """Forget the address of a person, and what mails were wanted there."""
        with self._transaction() as database:
            for table in ("addresses", "mails", "told"):
                database.execute(f"DELETE FROM {table} WHERE person = ?", (person,))

    def confirmed(self) -> list[Address]:
        """Return all addresses that mails may go to."""
        with self._transaction() as database:
            query = "SELECT person, address, language, confirmed FROM addresses WHERE confirmed ORDER BY person"
            return [Address(p, a, t, bool(c)) for p, a, t, c in database.execute(query)]

    # Searches with mails, and what was told of them.

    def want(self, wanted: Wanted, products: Collection[str]) -> None:
        """Remember a search; the products that are there now are not new."""
        with self._transaction() as database:
            (many,) = database.execute("SELECT count(*) FROM mails WHERE person = ?", (wanted.person,)).fetchone()
            if many >= MOST:
                raise TooMany
            key = (wanted.person, wanted.search)
            database.execute("INSERT OR REPLACE INTO mails VALUES (?, ?, ?, ?)", (*key, wanted.name, wanted.since))
            rows = [(*key, product, 0) for product in products]
            database.executemany("INSERT OR IGNORE INTO told VALUES (?, ?, ?, ?)", rows)

    def unwant(self, person: str, search: str) -> None:
        """Forget a search of a person."""
        with self._transaction() as database:
            for table in ("mails", "told"):
                database.execute(f"DELETE FROM {table} WHERE person = ? AND search = ?", (person, search))

    def wanted(self, person: str) -> list[Wanted]:
        """Return the searches of a person."""
        with self._transaction() as database:
            query = "SELECT person, search, name, since FROM mails WHERE person = ? ORDER BY name, search"
            return [Wanted(*row) for row in database.execute(query, (person,))]

    def begin(self, wanted: Wanted, products: Collection[str]) -> list[str]:
        """Note that a mail about products is being sent; return those that were not told before."""
        key = (wanted.person, wanted.search)
        with self._transaction() as database:
            known = {p for (p,) in database.execute("SELECT product FROM told WHERE person = ? AND search = ?", key)}
            new = [p for p in products if p not in known]
            database.executemany("INSERT INTO told VALUES (?, ?, ?, 1)", [(*key, p) for p in new])
        return new

    def end(self, wanted: Wanted, *, sent: bool) -> None:
        """Note that it was sent, or was not: then its products are new again."""
        key = (wanted.person, wanted.search)
        change = "UPDATE told SET sending = 0" if sent else "DELETE FROM told"
        with self._transaction() as database:
            database.execute(f"{change} WHERE person = ? AND search = ? AND sending = 1", key)

    def settle(self) -> int:
        """After a restart: count mails whose end is unknown as sent, so that none comes twice; return how many."""
        with self._transaction() as database:
            return database.execute("UPDATE told SET sending = 0 WHERE sending = 1").rowcount
