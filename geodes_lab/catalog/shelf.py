"""A catalogue of one's own, in the files that a harvest writes: collections and Items are put, replaced and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geodes_lab.catalog import geoparquet, months
from geodes_lab.catalog.snapshot import Collection, File, Snapshot, alone, moment
from geodes_lab.errors import GeodesError

_BUSY = "Another process writes"


@dataclass(frozen=True)
class Shelf:
    """One folder; searches of it go on while it is changed, and see each change whole or not at all."""

    folder: Path

    def create(self, name: str, document: dict[str, Any], *, owner: str = "") -> None:
        """Make a collection, or say anew what STAC says of it; its Items stay."""
        with alone(self.folder, _BUSY):
            now = Snapshot.load(self.folder)
            known = now.collections.get(name, Collection(owner=owner))
            told = replace(known, title=document.get("title") or known.title, document=document)
            self._save(replace(now, collections={**now.collections, name: told}))

    def drop(self, name: str) -> None:
        """Remove a collection and its Items."""
        with alone(self.folder, _BUSY):
            now = Snapshot.load(self.folder)
            left = {k: v for k, v in now.collections.items() if k != name}
            self._save(replace(now, collections=left, files=tuple(f for f in now.files if f.collection != name)))

    def put(self, name: str, records: Sequence[dict[str, Any]]) -> None:
        """Put Items into a collection, each in the place of the one of its id, if there is one.

        Raises
        ------
        GeodesError
            If a property is of another kind than in other Items of the collection.
        """
        with alone(self.folder, _BUSY):
            self._change(name, {r["id"] for r in records}, records)

    def remove(self, name: str, ids: Sequence[str]) -> None:
        """Remove Items; those that are not there are none of its business."""
        with alone(self.folder, _BUSY):
            self._change(name, set(ids), ())

    def _change(self, name: str, gone: set[str], records: Sequence[dict[str, Any]]) -> None:
        now = Snapshot.load(self.folder)
        coming: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            p = record["properties"]
            coming.setdefault((p.get("datetime") or p["start_datetime"])[:7], []).append(record)
        files = list[File]()
        known = dict(now.collections[name].queryables)
        for file in (f for f in now.files if f.collection == name):
            table = pq.read_table(self.folder / file.path)
            left = table.filter(pc.invert(pc.is_in(table["id"], pa.array(sorted(gone)))))
            new = coming.pop(file.month, [])
            if len(left) == len(table) and not new:
                files.append(file)
            elif len(left) or new:
                files.append(self._written(name, file.month, [left] if len(left) else [], new, known))
        files += [self._written(name, month, [], new, known) for month, new in coming.items()]
        others = [f for f in now.files if f.collection != name]
        told = replace(now.collections[name], queryables=known)
        everything = tuple(sorted((*others, *files), key=lambda f: (f.collection, f.month)))
        self._save(replace(now, collections={**now.collections, name: told}, files=everything))

    def _written(
        self, name: str, month: str, old: list[pa.Table], new: list[dict[str, Any]], known: dict[str, str]
    ) -> File:
        try:
            table = months.joined([*old, *([geoparquet.table(new)] if new else [])])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise GeodesError(
                f"An Item of {name} has a property of another kind than the others of {month} ({str(error).splitlines()[0]}): "
                "give it the same kind, or a name of its own."
            ) from error
        known |= months.types(table.schema)
        return months.written(self.folder, name, month, table)

    def _save(self, snapshot: Snapshot) -> None:
        replace(snapshot, taken=moment(datetime.now(UTC))).save()
        snapshot.tidy()
