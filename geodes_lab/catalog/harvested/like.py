"""LIKE in time: DuckDB's own takes the length of a text to the power of the wildcards, these tests take it once."""

from __future__ import annotations

import re


def test(pattern: str) -> tuple[str, str]:
    """How SQL tests whether a text is like a pattern.

    Parameters
    ----------
    pattern
        ``%`` is any text, ``_`` one character, and a backslash takes their meaning away.

    Returns
    -------
    tuple
        The test with two places, for the text and for the question mark, and the value of the latter.
    """
    parts = _parts(pattern)
    plain = "".join(p[1:] for p in parts)
    if "_" not in parts and "%" not in parts:
        return "({} = {})", plain
    if "_" not in parts and parts.index("%") == len(parts) - 1:
        return "starts_with({}, {})", plain
    written = ({"%": ".*", "_": "."}.get(p) or re.sub(r"([^\w\u0080-\U0010ffff])", r"\\\1", p[1:]) for p in parts)
    return "regexp_full_match({}, {}, 's')", "".join(written)


def _parts(pattern: str) -> list[str]:
    """``%``, ``_``, and characters that mean themselves, each after a ``=``."""
    found: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            found.append(f"={next(characters, character)}")
        elif character == "%" and found[-1:] == ["%"]:
            continue
        else:
            found.append(character if character in "%_" else f"={character}")
    return found
