"""The long tests that ``tests/long.yaml`` lists, which `make test` leaves out."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import yaml

from tests.support.paths import TOP


class Entry(NamedTuple):
    """What one line of the list means."""

    of: str
    """A file, a test, or a case of one, as pytest calls it."""
    but: tuple[str, ...] = ()
    """What stays of it: tests of a file, or cases of a test."""

    def has(self, name: str) -> bool:
        """Whether a test, as pytest calls it, is among them."""
        rest = name.removeprefix(self.of)
        if rest == name or (rest and not rest.startswith(("::", "["))):
            return name == self.of
        return rest.removeprefix("::") not in self.but and rest.removeprefix("[").removesuffix("]") not in self.but


@cache
def entries() -> tuple[Entry, ...]:
    """All entries of the list."""
    groups = yaml.safe_load((TOP / "tests" / "long.yaml").read_text())
    lines = [line for group in groups for line in group["tests"]]
    return tuple(Entry(line) if isinstance(line, str) else Entry(line["of"], tuple(line["but"])) for line in lines)


def is_long(name: str) -> bool:
    """Whether `make test` leaves a test out."""
    return any(entry.has(name) for entry in entries())
