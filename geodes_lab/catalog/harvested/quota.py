"""How much room results may take: of each person, and all together; the disk is never filled."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.catalog.harvested.snapshot import Snapshot
from geodes_lab.errors import GeodesError

_MIB, _GIB = 2**20, 2**30
_RESERVE = (_GIB, 0.05)  # bytes of a disk that stay free, or a part of it if that is less


class QuotaExceeded(GeodesError):
    """There is no room for a change."""


@dataclass(frozen=True)
class Quota:
    """What results may take."""

    size: int = 200 * _MIB
    """Bytes of a person: on disk, or as they are read where that is more."""
    items: int = 20_000
    """Items of a person."""
    whole: int = 20 * _GIB
    """Bytes of everybody."""
    collections: int = 100
    """Of a person."""
    files: int = 1_000
    """Of a person: each month of a collection is one."""
    properties: int = 500
    """Names of properties in one collection."""

    def check(self, before: Snapshot, after: Snapshot, owner: str) -> None:
        """Look whether a change of a person's results may be; what makes them smaller always may.

        Raises
        ------
        QuotaExceeded
            A sentence that says what there is too much of.
        """
        was, will = _use(before, owner), _use(after, owner)
        units = ("bytes", "Items", "collections", "files (each month of a collection is one)")
        for unit, most, old, new in zip(
            units, (self.size, self.items, self.collections, self.files), was, will, strict=True
        ):
            if new > most and new > old:
                raise QuotaExceeded(
                    f"Your results may have {most:,} {unit}, and would have {new:,}: delete some of them."
                )
        for name, told in after.collections.items():
            number = len(told.queryables)
            if told.owner == owner and number > max(self.properties, len(_queryables(before, name))):
                raise QuotaExceeded(
                    f"{name} may have {self.properties} names of properties, and would have {number}: use fewer."
                )
        whole = sum(f.size for f in after.files)
        if whole > self.whole and whole > sum(f.size for f in before.files):
            raise QuotaExceeded("The results of all people together have no more room: tell the operator of the lab.")

    def check_disk(self, folder: Path) -> None:
        """Look whether the disk has room for anything at all.

        Raises
        ------
        QuotaExceeded
            If it has not.
        """
        told = shutil.disk_usage(folder)
        if told.free < min(_RESERVE[0], _RESERVE[1] * told.total):
            raise QuotaExceeded(
                "The disk of the results is full: tell the operator of the lab. What is there can be read."
            )


def _queryables(snapshot: Snapshot, name: str) -> dict[str, str]:
    return snapshot.collections[name].queryables if name in snapshot.collections else {}


def _use(snapshot: Snapshot, owner: str) -> tuple[int, int, int, int]:
    """Bytes, Items, collections and files of a person."""
    own = {k: c for k, c in snapshot.collections.items() if c.owner == owner}
    files = [f for f in snapshot.files if f.collection in own]
    size = sum(f.size for f in files) + sum(len(json.dumps(c.document)) for c in own.values())
    return size, sum(f.rows for f in files), len(own), len(files)
