"""The newest snapshot of a folder, read once."""

from __future__ import annotations

import logging
from pathlib import Path

from geodes_lab.catalog.harvested.snapshot import NAME, Snapshot
from geodes_lab.errors import GeodesError

_log = logging.getLogger("catalogue")


class NewestSnapshot:
    """The snapshot of a folder, read again when it is replaced.

    Parameters
    ----------
    folder
        The folder.
    forgiving
        Whether a damaged snapshot is only logged, and the previous or an empty one is returned.
    """

    def __init__(self, folder: Path, *, forgiving: bool = False) -> None:
        self.folder, self._forgiving = folder, forgiving
        self._seen: tuple[tuple[int, ...], Snapshot] = ((), Snapshot(folder))

    def now(self) -> Snapshot:
        """Return the newest snapshot."""
        try:
            status = (self.folder / NAME).stat()
            stamp: tuple[int, ...] = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = (0,)
        seen = self._seen
        if seen[0] != stamp:
            try:
                seen = (stamp, Snapshot.load(self.folder))
            except GeodesError as error:
                if not self._forgiving:
                    raise
                _log.error("%s", error)
                seen = (stamp, seen[1])
            self._seen = seen
        return seen[1]
