"""What a harvested catalogue consists of: its files, and which of them a search needs; replaced whole, never edited."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError

NAME = "snapshot.json"
_VERSION = 1


@dataclass(frozen=True)
class File:
    """One file of stac-geoparquet: Items of one collection and one month."""

    path: str
    """Below the folder."""
    collection: str
    month: str
    """In which the acquisitions begin, such as ``2021-06``."""
    rows: int
    start: str
    """Of the first acquisition."""
    end: str
    """Of the last one."""
    bbox: tuple[float, float, float, float] | None
    """Around all footprints; None: some Item has none."""


@dataclass(frozen=True)
class Collection:
    """One collection of the catalogue, as it was harvested."""

    title: str = ""
    published: str | None = None
    """Of the last Item: what is published later is new."""
    queryables: dict[str, str] = field(default_factory=dict)
    """The properties of its Items, with their types."""
    owner: str = ""
    """Whose results they are; empty: they are the catalogue's."""
    document: dict[str, Any] = field(default_factory=dict)
    """What STAC says of it, where somebody has said it."""


@dataclass(frozen=True)
class Snapshot:
    """The catalogue, as it is now."""

    folder: Path
    source: str = ""
    """The profile it was harvested from."""
    taken: str = ""
    """When."""
    collections: dict[str, Collection] = field(default_factory=dict)
    files: tuple[File, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Read it; an empty one if there is none yet.

        Raises
        ------
        GeodesError
            If it is damaged, or of another version.
        """
        try:
            told = json.loads((folder / NAME).read_text())
        except FileNotFoundError:
            return cls(folder)
        except (OSError, ValueError) as error:
            raise GeodesError(f"{folder / NAME} is damaged ({error}): harvest the catalogue anew.") from error
        if told.get("version") != _VERSION:
            raise GeodesError(f"{folder / NAME} is of another version of the lab: harvest the catalogue anew.")
        files = tuple(File(**{**f, "bbox": f["bbox"] and tuple(f["bbox"])}) for f in told["files"])
        collections = {k: Collection(**c) for k, c in told["collections"].items()}
        return cls(folder, told["source"], told["taken"], collections, files)

    def save(self) -> None:
        """Put it in the place of the one before; who reads that one goes on."""
        told = {
            "version": _VERSION,
            "source": self.source,
            "taken": self.taken,
            "collections": {k: asdict(c) for k, c in self.collections.items()},
            "files": [asdict(f) for f in self.files],
        }
        part = self.folder / f"{NAME}.{os.getpid()}"
        part.write_text(json.dumps(told, indent=1))
        part.replace(self.folder / NAME)

    def tidy(self) -> None:
        """Remove files that neither this snapshot names nor the one before it did: a search may still be at them."""
        wanted = {f.path for f in self.files}
        items = self.folder / "items"
        for path in itertools.chain(items.rglob("*.parquet"), items.rglob("*.part")):
            age = datetime.now(UTC).timestamp() - path.stat().st_mtime
            if str(path.relative_to(self.folder)) not in wanted and age > _KEPT:
                path.unlink(missing_ok=True)

    def needed(self, query: Query) -> Iterator[File]:
        """The files that may have what a query asks for."""
        start, end = (t.astimezone(UTC).strftime(_FORM) for t in (query.start, query.end))
        bounds = query.area.bounds if query.area is not None else None
        for file in self.files:
            if file.collection not in query.collections or file.end < start or file.start >= end:
                continue
            if bounds is None or file.bbox is None or _meet(file.bbox, bounds):
                yield file


@contextlib.contextmanager
def alone(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder for oneself while it is changed.

    Raises
    ------
    GeodesError
        That says ``otherwise``, if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GeodesError(f"{otherwise} in {folder}: wait until it is done.") from None
        yield


_KEPT = 3600  # seconds that a file stays which is no longer named
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def moment(time: datetime) -> str:
    """A time as the snapshot writes it, so that text sorts as time does."""
    return time.astimezone(UTC).strftime(_FORM)


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] <= b[2] and a[2] >= b[0] and a[1] <= b[3] and a[3] >= b[1]
