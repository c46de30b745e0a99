"""A file of stopped servers, so that the person can be informed afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hub.services.culler import kept

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
    text: str = ""
    """What the operator said who stopped it."""


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
            self._of = {
                p: [Stop(**{**s, "running": tuple(s["running"])}) for s in several]
                for p, several in kept.read(file, {}).items()
            }
        except (TypeError, KeyError, AttributeError):
            self._of = {}

    def of(self, person: str) -> list[Stop]:
        """Return the stops of a person, the last first."""
        return self._of.get(person, [])

    def add(self, person: str, stop: Stop) -> None:
        """Record one. If the disk is full, only this record is lost."""
        self._of[person] = [stop, *self.of(person)][:_MOST]
        kept.write(self._file, {p: [asdict(s) for s in several] for p, several in self._of.items()})
