"""The description of a harvested catalogue: its files, and which of them a search needs.

Replaced as a whole, never edited.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from geodes_lab.catalog.harvested.columns import columns
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from geodes_lab.util.whole_file import make_folder, rename_to_stay

NAME = "snapshot.json"
_VERSION = 1
_log = logging.getLogger("catalogue")


def is_one(path: str) -> bool:
    """Whether there is a harvested catalogue at a path."""
    return (Path(path).expanduser() / NAME).is_file()


@dataclass(frozen=True)
class File:
    """One file of stac-geoparquet: Items of one collection and one month."""

    path: str
    """Its path below the folder."""
    collection: str
    month: str
    """The month in which the acquisitions begin, such as ``2021-06``."""
    rows: int
    start: str
    """The time of the first acquisition."""
    end: str
    """The time of the last one."""
    bbox: tuple[float, float, float, float] | None
    """The box around all footprints; None: some Item has none."""
    size: int = 0
    """Its bytes, on disk or in memory; 0: unknown, in a file of an earlier version."""

    def __post_init__(self) -> None:
        texts = (self.path, self.collection, self.month, self.start, self.end)
        path = PurePosixPath(self.path) if isinstance(self.path, str) else PurePosixPath("/")
        numbers = (self.rows, self.size)
        if not all(isinstance(t, str) for t in texts) or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"a file is {self.path!r}")
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError(f"{self.path} has {self.rows!r} rows")
        if self.bbox is not None and not (len(self.bbox) == 4 and all(isinstance(e, (int, float)) for e in self.bbox)):
            raise ValueError(f"{self.path} lies at {self.bbox!r}")
        if self.bbox is not None and not all(math.isfinite(e) for e in self.bbox):
            raise ValueError(f"{self.path} lies at {self.bbox!r}")


@dataclass(frozen=True)
class Collection:
    """One collection of the catalogue, as it was harvested."""

    title: str = ""
    published: str | None = None
    """The publication of the last Item: later ones are new."""
    queryables: dict[str, str] = field(default_factory=dict)
    """The properties of its Items, with their types."""
    owner: str = ""
    """The owner of the results; empty: the catalogue itself."""
    document: dict[str, Any] = field(default_factory=dict)
    """The STAC collection document, if there is one."""
    damaged: str = ""
    """Why none of it is returned: a sentence."""

    @cached_property
    def askable(self) -> dict[str, str]:
        """Return the properties that a search can name."""
        wanted = columns(self.queryables)
        return {k: v for k, v in self.queryables.items() if k in wanted}


@dataclass(frozen=True)
class Snapshot:
    """The present catalogue."""

    folder: Path
    source: str = ""
    """The profile that it was harvested from."""
    taken: str = ""
    """When."""
    collections: dict[str, Collection] = field(default_factory=dict)
    files: tuple[File, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Load it; an empty one if there is none yet. A damaged collection stays in it, marked as damaged.

        Raises
        ------
        GeodesError
            If the whole snapshot is damaged, or has another version.
        """
        try:
            document = json.loads((folder / NAME).read_text())
            if not isinstance(document, dict):
                raise ValueError("it is not a JSON object")
            if document.get("version") != _VERSION:
                raise GeodesError(
                    f"{folder / NAME} was written by another version of the lab: harvest the catalogue again."
                )
            entries, listed = dict(document["collections"]), list(document["files"])
            source, taken = str(document["source"]), str(document["taken"])
        except FileNotFoundError:
            return cls(folder)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise GeodesError(f"{folder / NAME} is damaged ({error}): harvest the catalogue again.") from error
        collections = {k: _collection(k, c) for k, c in entries.items()}
        files = []
        for entry in listed:
            try:
                file = File(**{**entry, "bbox": entry["bbox"] and tuple(entry["bbox"])})
                if file.collection in collections:
                    files.append(file)
            except (TypeError, KeyError, ValueError) as error:
                name = entry.get("collection") if isinstance(entry, dict) else None
                if isinstance(name, str) and name in collections:
                    known = collections[name]
                    collections[name] = Collection(owner=known.owner, damaged=known.damaged or _sentence(name, error))
        return cls(folder, source, taken, collections, tuple(files))

    def save(self) -> None:
        """Replace the previous snapshot; its readers can continue."""
        document = {
            "version": _VERSION,
            "source": self.source,
            "taken": self.taken,
            "collections": {k: asdict(c) for k, c in self.collections.items()},
            "files": [asdict(f) for f in self.files],
        }
        part = self.folder / f"{NAME}.{os.getpid()}"
        part.write_text(json.dumps(document, indent=1))
        # The files that it names are on the disk before: a loss of power leaves this snapshot or the one before.
        rename_to_stay(part, self.folder / NAME)

    def tidy(self, kept: float = 3600) -> None:
        """Remove files that this snapshot does not name and that have not changed for ``kept`` seconds.

        Searches may still use newer ones.
        """
        for path, _, age in self.unnamed():
            if age > kept:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty
                    path.parent.rmdir()

    def unnamed(self, collection: str = "*") -> list[tuple[Path, int, float]]:
        """Return the files that this snapshot does not name, with their bytes and ages, the oldest first."""
        wanted, now = {f.path for f in self.files}, datetime.now(UTC).timestamp()
        items, files = self.folder / "items", []
        below = [items / collection] if collection != "*" else [items]
        for path in itertools.chain(*(b.rglob(e) for b in below for e in ("*.parquet", "*.part"))):
            with contextlib.suppress(FileNotFoundError):
                if str(path.relative_to(self.folder)) not in wanted:
                    status = path.stat()
                    files.append((path, status.st_size, now - status.st_mtime))
        return sorted(files, key=lambda f: -f[2])

    def needed(self, query: Query) -> Iterator[File]:
        """Yield the files that may have matching Items."""
        start, end = (t.astimezone(UTC).strftime(_FORM) for t in (query.start, query.end))
        bounds = query.area.bounds if query.area is not None else None
        wanted = set(query.collections)
        for file in self.files:
            if file.collection not in wanted or file.end < start or file.start >= end:
                continue
            if bounds is None or file.bbox is None or _meet(file.bbox, bounds):
                yield file


