"""The table that the documents have of a result of `tests.benchmarks.page`."""

from __future__ import annotations

from typing import Any

BEGIN, END = "<!-- make bench-docs writes from here -->", "<!-- to here -->"
HEAD = (
    "| what | ours | beside it | limit | how many times faster (nine of ten) | runs | goal | met |\n" + "|---" * 8 + "|"
)


def row(made: dict[str, Any]) -> str:
    """A row of the table."""
    limit = "" if made["limit"] is None else f"{made['limit']:.2f} s"
    theirs = "" if made["theirs"] is None else f"{made['theirs']:.2f} s, {made['peer']}"
    times = "" if made["ratio"] is None else f"{made['ratio']:.2f} × ({made['low']:.2f} to {made['high']:.2f})"
    cells = (made["what"], f"{made['ours']:.2f} s", theirs, limit, times, made["pairs"], made["goal"], made["met"])
    return f"| {' | '.join(map(str, cells))} |"


def made(found: dict[str, Any]) -> str:
    """The part of the document that a result makes."""
    before, after = found["load"]
    about = (
        f"{found['cores']} cores ({found['machine']}), Python {found['python']}, {found['date']}, load of the machine "
        f"{before:.1f} before and {after:.1f} after. `{found['command']}`"
    )
    return "\n".join([BEGIN, "", about, "", HEAD, *map(row, found["rows"]), "", END])


def into(document: str, found: dict[str, Any]) -> str:
    """Return the document with the table of a result."""
    head, _, rest = document.partition(BEGIN)
    return head + made(found) + rest.partition(END)[2]
