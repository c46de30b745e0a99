"""The documentation's pages that are installed with the package, and a search in them.

The folder ``documents`` has them: links to ``docs/`` in a checkout, files in an installed package.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from geodes_lab import settings
from geodes_lab.errors import GeodesError, nearest, shown

_FOLDER = Path(__file__).with_name("documents")
_SETTINGS = Path(__file__).parents[1] / "geodes_lab.yaml"
_INCLUDED = re.compile(r"```\{literalinclude\} \S*geodes_lab\.yaml\n:language: yaml\n```")
_RESULTS = 8
_REST = 500  # characters that an answer has beside a page
_lock = threading.Lock()


@dataclass(frozen=True)
class Page:
    """One page."""

    name: str
    """Such as ``how-to/recipes``."""
    title: str
    text: str
    """Markdown."""


@cache
def pages() -> dict[str, Page]:
    """Return all pages by name."""
    titled = {}
    for path in sorted(_FOLDER.glob("*/**/*.md")) or sorted(_linked()):
        name = path.relative_to(_FOLDER).with_suffix("").as_posix()
        text = path.read_text(encoding="utf-8")
        text = _INCLUDED.sub(_settings, text)
        title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), name)
        titled[name] = Page(name, title, text)
    return titled


def _settings(_: re.Match[str]) -> str:
    return f"```yaml\n{_SETTINGS.read_text(encoding='utf-8')}```"


def _linked() -> Iterator[Path]:
    """Pages below links to folders, which ``**`` does not follow in every version of Python."""
    for folder in _FOLDER.iterdir():
        for path in folder.resolve().rglob("*.md"):
            yield folder / path.relative_to(folder.resolve())


def listing() -> str:
    """Return the names and titles of all pages."""
    return "\n".join(f"{p.name}: {p.title}" for p in pages().values())


def read(name: str, start: int = 0) -> str:
    """Return a page from a character on, or as much of it as an answer may have.

    Raises
    ------
    GeodesError
        If there is no such page.
    """
    wanted = name.strip().removesuffix(".md").strip("/")
    if wanted not in pages():
        raise GeodesError(
            f"There is no page {shown(wanted)[:100]!r}{nearest(wanted, pages()) or '.'} The tool docs without "
            "arguments lists the pages."
        )
    text, start = pages()[wanted].text, max(start, 0)
    end = start + max(int(settings.get("assistant.characters")) - _REST, _REST)
    part = text[start:end]
    return part if end >= len(text) else f"{part}\n… the page goes on: ask for it with start={end} (of {len(text)})."


def find(words: str) -> str:
    """Return the sections that fit best, each with its page and an extract.

    Words are words, never a language of searches.
    """
    quoted = " OR ".join(f'"{w}"' for w in re.findall(r"\w+", words)[:20])
    if not quoted:
        raise GeodesError("Say some words to search the documentation for.")
    with _lock:
        rows = _index().execute(
            "SELECT page, heading, snippet(sections, 2, '', '', ' … ', 40) FROM sections WHERE sections MATCH ? "
            # What people do and look up goes before why it is so and how it is run; the best rank is the lowest.
            "ORDER BY bm25(sections, 2.0, 4.0, 1.0) * "
            "CASE WHEN page LIKE 'explanation/%' OR page LIKE 'operations/%' THEN 1.0 ELSE 1.5 END LIMIT ?",
            (quoted, _RESULTS),
        ).fetchall()  # fmt: skip
    if not rows:
        return f"No page has any of these words: {shown(words)[:200]}."
    return "\n\n".join(f"{page} § {heading}\n{' '.join(extract.split())}" for page, heading, extract in rows)


@cache
def _index() -> sqlite3.Connection:
    """The sections of all pages, in memory: SQLite's full-text search finds forms of English words too."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE VIRTUAL TABLE sections USING fts5(page, heading, body, tokenize='porter unicode61')")
    rows = [(page.name, heading, body) for page in pages().values() for heading, body in _sections(page)]
    connection.executemany("INSERT INTO sections VALUES (?, ?, ?)", rows)
    return connection


def _sections(page: Page) -> Iterator[tuple[str, str]]:
    """Split a page at its headings; a # in code is none."""
    heading, body, in_code = page.title, list[str](), False
    for line in page.text.splitlines():
        in_code ^= line.startswith("```")
        if not in_code and (match := re.match(r"#{1,4} (.+)", line)):
            yield heading, "\n".join(body)
            heading, body = match[1], []
        else:
            body.append(line)
    yield heading, "\n".join(body)
