"""Old records become sums without names."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime


def forget(books: sqlite3.Connection, before: datetime) -> None:
    """Replace records before an instant by sums.

    One nameless person for each day and collection, and each group and profile.
    """
    old = before.timestamp()
    rows = books.execute(
        "select started, seen, profile, cores, memory, servers, groups from sessions where seen < ? and person != ''",
        (old,),
    )
    sums: dict[tuple[str, str, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for started, seen, profile, cores, memory, servers, groups in rows:
        day = datetime.fromtimestamp(started, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        total, hours = sums[profile, groups, day], (seen - started) / 3600
        total[0] += cores * hours
        total[1] += memory * hours
        total[2] += servers * hours
    books.execute("delete from sessions where seen < ? and person != ''", (old,))
    # One hour with as many cores as there were core-hours, and as many servers as they ran hours. It is added to what
    # was forgotten of the day before.
    books.executemany(
        "insert into sessions (person, server, started, seen, profile, cores, memory, servers, groups) "
        "values ('', ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set cores = cores + excluded.cores, "
        "memory = memory + excluded.memory, servers = servers + excluded.servers",
        [(f"{p}|{g}", day, day + 3600, p, *total, g) for (p, g, day), total in sums.items()],
    )
    day_text = before.astimezone(UTC).date().isoformat()
    books.execute(
        "insert into reads select day, '', collection, '[]', sum(bytes) from reads where day < ? and person "
        "!= '' group by day, collection on conflict do update set bytes = bytes + excluded.bytes",
        (day_text,),
    )
    books.execute("delete from reads where day < ? and person != ''", (day_text,))
    books.execute(
        "insert into kept select day, '', '[]', sum(bytes) from kept where day < ? and person != '' group by day "
        "on conflict do update set bytes = bytes + excluded.bytes",
        (day_text,),
    )
    books.execute("delete from kept where day < ? and person != ''", (day_text,))
    books.execute("delete from storage where day < ?", (day_text,))
