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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_TABLES = """
create table if not exists sessions (person text, server text, started real, seen real, profile text, cores real,
    memory real,
    groups text, primary key (person, server, started)) without rowid;
create table if not exists reads (day text, person text, collection text, groups text, bytes integer,
    primary key (day, person, collection)) without rowid;
create table if not exists storage (person text primary key, bytes integer, day text) without rowid;
create index if not exists by_seen on sessions (seen);
"""
_GIB = 2**30


@dataclass(frozen=True)
class Use:
    """The usage in a month."""

    core_hours: float = 0.0
    memory_hours: float = 0.0
    """GiB × hours."""
    read: int = 0
    """Bytes."""
    storage: int | None = None
    """Bytes, at the last measurement; None: the home was not measured yet."""


@dataclass(frozen=True)
class Session:
    """A running server."""

    person: str
    server: str
    started: datetime
    profile: str
    cores: float
    memory: int
    groups: tuple[str, ...]


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
                "insert into sessions values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set seen = max(seen, "
                "excluded.seen)",
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

    def forget(self, before: datetime) -> None:
        """Replace older records by sums without names.

        One nameless person for each day and collection, and each group and profile.
        """
        with self._open() as books:
            old = before.timestamp()
            rows = books.execute(
                "select started, seen, profile, cores, memory, groups from sessions where seen < ? and person != ''",
                (old,),
            )
            sums: dict[tuple[str, str, float], list[float]] = defaultdict(lambda: [0.0, 0.0])
            for started, seen, profile, cores, memory, groups in rows:
                day = (
                    datetime.fromtimestamp(started, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
                )
                total = sums[profile, groups, day]
                total[0] += cores * (seen - started) / 3600
                total[1] += memory * (seen - started) / 3600
            books.execute("delete from sessions where seen < ? and person != ''", (old,))
            # One hour with as many cores as there were core-hours.
            books.executemany(
                "insert or replace into sessions values ('', ?, ?, ?, ?, ?, ?, ?)",
                [(f"{p}|{g}", day, day + 3600, p, total[0], total[1], g) for (p, g, day), total in sums.items()],
            )
            day_text = before.astimezone(UTC).date().isoformat()
            books.execute(
                "insert into reads select day, '', collection, '[]', sum(bytes) from reads where day < ? and person "
                "!= '' group by day, collection on conflict do update set bytes = bytes + excluded.bytes",
                (day_text,),
            )
            books.execute("delete from reads where day < ? and person != ''", (day_text,))
            books.execute("delete from storage where day < ?", (day_text,))

    def by_person(self, month: str) -> dict[str, Use]:
        """Return the sums of each person in a month, such as ``2026-11``."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for person, _, _, core_hours, memory_hours in self._sessions(month):
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
        for _, groups, _, core_hours, memory_hours in self._sessions(month):
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
        for _, _, profile, core_hours, _ in self._sessions(month):
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

    def _sessions(self, month: str, person: str | None = None) -> list[tuple[str, str, str, float, float]]:
        begin, end = (t.timestamp() for t in span(month))
        who, parameters = ("", ()) if person is None else (" and person = ?", (person,))
        with self._open() as books:
            rows = books.execute(
                "select person, groups, profile, cores, memory, started, seen from sessions where seen > ? and "
                f"started < ?{who}",
                (begin, end, *parameters),
            ).fetchall()
        return [
            (p, g, f, c * hours, m * hours)
            for p, g, f, c, m, s, e in rows
            for hours in [(min(e, end) - max(s, begin)) / 3600]
        ]


def span(month: str) -> tuple[datetime, datetime]:
    """Return a month's first moment, and that of the next month.

    Raises
    ------
    ValueError
        If it is not a month.
    """
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def this_month(now: datetime) -> str:
    """Return the current month."""
    return now.astimezone(UTC).strftime("%Y-%m")
