"""Products that are whole come into the catalogue: of each acquisition, the newest processing is the latest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodes_lab.acquisition.converting import converted_key
from geodes_lab.acquisition.destination import Destination
from geodes_lab.acquisition.identity import Identity, identify, newest_last
from geodes_lab.acquisition.ledger.entries import Entries, Entry
from geodes_lab.acquisition.settings.wanted import Wanted
from geodes_lab.catalog.harvested.snapshot import Snapshot
from geodes_lab.catalog.harvested.writable import WritableCatalogue
from geodes_lab.util import faults

_MOST = 500  # products that are entered together: each change writes the files of their months anew


@dataclass(frozen=True)
class Cataloguing:
    """Enters products, and removes what was superseded long enough ago."""

    entries: Entries
    folder: Path
    """The catalogue's."""
    collections: Mapping[str, Wanted]

    def enter(self) -> int:
        """Enter all products that wait; returns how many."""
        number = 0
        while waiting := self.entries.waiting(_MOST):
            by_collection: dict[str, list[Entry]] = {}
            for one in waiting:
                by_collection.setdefault(one.collection, []).append(one)
            for name, several in by_collection.items():
                self._enter(name, several)
            number += len(waiting)
        return number

    def _enter(self, name: str, new: Sequence[Entry]) -> None:
        everything = self.entries.of_acquisitions(name, (e.acquisition for e in new))
        numbers = {e.number for e in new}
        records: dict[str, dict[str, Any]] = {}
        older: list[Entry] = []
        newest: list[Entry] = []
        for group in _acquisitions(everything):
            changed = False
            items: dict[str, tuple[Entry, bool]] = {}
            for place, one in enumerate(group):
                is_newest = place == len(group) - 1
                if one.number in numbers or (one.superseded is None) != is_newest:
                    changed = True
                    (newest if is_newest else older).append(one)
                items[one.name] = (one, is_newest)  # of two with the same name, the newer one has the Item
            if changed:
                records |= {k: _record(e, is_newest) for k, (e, is_newest) in items.items()}
        faults.reach("catalogue.begun")
        catalogue = WritableCatalogue(self.folder)
        if name not in Snapshot.load(self.folder).collections:
            title = self.collections[name].title if name in self.collections else None
            catalogue.create(name, {"title": title or name})
        # One change for all: nobody sees two latest processings of an acquisition, or none.
        catalogue.put(name, list(records.values()))
        faults.reach("catalogue.written")
        self.entries.entered(new, older, newest)
        faults.reach("catalogue.recorded")

    def remove_superseded(self, before: float, destination: Destination) -> int:
        """Remove products that were superseded before a time: from the catalogue first, then from the datalake."""
        number = 0
        while due := self.entries.superseded_before(before, _MOST):
            for one in due:
                if not self.entries.has_other(one):
                    WritableCatalogue(self.folder).remove(one.collection, [one.name])
                faults.reach("retention.hidden")
                if not self.entries.is_used(one):
                    destination.place(converted_key(one.key)).remove_all()
                    destination.remove(one.key)
                faults.reach("retention.removed")
                self.entries.removed(one)
            number += len(due)
        return number


def _acquisitions(several: Sequence[Entry]) -> list[list[Entry]]:
    """Group products by acquisition, each group with the newest processing at its end."""
    groups: list[list[tuple[Entry, Identity]]] = []
    told = sorted(((e, identify(e.name, e.properties)) for e in several), key=_begin)
    for entry, identity in told:
        group = groups[-1] if groups else []
        if group and group[0][0].acquisition == entry.acquisition and _is_near(group[0][1], identity):
            group.append((entry, identity))
        else:
            groups.append([(entry, identity)])
    return [[g[n][0] for n in newest_last([(i, e.published) for e, i in g])] for g in groups]


def _begin(told: tuple[Entry, Identity]) -> tuple[str, float]:
    entry, identity = told
    return entry.acquisition, identity.sensed.timestamp() if identity.sensed else 0.0


def _is_near(one: Identity, other: Identity) -> bool:
    if one.sensed is None or other.sensed is None:
        return one.sensed is other.sensed
    return abs((one.sensed - other.sensed).total_seconds()) <= max(one.slack, other.slack)


def _record(entry: Entry, is_latest: bool) -> dict[str, Any]:
    properties = {**entry.item["properties"], "latest": is_latest}
    if not is_latest:
        properties["deprecated"] = True
    if entry.withdrawn:
        properties["geodes:withdrawn"] = entry.withdrawn
    record = {**entry.item, "properties": properties}
    if entry.converted:
        extensions = {*entry.item["stac_extensions"], *entry.converted["stac_extensions"]}
        record["assets"] = {**entry.item["assets"], **entry.converted["assets"]}
        record["stac_extensions"] = sorted(extensions)
    return record
