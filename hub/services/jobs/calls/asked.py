"""What a call of a runner or a kernel gives, checked: texts, numbers and lists within bounds."""

from __future__ import annotations

import json
from typing import Any

from geodes_lab.errors import GeodesError
from hub.services.bounds import check_depth

LONGEST = 200
"""Characters of a name."""
_MOST_LISTED = 1000
_DEPTH = 64


def check(given: Any) -> str:
    """Check a JSON text before it is parsed: how deep it is, and that its numbers are finite.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(given, str):
        raise ValueError("no text")
    check_depth(given.encode(), _DEPTH)
    json.loads(given, parse_constant=_no_number)
    return given


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def document(given: dict[str, Any], name: str) -> str:
    """Return a JSON text that was checked."""
    return check(given.get(name))


def text(given: dict[str, Any], name: str, most: int = LONGEST) -> str:
    """Return a text."""
    value = given.get(name)
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise GeodesError(f"{name} must be a text of at most {most} characters.")
    return value


def whole(given: dict[str, Any], name: str, default: int | None = None) -> int:
    """Return a whole number."""
    value = given.get(name, default)
    if type(value) is not int or not 0 <= value < 2**62:
        raise GeodesError(f"{name} must be a whole number.")
    return value


def seconds(given: dict[str, Any]) -> float:
    """Return a number of seconds."""
    value = given.get("seconds")
    if not isinstance(value, (int, float)) or not 0 <= value <= 1e7:
        raise GeodesError("seconds must be a number of seconds.")
    return float(value)


def numbers(given: dict[str, Any], name: str) -> list[int]:
    """Return a list of whole numbers."""
    value = given.get(name)
    if not isinstance(value, list) or len(value) > 4096 or not all(type(n) is int and 0 <= n < 2**62 for n in value):
        raise GeodesError(f"{name} must be a list of whole numbers.")
    return value


def jobs_of(given: dict[str, Any]) -> list[str]:
    """Return ids of jobs."""
    value = given.get("jobs")
    if not isinstance(value, list) or len(value) > _MOST_LISTED or not all(isinstance(n, str) for n in value):
        raise GeodesError(f"jobs must be a list of at most {_MOST_LISTED} ids.")
    return value


def page(given: dict[str, Any]) -> tuple[int, int]:
    """Return how many are wanted, and after how many."""
    return min(whole(given, "limit", 100), _MOST_LISTED), whole(given, "offset", 0)


def states(given: dict[str, Any]) -> list[str]:
    """Return states of jobs."""
    value = given.get("states", [])
    if not isinstance(value, list) or len(value) > 10 or not all(isinstance(s, str) for s in value):
        raise GeodesError("states must be a list of states.")
    return value


def texts(given: dict[str, Any], name: str, most: int) -> list[str]:
    """Return a list of texts."""
    value = given.get(name)
    if not isinstance(value, list) or len(value) > most or not all(_is_text(t) for t in value):
        raise GeodesError(f"{name} must be a list of at most {most} texts.")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 500 and "\0" not in value
