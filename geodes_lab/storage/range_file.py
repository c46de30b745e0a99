"""A file over an object: each read is a range of the object's bytes."""

from __future__ import annotations

import io
from typing import Any, Protocol

_END = 2**16  # bytes at the end of a zip: the list of some hundred members


class Readable(Protocol):
    """What can be read by ranges: a `geodes_lab.storage.object_location.ObjectLocation`."""

    def size(self) -> int:
        """Size in bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Read a range."""

    def read_tagged(self, start: int, length: int) -> tuple[bytes, str | None]:
        """Read a range; return the object's tag too."""


class Ranges(io.RawIOBase):
    """A raw file whose reads are ranges of an object; obstore's own reader returns no ``bytes``, which zipfile needs.

    The end is read at once: in most cases it holds the complete list of a zip's members.
    """

    def __init__(self, place: Readable) -> None:
        self._place, self._at, self.size = place, 0, place.size()
        """In bytes."""
        self._end, self.tag = (
            place.read_tagged(max(self.size - _END, 0), min(self.size, _END)) if self.size else (b"", None)
        )
        """Identifies this version of the object."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to the position of the next read; no I/O."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if self._at < 0:
            raise OSError("seek before the beginning")  # as a file does; zipfile relies on it
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read; one request, unless the range is at the end."""
        length = min(len(buffer), max(self.size - self._at, 0))
        if not length:
            return 0
        at = self._at - (self.size - len(self._end))
        data = self._end[at : at + length] if at >= 0 else self._place.read(self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
