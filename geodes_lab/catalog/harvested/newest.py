"""The newest snapshot of a folder, read once."""

from __future__ import annotations

import logging
from pathlib import Path

from geodes_lab.catalog.harvested.snapshot import NAME, Snapshot
from geodes_lab.errors import GeodesError

_log = logging.getLogger("catalogue")


class NewestSnapshot:
    """The snapshot of a folder, read again when it was replaced.

    Parameters
    ----------
    folder
        Where it is.
    forgiving
        Whether one that is damaged is named in the log, and the one before it, or an empty one, is given.
    """

    def __init__(self, folder: Path, *, forgiving: bool = False) -> None:
        self.folder, self._forgiving = folder, forgiving
        self._seen: tuple[tuple[int, ...], Snapshot] = ((), Snapshot(folder))

    def now(self) -> Snapshot:
        """The newest one."""
        try:
            told = (self.folder / NAME).stat()
            stamp: tuple[int, ...] = (told.st_ino, told.st_mtime_ns, told.st_size)
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
