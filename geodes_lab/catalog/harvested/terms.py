"""Limits for the size of a condition: checked before it is parsed, because parsers recurse as deep as their input."""

from __future__ import annotations

import re
from typing import Any

from geodes_lab.errors import GeodesError

LENGTH = 16_000
"""Characters of a condition in text."""
TEXT_DEPTH = 8
"""Nested brackets in text; the parser's time doubles with each."""
BRACKETS = 200
"""Brackets of a condition in text."""
CHAINED = 32
"""Operators in text that are parsed recursively, such as NOT."""
JOINED = 200
"""AND and OR in text."""
DEPTH = 48
"""Nested lists and objects of JSON."""
TERMS = 5_000
"""Values and operators of a condition; without the corners of its areas."""
VERTICES = 10_000
"""Corners of its areas, all together."""
PATTERN = 200
"""Characters of a LIKE pattern."""

_TOKENS = re.compile(
    r"""'(?:[^']++|'')*+'  | "(?:[^"]++|"")*+"   # texts and names, to their ends
      | [-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?
      | \w++(?:[:.]\w++)*+ | \S""",
    re.VERBOSE,
)
_CHAINED = {"not", "+", "-", "*", "/", "^", "%", "div"}


def check_text(text: str) -> None:
    """Check a condition in the text form of CQL2, before it is parsed.

    Raises
    ------
    GeodesError
        If it is larger or deeper than any real condition, or its brackets do not match.
    """
    if len(text) > LENGTH:
        raise GeodesError(
            f"The filter has {len(text):,} characters; the limit is {LENGTH:,}. Send it as JSON, by POST."
        )
    depth = brackets = chained = joined = signed = 0
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token in ("'", '"'):
            raise GeodesError(
                f"The filter {_short(text)} is not valid CQL2: a text or a name in it has no closing quote."
            )
        depth += (token == "(") - (token == ")")
        brackets += token == "("
        joined += token.lower() in ("and", "or")
        is_operator = token.lower() in _CHAINED
        is_sign = token[0] in "+-" and not is_operator  # a corner of an area, or a chain of differences
        signed += is_sign
        chained += is_operator or (is_sign and signed > 3)
        if token in "(,=<>" or token.lower() in ("and", "or"):
            signed = 0
        if depth > TEXT_DEPTH or brackets > BRACKETS:
            raise GeodesError(
                f"The filter has too many brackets: at most {TEXT_DEPTH} inside each other, and {BRACKETS} in all."
            )
        if depth < 0:
            break
    if depth:
        raise GeodesError(f"The filter {_short(text)} is not valid CQL2: a bracket in it is not closed.")
    if joined > JOINED:
        raise GeodesError(
            f"The filter has {joined} operators AND and OR; the limit is {JOINED}. Use IN, or search for less at once."
        )
    if chained > CHAINED:
        raise GeodesError(
            f"The filter has {chained} operators NOT, +, -, *, / and ^; the limit is {CHAINED}. Use fewer."
        )


def check(condition: Any) -> None:
    """Check a condition in the JSON form of CQL2, without recursion.

    Raises
    ------
    GeodesError
        If it is larger or deeper than any real condition.
    """
    terms = vertices = 0
    waiting: list[tuple[Any, int, bool]] = [(condition, 1, False)]
    while waiting:
        value, depth, is_area = waiting.pop()
        if depth > DEPTH:
            raise GeodesError(f"The filter has more than {DEPTH} lists and objects inside each other: simplify it.")
        if isinstance(value, dict):
            waiting += [(v, depth + 1, is_area or k == "coordinates") for k, v in value.items()]
        elif isinstance(value, list):
            if is_area and value and not isinstance(value[0], (list, dict)):
                vertices += 1
                continue
            waiting += [(v, depth + 1, is_area) for v in value]
        terms += not is_area
        if terms > TERMS:
            raise GeodesError(f"The filter has more than {TERMS:,} terms: search for less at once.")
        if vertices > VERTICES:
            raise GeodesError(f"The areas of the filter have more than {VERTICES:,} corners: simplify them.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:99]}…")
