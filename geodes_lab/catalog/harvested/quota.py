"""How much space results may take, for each person and all together; the disk is never filled."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.catalog.harvested.snapshot import Snapshot
from geodes_lab.errors import GeodesError

_MIB, _GIB = 2**20, 2**30
_RESERVE = (_GIB, 0.05)  # bytes of a disk that stay free, or a fraction of it if that is less


class QuotaExceeded(GeodesError):
    """There is no space for a change."""


@dataclass(frozen=True)
class Quota:
    """The limits for results."""

    size: int = 200 * _MIB
    """Bytes for a person: on disk, or in memory if that is more."""
    items: int = 20_000
    """Items of a person."""
    whole: int = 20 * _GIB
    """Bytes for everybody together."""
    collections: int = 100
    """Collections of a person."""
    files: int = 1_000
    """Files of a person: one for each month of a collection."""
    properties: int = 500
    """Names of properties in one collection."""

    def check(self, before: Snapshot, after: Snapshot, owner: str) -> None:
        """Check that a change of a person's results is allowed; a change that makes them smaller always is.

        Raises
        ------
        QuotaExceeded
            With a sentence that names the exceeded limit.
        """
        was, will = _use(before, owner), _use(after, owner)
        units = ("bytes", "Items", "collections", "files (each month of a collection is one)")
        for unit, most, old, new in zip(
            units, (self.size, self.items, self.collections, self.files), was, will, strict=True
        ):
            if new > most and new > old:
                raise QuotaExceeded(
                    f"Your results would have {new:,} {unit}; the limit is {most:,}. Delete some of your results."
                )
        for name, collection in after.collections.items():
            number = len(collection.queryables)
            if collection.owner == owner and number > max(self.properties, len(_queryables(before, name))):
                raise QuotaExceeded(
                    f"{name} would have {number} names of properties; the limit is {self.properties}. Use fewer names."
                )
        whole = sum(f.size for f in after.files)
        if whole > self.whole and whole > sum(f.size for f in before.files):
            raise QuotaExceeded("The space for the results of all users is full: ask the operator of the lab for more.")

    def check_disk(self, folder: Path) -> None:
        """Check that the disk has space for any change.

        Raises
        ------
        QuotaExceeded
            If it has no space.
        """
        usage = shutil.disk_usage(folder)
        if usage.free < min(_RESERVE[0], _RESERVE[1] * usage.total):
            raise QuotaExceeded(
                "The disk of the results is full: tell the operator of the lab. Saved results can still be read."
            )


def _queryables(snapshot: Snapshot, name: str) -> dict[str, str]:
    return snapshot.collections[name].queryables if name in snapshot.collections else {}


def _use(snapshot: Snapshot, owner: str) -> tuple[int, int, int, int]:
    """Return bytes, Items, collections and files of a person."""
    own = {k: c for k, c in snapshot.collections.items() if c.owner == owner}
    files = [f for f in snapshot.files if f.collection in own]
    size = sum(f.size for f in files) + sum(len(json.dumps(c.document)) for c in own.values())
    return size, sum(f.rows for f in files), len(own), len(files)
