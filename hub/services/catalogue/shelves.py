"""What the service has: the harvested catalogue, and the users' own results beside it, as far as a person may see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac

from catalogue.access import Person, Rights
from geodes_lab.catalog.index import Index
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.snapshot import Collection

_COUNTED = 2_000_000  # Items among which a search is counted; of more it would take longer than the search


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
    """

    def __init__(self, harvested: Path, results: Path, rights: Rights) -> None:
        self._indexes = [Index(Profile(f.name, "local", str(f))) for f in (harvested, results)]
        self.results, self.rights = results, rights

    def collections(self, person: Person) -> dict[str, Collection]:
        """The collections that a person may see, by id."""
        return {
            name: told
            for index in self._indexes
            for name, told in index.snapshot.collections.items()
            if self.rights.may_read(person, name, told)
        }

    def extent(self, name: str) -> tuple[list[float], list[str | None]]:
        """Where and when the Items of a collection are: a box in degrees, and the first and last time."""
        files = [f for i in self._indexes for f in i.snapshot.files if f.collection == name]
        boxes = [f.bbox for f in files if f.bbox]
        box = [f(b[k] for b in boxes) for k, f in enumerate((min, min, max, max))] if boxes else [-180, -90, 180, 90]
        return box, [min((f.start for f in files), default=None), max((f.end for f in files), default=None)]

    def page(self, query: Query, skip: int) -> list[dict[str, Any]]:
        """The Items of a query, in order, from the one after ``skip`` on; its limit is that of the page."""
        several = self._holding(query)
        if len(several) == 1:
            return several[0].records(query, skip=skip)
        whole = replace(query, limit=skip + (query.limit or 0))
        items = [pystac.Item.from_dict(r, migrate=False) for i in several for r in i.records(whole)]
        return [
            i.to_dict(include_self_link=False, transform_hrefs=False) for i in query.sorted(items)[skip : whole.limit]
        ]

    def count(self, query: Query) -> int | None:
        """How many Items a query has; None where that would take long."""
        several = self._holding(query)
        looked_at = sum(f.rows for i in several for f in i.snapshot.needed(query))
        return sum(i.count(query) for i in several) if looked_at <= _COUNTED else None

    def queryables(self, names: Sequence[str]) -> dict[str, str]:
        """The properties of some collections, with their types."""
        known = {k: v for i in self._indexes for k, v in i.snapshot.collections.items()}
        return {k: v for name in names for k, v in known[name].queryables.items()}

    def _holding(self, query: Query) -> list[Index]:
        return [i for i in self._indexes if set(i.ids()) & set(query.collections)] or self._indexes[:1]
