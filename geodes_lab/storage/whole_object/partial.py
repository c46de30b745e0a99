"""A file that is arriving: named ``.part``, continued by the next attempt, renamed when it is right."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from geodes_lab.storage import file_cache
from geodes_lab.storage.multihash import Digest

_BLOCK = 2**22  # bytes that are read at once of what is there


@dataclass(frozen=True)
class Version:
    """The version of an object that the bytes of a file belong to."""

    address: str
    """Where it is, without a signature."""
    validator: str | None
    """A strong ETag, a date of change, or what else proves that bytes are of the same version; None: nothing does."""
    size: int | None
    """Its bytes, if they are known."""


class Partial:
    """The file, held by this process alone; every byte in it is of one version.

    The version is in a small file beside it (``.part.json``), which is written before the first byte. A process that
    dies at any moment leaves either bytes with their version, or bytes that the next one discards.
    """

    def __init__(self, path: Path, descriptor: int, begin: Callable[[], Digest] | None) -> None:
        self.path, self._descriptor, self._begin = path, descriptor, begin
        self._note = path.with_name(f"{path.name}.json")
        self.done = os.fstat(descriptor).st_size
        """Bytes that are there."""
        self.received = 0
        """Bytes that were written in all, also those that were discarded since."""
        self.version = self._read_note() if self.done else None
        """Of these bytes."""
        self.digest: Digest | None = None
        """Of these bytes, once `load` or `begin` was called; None if no checksum is wanted."""
        if self.version is None or self.version.validator is None:
            self.version = None  # nothing proves that the rest would fit to it

    def load(self, check: Callable[[], None]) -> None:
        """Compute the checksum of what is there; ``check`` is called often, and may raise."""
        self.digest = self._begin() if self._begin else None
        if self.digest is None or self.version is None:
            return
        for start in range(0, self.done, _BLOCK):
            check()
            self.digest.update(os.pread(self._descriptor, min(_BLOCK, self.done - start), start))

    def begin(self, version: Version | None) -> None:
        """Discard what is there; the next bytes belong to ``version``."""
        # In this order: at no moment is a note beside bytes of another version.
        self._note.unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self.done, self.version = 0, version
        self.digest = self._begin() if self._begin else None
        if version is not None and version.validator is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self._note, flags, 0o666), "w") as file:
                json.dump(asdict(version), file)

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        left = memoryview(data)
        while left:
            written = os.pwrite(self._descriptor, left, self.done)
            if self.digest is not None:
                self.digest.update(left[:written])
            self.done += written
            self.received += written
            left = left[written:]

    def keep(self, path: Path) -> None:
        """Give the file its name: after this line it is there, whatever happens to the machine."""
        os.fsync(self._descriptor)
        self.path.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file, since nobody can continue it."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _read_note(self) -> Version | None:
        try:
            known = json.loads(self._note.read_text())
            version = Version(known["address"], known["validator"], known["size"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        texts = (version.address, version.validator or "")
        if not all(isinstance(t, str) for t in texts) or not isinstance(version.size, (int, type(None))):
            return None
        # More bytes than the version has: somebody else wrote them.
        return None if version.size is not None and self.done > version.size else version


@contextlib.contextmanager
def held(path: Path, begin: Callable[[], Digest] | None, wait: Callable[[], None]) -> Iterator[Partial]:
    """Hold the file of an object that is arriving; removed at the end if nobody could continue it.

    Parameters
    ----------
    path
        Its name, which ends in ``.part``.
    begin
        Begins the checksum that is wanted; None: no checksum is.
    wait
        Called again and again while another process holds it; it may raise.
    """
    with file_cache.alone(path, wait) as file:
        part = Partial(path, file.fileno(), begin)
        try:
            yield part
        finally:
            if file_cache.is_at(path, file) and (
                not part.done or part.version is None or part.version.validator is None
            ):
                part.discard()
