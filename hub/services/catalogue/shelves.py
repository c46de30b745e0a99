"""What the service has.

The harvested catalogue, and the users' own results beside it, as far as a person may see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geodes_lab.catalog.harvested.engine import Limits
from geodes_lab.catalog.harvested.index import Index
from geodes_lab.catalog.harvested.quarantine import Quarantine
from geodes_lab.catalog.harvested.snapshot import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from hub.services.catalogue.access import Rights
from hub.services.person import Person

_COUNTED = 2_000_000  # Items among which a search is counted; of more it would take longer than the search
SKIPPED = 1_000_000
"""Items before the first one of a page, at most."""


class Shelves:
    """Two folders of one form, searched as one.

    Parameters
    ----------
    harvested
        What `geodes-lab harvest` wrote, or a lab's sample.
    results
        What users put here.
    rights
        The operator's rules.
    limits
        What searches may use.
    """

    def __init__(self, harvested: Path, results: Path, rights: Rights, limits: Limits | None = None) -> None:
        self._quarantine = Quarantine()
        profile = Profile(harvested.name, "local", str(harvested))
        limits = limits or Limits(memory=2**30, seconds=20, answer=16 * 2**20)
        self._index = Index(profile, (results,), limits, self._quarantine)
        self.results, self.rights = results, rights

    def everything(self) -> dict[str, Collection]:
        """All collections, whoever may see them; what was harvested goes before results of the same name."""
        found: dict[str, Collection] = {}
        for snapshot in self._index.snapshots:
            found = {**snapshot.collections, **found}
        return found

    def collections(self, person: Person) -> dict[str, Collection]:
        """The collections that a person may see, by id."""
        return {name: told for name, told in self.everything().items() if self.rights.may_read(person, name, told)}

    def damage(self, name: str) -> str:
        """What is wrong with a collection: a sentence, or nothing."""
        told = self.everything().get(name, Collection())
        return told.damaged or self._quarantine.told.get(name, "")

    def mended(self, name: str) -> None:
        """Forget what was wrong with a collection: it is not there any more, or was made anew."""
        self._quarantine.told.pop(name, None)

    def extent(self, name: str) -> tuple[list[float], list[str | None]]:
        """Where and when the Items of a collection are: a box in degrees, and the first and last time."""
        snapshot = next((s for s in self._index.snapshots if name in s.collections), None)
        files = [f for f in snapshot.files if f.collection == name] if snapshot else []
        boxes = [f.bbox for f in files if f.bbox]
        box: list[float] = [-180, -90, 180, 90]
        if boxes:
            box = [f(b[k] for b in boxes) for k, f in enumerate((min, min, max, max))]
        return box, [min((f.start for f in files), default=None), max((f.end for f in files), default=None)]

    def page(self, query: Query, skip: int) -> list[dict[str, Any]]:
        """The Items of a query, in order, from the one after ``skip`` on; its limit is that of the page."""
        return self.after(query, skip)[0]

    def after(self, query: Query, skip: int) -> tuple[list[dict[str, Any]], int]:
        """The same, and how many to skip for the next page: fewer are given where they are large."""
        return self._index.page(query, skip)

    def count(self, query: Query) -> int | None:
        """How many Items a query has; None where that would take long."""
        looked_at = sum(f.rows for s in self._index.snapshots for f in s.needed(query))
        return self._index.count(query) if looked_at <= _COUNTED else None

    def queryables(self, names: Sequence[str]) -> dict[str, str]:
        """The properties of some collections, with their types."""
        known = self.everything()
        return {k: v for name in names for k, v in known[name].askable.items()}
