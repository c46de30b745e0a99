"""What operators say to one person or to all, for a while: shown in JupyterLab and on the pages of the lab."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.services.culler import kept
from hub.services.hubapi import time

LONGEST = 1000  # characters
MOST = 100  # messages at once
HOURS = 24 * 31  # the longest time for which one is shown


@dataclass(frozen=True)
class Message:
    """One message."""

    id: str
    to: str
    """The name of a person; empty: everybody."""
    text: str
    by: str
    """The operator."""
    sent: str
    """ISO time."""
    until: str
    """ISO time at which it is no longer shown."""


class Messages:
    """The messages that are shown at present.

    Parameters
    ----------
    file
        Where they are kept.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        try:
            self._all = [Message(**one) for one in kept.read(file, [])]
        except TypeError:
            self._all = []

    def all(self) -> list[Message]:
        """Return those that have not expired, the latest first."""
        now = datetime.now(UTC)
        return [m for m in self._all if time(m.until) > now]

    def to(self, person: str) -> list[Message]:
        """Return those for a person."""
        return [m for m in self.all() if m.to in ("", person)]

    def send(self, to: str, text: str, by: str, hours: float) -> Message:
        """Send one.

        Raises
        ------
        ValueError
            If it cannot be sent: a sentence.
        """
        text = " ".join(text.split())
        if not text:
            raise ValueError("The message has no text.")
        if len(text) > LONGEST:
            raise ValueError(f"The message has {len(text)} characters, and the limit is {LONGEST}.")
        if not 0 < hours <= HOURS:
            raise ValueError(f"A message is shown for more than 0 and at most {HOURS} hours, not {hours:g}.")
        if len(self.all()) >= MOST:
            raise ValueError(f"There are already {MOST} messages, which is the limit: take one back first.")
        now = datetime.now(UTC)
        until = (now + timedelta(hours=hours)).isoformat(timespec="seconds")
        message = Message(secrets.token_hex(8), to, text, by, now.isoformat(timespec="seconds"), until)
        self._set([message, *self.all()])
        return message

    def withdraw(self, id: str) -> bool:
        """Take one back; return whether there was one."""
        left = [m for m in self.all() if m.id != id]
        is_there = len(left) < len(self.all())
        self._set(left)
        return is_there

    def _set(self, messages: list[Message]) -> None:
        self._all = messages
        kept.write(self._file, [asdict(m) for m in messages])
