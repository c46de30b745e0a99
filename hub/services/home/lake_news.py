"""What the acquisition engine tells of the datalake: the newest entries of its feed, ``news.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_LARGEST = 2**22  # bytes of the feed; the engine's has 200 entries
_LONGEST = 400  # characters of a sentence
_MOST = 8  # entries
_ARRIVALS = 3  # of them: products that arrived, which may be many
KINDS = frozenset(
    ("collection", "product type", "baseline", "format", "address")
    + ("arrival", "deletion", "refusal", "outage", "recovery")
)


@dataclass(frozen=True)
class Told:
    """One entry."""

    kind: str
    """One of `KINDS`, or ``other``."""
    text: str
    texte: str
    """In French; empty: there is only the English sentence."""
    published: str
    """ISO time."""


def newest(folder: str) -> list[Told]:
    """Return the newest entries of the feed in a folder; empty if there is none, or it cannot be understood."""
    try:
        if not folder:
            return []
        with (Path(folder) / "news.json").open("rb") as file:
            data = file.read(_LARGEST + 1)
        items = json.loads(data)["items"] if len(data) <= _LARGEST else []
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    told, arrivals = list[Told](), 0
    for one in filter(None, map(_understood, items if isinstance(items, list) else [])):
        arrivals += one.kind == "arrival"
        if one.kind != "arrival" or arrivals <= _ARRIVALS:
            told.append(one)
        if len(told) == _MOST:
            break
    return told


def _understood(item: Any) -> Told | None:
    try:
        texts = [item["title"], item.get("_fr") or "", item["date_published"], *item["tags"]]
        if not all(isinstance(t, str) for t in texts):
            return None
        datetime.fromisoformat(texts[2].replace("Z", "+00:00"))
        return Told(texts[3] if texts[3] in KINDS else "other", texts[0][:_LONGEST], texts[1][:_LONGEST], texts[2])
    except (TypeError, KeyError, AttributeError, IndexError, ValueError):
        return None
