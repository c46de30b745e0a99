"""The French of what the lab's own processes say of themselves: ``french.json``; a test asks for each sentence."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path


@cache
def _known() -> dict[str, str]:
    sentences: dict[str, str] = json.loads(Path(__file__).with_name("french.json").read_text())
    return sentences


def of(text: str) -> str:
    """Return a sentence in French; one that is not known, such as of a person's own package, stays as it is."""
    return _known().get(text, text)


def has(text: str) -> bool:
    """Whether a sentence has its French."""
    return text in _known()
