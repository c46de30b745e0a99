"""Who sees which collection, and who may change it."""

from __future__ import annotations

import re
from collections.abc import Collection as Several
from dataclasses import dataclass, field

from person import Person

from geodes_lab.catalog.snapshot import Collection

_NAME = re.compile(r"[\w@-]+(\.[\w@-]+)+", re.ASCII)
READERS = "geodes:readers"
"""In a user's collection: the groups that may read it; ``*`` is everybody."""


@dataclass(frozen=True)
class Rights:
    """The operator's rules."""

    restricted: dict[str, Several[str]] = field(default_factory=dict)
    """Collections that only some groups see."""

    def may_read(self, person: Person, name: str, told: Collection) -> bool:
        """Whether a person sees a collection; who does not cannot tell it from one that is not there."""
        if told.owner:
            readers = set(told.document.get(READERS, ()))
            return person.name == told.owner or "*" in readers or bool(person.groups & readers)
        return name not in self.restricted or bool(person.groups & set(self.restricted[name]))

    def may_name(self, person: Person, name: str) -> bool:
        """Whether a person's results may be called so: the name begins with the person's own, and can be part of a path."""
        return bool(person.name) and name.startswith(f"{person.name}.") and bool(_NAME.fullmatch(name))
