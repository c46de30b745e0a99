"""LIKE in linear time: DuckDB's own takes the length of a text to the power of the number of wildcards."""

from __future__ import annotations

import re


def test(pattern: str) -> tuple[str, str]:
    """Return the SQL test whether a text matches a pattern.

    Parameters
    ----------
    pattern
        ``%`` is any text, ``_`` one character, and a backslash escapes both.

    Returns
    -------
    tuple
        The test with two placeholders, for the text and for the question mark, and the value of the latter.
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
    """Split into ``%``, ``_``, and literal characters, each after a ``=``."""
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            parts.append(f"={next(characters, character)}")
        elif character == "%" and parts[-1:] == ["%"]:
            continue
        else:
            parts.append(character if character in "%_" else f"={character}")
    return parts
