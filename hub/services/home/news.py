"""Announcements: maintenance, formats and baselines of products, network.

Stored in one file, served as JSON and as an Atom feed.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import threading
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args
from xml.sax.saxutils import escape, quoteattr

Kind = Literal["maintenance", "products", "network", "service", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LONGEST = 4000  # characters
_MOST = 200  # announcements


@dataclass(frozen=True)
class Announcement:
    """One announcement."""

    id: str
    kind: Kind
    title: str
    text: str
    titre: str
    """In French; defaults to the title."""
    texte: str
    published: str
    """ISO time."""
    until: str = ""
    """When it expires; empty: never."""

    def in_(self, language: str) -> tuple[str, str]:
        """Return title and text in a language."""
        return (self.titre or self.title, self.texte or self.text) if language == "fr" else (self.title, self.text)


class News:
    """All announcements, the latest first.

    Parameters
    ----------
    file
        The path of the file.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def all(self) -> list[Announcement]:
        """Return those that have not expired."""
        now = datetime.now(UTC)
        return [a for a in self._read() if not a.until or _time(a.until) > now]

    def add(self, told: dict[str, Any]) -> Announcement:
        """Publish.

        Raises
        ------
        ValueError
            If a field is missing, unknown, or too long.
        """
        known = {f.name for f in fields(Announcement)} - {"id", "published"}
        if unknown := set(told) - known:
            raise ValueError(f"{min(unknown)!r} is not known; the known names are {', '.join(sorted(known))}")
        values = {k: str(v).strip() for k, v in told.items() if v}
        if not values.get("title"):
            raise ValueError("the title is missing")
        if values.get("kind", "other") not in KINDS:
            raise ValueError(f"the kind must be one of {', '.join(KINDS)}")
        if max(map(len, values.values())) > _LONGEST:
            raise ValueError(f"the limit is {_LONGEST} characters")
        if values.get("until"):
            values["until"] = _time(values["until"]).isoformat()
        announcement = Announcement(
            id=secrets.token_hex(8),
            published=datetime.now(UTC).isoformat(timespec="seconds"),
            **{"kind": "other", "text": "", "titre": "", "texte": "", **values},  # type: ignore[arg-type]
        )
        with self._lock:
            self._write([announcement, *self._read()][:_MOST])
        return announcement

    def remove(self, name: str) -> bool:
        """Remove one; return whether it existed."""
        with self._lock:
            before = self._read()
            after = [a for a in before if a.id != name]
            if len(after) < len(before):
                self._write(after)
        return len(after) < len(before)

    def feed(self, title: str, address: str, language: str) -> str:
        """Return all of them as Atom."""
        entries = []
        several = self.all()
        for a in several:
            head, text = a.in_(language)
            link = quoteattr(f"{address}#{a.id}")
            entries.append(
                f"<entry><id>urn:geodes-lab:news:{a.id}</id><title>{escape(head)}</title><updated>{a.published}</updated><published>"
                f"{a.published}</published><category term={quoteattr(a.kind)}/><link rel='alternate' href={link}/>"
                f"<summary>{escape(text)}</summary></entry>"
            )
        updated = several[0].published if several else "2026-01-01T00:00:00+00:00"
        return (
            f"<?xml version='1.0' encoding='utf-8'?><feed xmlns='http://www.w3.org/2005/Atom' "
            f"xml:lang='{language}'><id>{escape(address)}</id>"
            f"<title>{escape(title)}</title><updated>{updated}</updated><author><name>{escape(title)}</name></author>"
            f"<link rel='self' href={quoteattr(address + 'feed.atom')}/>{''.join(entries)}</feed>"
        )

    def _read(self) -> list[Announcement]:
        try:
            return [Announcement(**a) for a in json.loads(self._file.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _write(self, several: list[Announcement]) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._file.parent, prefix=".news", delete=False) as file:
            json.dump([asdict(a) for a in several], file, indent=1)
        Path(file.name).replace(self._file)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
