"""Who may see each collection, and who may change it."""

from __future__ import annotations

import re
from collections.abc import Collection as Several
from collections.abc import Mapping
from dataclasses import dataclass, field

from geodes_lab.catalog.harvested.snapshot import Collection
from hub.services.person import Person

_OWN = re.compile(r"[\w-]{1,60}", re.ASCII)
_PERSON = re.compile(r"[\w@-]+(\.[\w@-]+)*", re.ASCII)
READERS = "geodes:readers"
"""In a user's collection: the groups that may read it; ``*`` means everybody who is logged in."""


@dataclass(frozen=True)
class Rights:
    """The operator's rules."""

    restricted: Mapping[str, Several[str]] = field(default_factory=dict)
    """Collections that only some groups may see."""

    def may_read(self, person: Person, name: str, told: Collection) -> bool:
        """Whether a person may see a collection; for others it seems not to exist."""
        if told.damaged:  # its readers are unknown
            return bool(person.name) and person.name == told.owner
        if told.owner:
            listed = told.document.get(READERS)
            readers = {r for r in listed if isinstance(r, str)} if isinstance(listed, list) else set()
            return bool(person.name) and (person.name == told.owner or "*" in readers or bool(person.groups & readers))
        return name not in self.restricted or bool(person.groups & set(self.restricted[name]))

    def may_name(self, person: Person, name: str) -> bool:
        """Whether a person's results may have this name: the person's name, a dot, and a name without dots.

        A person's name may contain dots: so `jean` cannot create a collection that looks like one of `jean.dupont`.
        """
        owner, _, own = name.rpartition(".")
        is_path = bool(_PERSON.fullmatch(owner)) and bool(_OWN.fullmatch(own))
        return bool(person.name) and owner == person.name and is_path
