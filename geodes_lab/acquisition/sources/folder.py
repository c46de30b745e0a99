"""A folder of products that somebody else fills; what is in it and has settled is published."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geodes_lab.acquisition.publication import Page, Publication, Withdrawal
from geodes_lab.acquisition.settings.sources import Folder as Settings
from geodes_lab.acquisition.sources import Request
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import Gone, Remote
from geodes_lab.storage.location import locate

_ENDINGS = (".zip", ".nc", ".h5", ".tif")
_PAGE = 500  # products that are recorded together
_MOST = 1_000_000  # files


@dataclass(frozen=True)
class Folder:
    """The source of one folder."""

    name: str
    settings: Settings

    def look(self, request: Request, position: str) -> Iterator[Page]:
        """Yield all products that are there, and those that are no longer; see `Source`."""
        files = self._files()
        gone = [
            Withdrawal(id_, name, datetime.now(UTC), "The file is no longer in the folder.")
            for id_, name in request.known().items()
            if id_ not in files
        ]
        there = [p for i in sorted(files) if (p := self._publication(i, request)) is not None]
        yield Page(tuple(there[:_PAGE]), tuple(gone), position="looked")
        for first in range(_PAGE, len(there), _PAGE):
            yield Page(tuple(there[first : first + _PAGE]))

    def acknowledge(self, page: Page) -> None:
        """Nothing waits for it."""

    def remote(self, publication: Publication) -> Remote:
        """See `Source`."""
        path = self.settings.path / publication.id
        if not path.is_file():
            raise Gone(f"{publication.name} is no longer in {self.settings.path}.")
        return Remote(publication.name, str(path), locate(path), publication.size, None)

    def _files(self) -> set[str]:
        folder = self.settings.path
        if not folder.is_dir():
            raise GeodesError(f"{folder} of the source {self.name} is no folder: check sources.{self.name}.path.")
        files = set[str]()

        def fail(error: OSError) -> None:
            raise GeodesError(
                f"{error.filename} of the source {self.name} cannot be read ({error.strerror})."
            ) from error

        for where, folders, names in os.walk(folder, onerror=fail):
            folders[:] = [f for f in folders if not f.startswith(".")]
            files |= {
                (Path(where) / n).relative_to(folder).as_posix()
                for n in names
                if n.lower().endswith(_ENDINGS) and not n.startswith(".") and not (Path(where) / n).is_symlink()
            }
            if len(files) > _MOST:
                raise GeodesError(f"{folder} of the source {self.name} has more than {_MOST:,} files.")
        return files

    def _publication(self, id_: str, request: Request) -> Publication | None:
        path = self.settings.path / id_
        try:
            about = path.stat()
        except OSError:  # removed meanwhile: the next look says so
            return None
        if time.time() - about.st_mtime < self.settings.settled:
            return None
        if request.wanted.names and not path.name.startswith(request.wanted.names):
            return None
        changed = datetime.fromtimestamp(about.st_mtime, UTC)
        return Publication(id_, path.name, changed, (str(path),), about.st_size, changed=str(about.st_mtime_ns))
