"""A writable catalogue, in the files of a harvest: collections and Items can be put, replaced and removed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geodes_lab.catalog.harvested import geoparquet, partitions
from geodes_lab.catalog.harvested.columns import family
from geodes_lab.catalog.harvested.quota import Quota, QuotaExceeded
from geodes_lab.catalog.harvested.snapshot import Collection, File, Snapshot, alone, moment
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant

_BUSY = "Another process is writing"
_WAIT = 10.0  # seconds to wait for another change
KEPT = 30.0
"""Seconds for which replaced files stay when space is limited: a search may still use them."""


@dataclass(frozen=True)
class WritableCatalogue:
    """One folder; searches continue while it changes, and see each change completely or not at all."""

    folder: Path
    quota: Quota | None = None
    """The limits for each person's results; None: no limit."""

    def create(self, name: str, document: dict[str, Any], *, owner: str = "") -> None:
        """Create a collection, or replace its STAC document; its Items stay."""
        with alone(self.folder, _BUSY, _WAIT):
            now = Snapshot.load(self.folder)
            known = now.collections.get(name, Collection(owner=owner))
            collection = replace(known, title=document.get("title") or known.title, document=document, damaged="")
            if known.damaged:
                collection = replace(collection, queryables=self._queryables(now, name))
            self._save(now, replace(now, collections={**now.collections, name: collection}), name)

    def drop(self, name: str) -> None:
        """Remove a collection and its Items."""
        with alone(self.folder, _BUSY, _WAIT):
            now = Snapshot.load(self.folder)
            left = {k: v for k, v in now.collections.items() if k != name}
            after = replace(now, collections=left, files=tuple(f for f in now.files if f.collection != name))
            self._save(now, after, name)

    def put(self, name: str, records: Sequence[dict[str, Any]]) -> None:
        """Put Items into a collection; each replaces the Item with its id, if there is one.

        Raises
        ------
        GeodesError
            If a property has another kind than in other Items of the collection, or there is no space.
        """
        with alone(self.folder, _BUSY, _WAIT):
            self._change(name, {r["id"] for r in records}, records)

    def remove(self, name: str, ids: Sequence[str]) -> None:
        """Remove Items; unknown ids are ignored."""
        with alone(self.folder, _BUSY, _WAIT):
            self._change(name, set(ids), ())

    def tidy(self) -> None:
        """Remove files that were replaced some time ago."""
        with alone(self.folder, _BUSY, _WAIT):
            Snapshot.load(self.folder).tidy(KEPT)

    def _change(self, name: str, gone: set[str], records: Sequence[dict[str, Any]]) -> None:
        now = Snapshot.load(self.folder)
        if name not in now.collections:
            raise GeodesError(f"There is no collection {name} any more.")
        if self.quota and records:
            self.quota.check_disk(self.folder)
        coming: dict[str, list[dict[str, Any]]] = {}
        for record in records:
            p = record["properties"]
            acquired = p.get("datetime") or p["start_datetime"]
            time = instant.utc(acquired)
            coming.setdefault(f"{time:%Y-%m}" if time else acquired[:7], []).append(record)
        files = list[File]()
        known = dict(now.collections[name].queryables)
        with self._undone(files, now):
            for file in (f for f in now.files if f.collection == name):
                table = _read(self.folder / file.path, name)
                left = table.filter(pc.invert(pc.is_in(table["id"], pa.array(sorted(gone)))))
                new = coming.pop(file.month, [])
                if len(left) == len(table) and not new:
                    files.append(file)
                elif len(left) or new:
                    files.append(self._written(name, file.month, [left] if len(left) else [], new, known))
            files += [self._written(name, month, [], new, known) for month, new in coming.items()]
            others = [f for f in now.files if f.collection != name]
            acquired = replace(now.collections[name], queryables=known)
            everything = tuple(sorted((*others, *files), key=lambda f: (f.collection, f.month)))
            self._save(now, replace(now, collections={**now.collections, name: acquired}, files=everything), name)

    def _written(
        self, name: str, month: str, old: list[pa.Table], new: list[dict[str, Any]], known: dict[str, str]
    ) -> File:
        try:
            fresh = [geoparquet.table(new)] if new else []
            if self.quota:
                _same_kinds(partitions.types(fresh[0].schema) if fresh else {}, known)
            table = partitions.joined([*old, *fresh])
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError) as error:
            raise GeodesError(
                f"An Item of {name} has a property whose type differs from that of the other Items of {month} "
                f"({_line(error)}): use the same type, or another name."
            ) from error
        known |= partitions.types(table.schema)
        return partitions.written(self.folder, name, month, table)

    @contextlib.contextmanager
    def _undone(self, files: list[File], before: Snapshot) -> Iterator[None]:
        """Remove the written files if the change fails."""
        named = {f.path for f in before.files}
        try:
            yield
        except BaseException as error:
            for file in files:
                if file.path not in named:
                    (self.folder / file.path).unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise QuotaExceeded("The disk of the results is full: tell the operator of the lab.") from error
            raise

    def _save(self, before: Snapshot, after: Snapshot, name: str) -> None:
        if self.quota:
            before, after = (replace(s, files=tuple(map(self._sized, s.files))) for s in (before, after))
            owner = (after.collections.get(name) or before.collections.get(name) or Collection()).owner
            self.quota.check(before, after, owner)
        replace(after, taken=moment(datetime.now(UTC))).save()
        for replaced in {f.path for f in before.files} - {f.path for f in after.files}:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.folder / replaced)  # its age counts from now
        if self.quota is None:
            after.tidy()
            return
        # Repeated changes of one Item leave large files behind: keep no more of them than of present files.
        left = after.unnamed(name)
        over = sum(size for _, size, _ in left) - self.quota.size
        for path, size, age in left:
            if over > 0 or age > KEPT:
                path.unlink(missing_ok=True)
                over -= size
        if name not in after.collections:
            with contextlib.suppress(OSError):
                (self.folder / "items" / name).rmdir()

    def _sized(self, file: File) -> File:
        if file.size:
            return file
        path = self.folder / file.path
        return replace(file, size=path.stat().st_size if path.exists() else 0)

    def _queryables(self, now: Snapshot, name: str) -> dict[str, str]:
        properties: dict[str, str] = {}
        for file in (f for f in now.files if f.collection == name):
            with contextlib.suppress(OSError, pa.ArrowException):
                properties |= partitions.types(pq.read_schema(self.folder / file.path))
        return properties


def _read(path: Path, name: str) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise GeodesError(
            f"{name} is damaged: {path.name} cannot be read ({_line(error)}). Delete the collection, and publish its "
            "Items again."
        ) from error


def _same_kinds(new: dict[str, str], known: dict[str, str]) -> None:
    for name, kind in new.items():
        if name in known and family(known[name]) != family(kind):
            raise TypeError(f"{name} has type {kind}, not {known[name]}")


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
