"""A file of stopped servers, so that the person can be informed afterwards."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST = 20  # of a person


@dataclass(frozen=True)
class Stop:
    """A server that was stopped."""

    server: str
    when: str
    why: str
    running: tuple[str, ...]
    after: int
    """Seconds without activity, or of age."""


class Stops:
    """The stops of all people.

    Parameters
    ----------
    file
        The path of the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            stored = json.loads(file.read_text())
            self._of = {
                p: [Stop(**{**s, "running": tuple(s["running"])}) for s in several] for p, several in stored.items()
            }
        except (OSError, ValueError, TypeError, KeyError):
            self._of = {}

    def of(self, person: str) -> list[Stop]:
        """Return the stops of a person, the last first."""
        return self._of.get(person, [])

    def add(self, person: str, stop: Stop) -> None:
        """Record one. If the disk is full, only this record is lost."""
        self._of[person] = [stop, *self.of(person)][:_MOST]
        text = json.dumps({p: [asdict(s) for s in several] for p, several in self._of.items()})
        try:
            with tempfile.NamedTemporaryFile("w", dir=self._file.parent, prefix=".stops", delete=False) as file:
                file.write(text)
            Path(file.name).replace(self._file)
        except OSError:
            pass
