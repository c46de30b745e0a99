"""The collections of the service.

The harvested catalogue, and the users' own results beside it, restricted to what a person may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geodes_lab.catalog.harvested.engine import Limits
from geodes_lab.catalog.harvested.index import Index, Page
from geodes_lab.catalog.harvested.quarantine import Quarantine
from geodes_lab.catalog.harvested.snapshot import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from hub.services.catalogue.access import Rights
from hub.services.person import Person

_COUNTED = 2_000_000  # Items up to which matches are counted; with more, counting would take longer than the search
SKIPPED = 1_000_000
"""The highest number of Items before a page."""


class Shelves:
    """Two folders of one form, searched as one.

    Parameters
    ----------
    harvested
        The output of `geodes-lab harvest`, or a lab's sample.
    results
        The users' results.
    rights
        The operator's rules.
    limits
        The limits for searches.
    """

    def __init__(self, harvested: Path, results: Path, rights: Rights, limits: Limits | None = None) -> None:
        self._quarantine = Quarantine()
        profile = Profile(harvested.name, "local", str(harvested))
        limits = limits or Limits(memory=2**30, seconds=20, answer=16 * 2**20)
        self._index = Index(profile, (results,), limits, self._quarantine)
        self.results, self.rights = results, rights

    def everything(self) -> dict[str, Collection]:
        """Return all collections, whoever may see them.

        Harvested ones take precedence over results with the same name.
        """
        by_name: dict[str, Collection] = {}
        for snapshot in self._index.snapshots:
            by_name = {**snapshot.collections, **by_name}
        return by_name

    def collections(self, person: Person) -> dict[str, Collection]:
        """Return the collections that a person may see, by id."""
        return {
            name: collection
            for name, collection in self.everything().items()
            if self.rights.may_read(person, name, collection)
        }

    def damage(self, name: str) -> str:
        """Return what is wrong with a collection: a sentence, or an empty text."""
        collection = self.everything().get(name, Collection())
        if collection.damaged:
            return collection.damaged
        path, sentence = self._quarantine.told.get(name, ("", ""))
        # Deleted or replaced, perhaps by another process of the service: nothing is wrong any more.
        is_there = (
            any(path == str(s.folder / f.path) for s in self._index.snapshots for f in s.files) if path else False
        )
        return sentence if is_there else ""

    def extent(self, name: str) -> tuple[list[float], list[str | None]]:
        """Return the extent of a collection's Items: a box in degrees, and the first and last time."""
        snapshot = next((s for s in self._index.snapshots if name in s.collections), None)
        files = [f for f in snapshot.files if f.collection == name] if snapshot else []
        boxes = [f.bbox for f in files if f.bbox]
        box: list[float] = [-180, -90, 180, 90]
        if boxes:
            box = [f(b[k] for b in boxes) for k, f in enumerate((min, min, max, max))]
        return box, [min((f.start for f in files), default=None), max((f.end for f in files), default=None)]

    def page(self, query: Query, skip: int) -> list[dict[str, Any]]:
        """Return the Items of a query, in order, from the one after ``skip`` on; its limit is that of the page."""
        return self.after(query, skip).records

    def after(self, query: Query, skip: int) -> Page:
        """Return the same, with how many to skip for the next page: a page has fewer Items if they are large."""
        return self._index.page(query, skip)

    def count(self, query: Query) -> int | None:
        """Return how many Items match a query; None if counting would take long."""
        looked_at = sum(f.rows for s in self._index.snapshots for f in s.needed(query))
        return self._index.count(query) if looked_at <= _COUNTED else None

    def queryables(self, names: Sequence[str]) -> dict[str, str]:
        """Return the properties of some collections, with their types."""
        known = self.everything()
        return {k: v for name in names for k, v in known[name].askable.items()}
