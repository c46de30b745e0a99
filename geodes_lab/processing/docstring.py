"""What a numpydoc docstring says: the first sentence, the rest, and what each parameter is."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from itertools import pairwise

_SECTION = re.compile(r"^-{3,}\s*$")
_PARAMETER = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")


@dataclass(frozen=True)
class Described:
    """A docstring, in its parts."""

    title: str = ""
    """Its first line, without the full stop."""
    text: str = ""
    """What is between the first line and the first section."""
    parameters: dict[str, str] = field(default_factory=dict)


def described(documented: object) -> Described:
    """Read the docstring of a function; without one, all is empty."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    starts = [n for n in range(len(lines) - 1) if lines[n].strip() and _SECTION.match(lines[n + 1])]
    front = lines[: starts[0]] if starts else lines
    summary, _, text = "\n".join(front).strip().partition("\n\n")
    parameters: dict[str, str] = {}
    for begin, end in pairwise([*starts, len(lines)]):
        if lines[begin].strip() in ("Parameters", "Other Parameters"):
            parameters |= _parameters(lines[begin + 2 : end])
    return Described(_flat(summary).rstrip("."), _paragraphs(text), parameters)


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        head = _PARAMETER.match(line) if line and not line[0].isspace() else None
        if head is not None:
            names = [n.strip().lstrip("*") for n in head[1].split(",")]
            found |= {n: [] for n in names}
        else:
            for name in names:
                found[name].append(line.strip())
    return {name: _paragraphs("\n".join(text)) for name, text in found.items()}


def _paragraphs(text: str) -> str:
    return "\n\n".join(_flat(part) for part in re.split(r"\n\s*\n", text) if part.strip())


def _flat(text: str) -> str:
    return " ".join(text.split())