@contextlib.contextmanager
def alone(folder: Path, otherwise: str, wait: float = 0) -> Iterator[None]:
    """Lock a folder while it is changed.

    Raises
    ------
    GeodesError
        With the text ``otherwise``, if another process holds the lock for more than ``wait`` seconds.
    """
    make_folder(folder)
    end = time.monotonic() + wait
    with (folder / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise GeodesError(f"{otherwise} in {folder}: wait until it has finished.") from None
                time.sleep(0.01)
        yield


_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def moment(time: datetime) -> str:
    """Write a time as the snapshot does, so that texts sort like times."""
    return time.astimezone(UTC).strftime(_FORM)


def _collection(name: str, description: Any) -> Collection:
    """Read an entry; of a damaged one, keep its owner and the fact that it is damaged."""
    entry: Mapping[str, Any] = description if isinstance(description, dict) else {}
    owner = entry.get("owner")
    try:
        collection = Collection(**description)
        kinds = (
            (collection.title, str),
            (collection.published or "", str),
            (collection.owner, str),
            (collection.damaged, str),
        )
        if not all(isinstance(v, k) for v, k in kinds) or not isinstance(collection.document, dict):
            raise ValueError("an entry has a wrong type")
        if not isinstance(collection.queryables, dict) or not all(
            isinstance(v, str) for v in collection.queryables.values()
        ):
            raise ValueError("its queryables are not valid")
    except (TypeError, ValueError) as error:
        return Collection(owner=owner if isinstance(owner, str) else "?", damaged=_sentence(name, error))
    return collection


def _sentence(name: str, error: Exception) -> str:
    _log.error("the entry of the collection %s is damaged, and it is left out of searches: %s", name, str(error)[:300])
    problem = str(error)[:100]
    return (
        f"The collection {name} is damaged ({problem}): delete it and publish it again; a harvest repairs its own "
        "collections."
    )


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] <= b[2] and a[2] >= b[0] and a[1] <= b[3] and a[3] >= b[1]
