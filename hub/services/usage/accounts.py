"""The accounts in one SQLite file, and the sums of a month.

A session is one run of one server, with the resources of its profile; it counts from its start until it was last seen,
so that a failed check, or an interruption of this service, never counts too much.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hub.services.usage.forgetting import forget
from hub.services.usage.records import Item, Session, Use, span, this_month

_TABLES = """
create table if not exists sessions (person text, server text, started real, seen real, profile text, cores real,
    memory real,
    groups text, servers real not null default 1, primary key (person, server, started)) without rowid;
create table if not exists reads (day text, person text, collection text, groups text, bytes integer,
    primary key (day, person, collection)) without rowid;
create table if not exists storage (person text primary key, bytes integer, day text) without rowid;
create table if not exists kept (day text, person text, groups text, bytes integer, primary key (day, person))
    without rowid;
create table if not exists tariffs (month text primary key, tariff text) without rowid;
create index if not exists by_seen on sessions (seen);
"""
_GIB = 2**30


class Books:
    """The accounts of a lab.

    Parameters
    ----------
    file
        The SQLite file; created if it does not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        with self._open() as books:
            books.execute("pragma journal_mode=wal")
            books.executescript(_TABLES)
            if "servers" not in {column[1] for column in books.execute("pragma table_info(sessions)")}:
                books.execute("alter table sessions add column servers real not null default 1")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            books = sqlite3.connect(self._file, timeout=20)
            try:
                with books:
                    yield books
            finally:
                books.close()

    def saw(self, sessions: Iterable[Session], now: datetime) -> None:
        """Record that servers run."""
        rows = [
            (
                s.person,
                s.server,
                s.started.timestamp(),
                now.timestamp(),
                s.profile,
                s.cores,
                s.memory / _GIB,
                json.dumps(s.groups),
            )
            for s in sessions
        ]
        with self._open() as books:
            books.executemany(
                "insert into sessions (person, server, started, seen, profile, cores, memory, groups) "
                "values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set seen = max(seen, excluded.seen)",
                rows,
            )

    def add_reads(
        self, rows: Iterable[tuple[str, str, int]], groups: dict[str, tuple[str, ...]], now: datetime
    ) -> None:
        """Record who read how much of which collection."""
        day = now.astimezone(UTC).date().isoformat()
        with self._open() as books:
            books.executemany(
                "insert into reads values (?, ?, ?, ?, ?) on conflict do update set bytes = bytes + excluded.bytes",
                [
                    (day, person, collection, json.dumps(groups.get(person, ())), size)
                    for person, collection, size in rows
                ],
            )

    def set_storage(self, sizes: dict[str, int], now: datetime) -> None:
        """Record how large homes are."""
        day = now.astimezone(UTC).date().isoformat()
        with self._open() as books:
            books.executemany(
                "insert or replace into storage values (?, ?, ?)", [(p, n, day) for p, n in sizes.items()]
            )

    def keep_storage(self, groups: dict[str, tuple[str, ...]], now: datetime) -> None:
        """Record how large the homes of all known people are today, by the last measurement of each.

        On days on which this service does not run, nothing is recorded.
        """
        day = now.astimezone(UTC).date().isoformat()
        with self._open() as books:
            books.executemany(
                "insert into kept select ?, person, ?, bytes from storage where person = ? "
                "on conflict do update set bytes = excluded.bytes",
                [(day, json.dumps(of), person) for person, of in groups.items()],
            )

    def forget(self, before: datetime) -> None:
        """Replace older records by sums without names."""
        with self._open() as books:
            forget(books, before)

    def set_tariff(self, tariff: str, now: datetime) -> None:
        """Record by what this month is charged; earlier months keep theirs."""
        with self._open() as books:
            books.execute(
                "insert into tariffs values (?, ?) on conflict do update set tariff = excluded.tariff "
                "where tariff != excluded.tariff",
                (this_month(now), tariff),
            )

    def tariff(self, month: str) -> str:
        """Return the tariff of a month, or the last one before it; empty: there was none."""
        with self._open() as books:
            row = books.execute(
                "select tariff from tariffs where month <= ? order by month desc limit 1", (month,)
            ).fetchone()
        return str(row[0]) if row else ""

    def items(self, month: str) -> list[Item]:
        """Return all use of a month, apart by what has a price of its own."""
        servers: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for person, groups, size, core_hours, memory_hours, hours in self._sessions(month):
            total = servers[person, groups, size]
            total[0] += hours
            total[1] += core_hours
            total[2] += memory_hours
        of_month = (f"{month}-%",)
        with self._open() as books:
            kept = books.execute(
                "select person, groups, sum(bytes) from kept where day like ? group by person, groups", of_month
            ).fetchall()
            read = books.execute(
                "select person, groups, sum(bytes) from reads where day like ? group by person, groups", of_month
            ).fetchall()
        items = [
            Item(p, _groups(g), "server", size, hours=n[0], core_hours=n[1], memory_hours=n[2])
            for (p, g, size), n in sorted(servers.items())
        ]
        items += [Item(p, _groups(g), "storage", byte_days=int(n)) for p, g, n in kept]
        return items + [Item(p, _groups(g), "read", read=int(n)) for p, g, n in read]

    def by_person(self, month: str) -> dict[str, Use]:
        """Return the sums of each person in a month, such as ``2026-11``."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for person, _, _, core_hours, memory_hours, _ in self._sessions(month):
            sums[person][0] += core_hours
            sums[person][1] += memory_hours
        with self._open() as books:
            for person, size in books.execute(
                "select person, sum(bytes) from reads where day like ? group by person", (f"{month}-%",)
            ):
                sums[person][2] += size
            stored = dict(books.execute("select person, bytes from storage"))
        return {
            p: Use(hours, memory_hours, int(read), stored.get(p))
            for p in sorted({*sums, *stored})
            for hours, memory_hours, read in [sums[p]]
        }

    def by_group(self, month: str) -> dict[str, Use]:
        """Return the sums of each group; a person in several groups counts in each."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for _, groups, _, core_hours, memory_hours, _ in self._sessions(month):
            for group in json.loads(groups):
                sums[group][0] += core_hours
                sums[group][1] += memory_hours
        with self._open() as books:
            for groups, size in books.execute("select groups, bytes from reads where day like ?", (f"{month}-%",)):
                for group in json.loads(groups):
                    sums[group][2] += size
        return {g: Use(n[0], n[1], int(n[2])) for g, n in sorted(sums.items())}

    def by_collection(self, month: str, person: str | None = None) -> dict[str, int]:
        """Return the bytes read of each collection, by everybody or by one person."""
        who, parameters = ("", ()) if person is None else (" and person = ?", (person,))
        with self._open() as books:
            rows = books.execute(
                f"select collection, sum(bytes) from reads where day like ?{who} group by collection order by 2 desc",
                (f"{month}-%", *parameters),
            )
            return {c: int(n) for c, n in rows}

    def by_profile(self, month: str) -> dict[str, float]:
        """Return the core-hours of each server profile."""
        sums: dict[str, float] = defaultdict(float)
        for _, _, profile, core_hours, _, _ in self._sessions(month):
            sums[profile or "-"] += core_hours
        return dict(sorted(sums.items()))

    def of(self, person: str, month: str) -> Use:
        """Return the sums of one person."""
        several = self._sessions(month, person)
        with self._open() as books:
            statement = ("select sum(bytes) from reads where person = ? and day like ?", (person, f"{month}-%"))
            (read,) = books.execute(*statement).fetchone()
            stored = books.execute("select bytes from storage where person = ?", (person,)).fetchone()
        return Use(
            sum(s[3] for s in several), sum(s[4] for s in several), int(read or 0), int(stored[0]) if stored else None
        )

    def _sessions(self, month: str, person: str | None = None) -> list[tuple[str, str, str, float, float, float]]:
        begin, end = (t.timestamp() for t in span(month))
        who, parameters = ("", ()) if person is None else (" and person = ?", (person,))
        with self._open() as books:
            rows = books.execute(
                "select person, groups, profile, cores, memory, servers, started, seen from sessions "
                f"where seen > ? and started < ?{who}",
                (begin, end, *parameters),
            ).fetchall()
        return [
            (p, g, f, c * hours, m * hours, n * hours)
            for p, g, f, c, m, n, s, e in rows
            for hours in [(min(e, end) - max(s, begin)) / 3600]
        ]


def _groups(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
