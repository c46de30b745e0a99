"""The long tests, which ``tests/long.yaml`` lists."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import yaml

from tests.support.paths import TOP


class Entry(NamedTuple):
    """What one line of the list means."""

    of: str
    """A file, a test, or a case of one, as pytest calls it."""
    but: tuple[str, ...] = ()
    """What stays of it: tests of a file, or cases of a test."""
    every: int = 0
    """One case of so many stays, in pytest's order. It has no common divisor with the number of values of the first axis, so each of them stays."""

    def has(self, name: str, place: int = 0) -> bool:
        """Whether a test, as pytest calls it, is among them; its place counts the cases of its test."""
        if self.every and place % self.every == 0:
            return False
        rest = name.removeprefix(self.of)
        if rest == name or (rest and not rest.startswith(("::", "["))):
            return name == self.of
        return rest.removeprefix("::") not in self.but and rest.removeprefix("[").removesuffix("]") not in self.but


@cache
def entries() -> dict[str, tuple[Entry, ...]]:
    """The entries of the list, by the mark that they give."""
    listed = yaml.load((TOP / "tests" / "long.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    lines = {"slow": [line for group in listed["slow"] for line in group["tests"]], "thorough": listed["thorough"]}
    return {mark: tuple(map(_entry, several)) for mark, several in lines.items()}


@cache
def _of(file: str) -> list[tuple[str, Entry]]:
    """The entries of a file with their marks: each process asks for each test, and most files have none."""
    return [(mark, e) for mark, several in entries().items() for e in several if e.of.partition("::")[0] == file]


def marks(name: str, place: int) -> list[str]:
    """The marks of a test by the list: ``slow``, which `make test` leaves out, and ``thorough``, as `make check` does."""
    return list(dict.fromkeys(mark for mark, entry in _of(name.partition("::")[0]) if entry.has(name, place)))


def _entry(line: str | dict[str, Any]) -> Entry:
    return Entry(line) if isinstance(line, str) else Entry(line["of"], tuple(line.get("but", ())), line.get("every", 0))
