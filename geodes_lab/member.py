"""One member of a product as a file that is read by ranges: a part of a zip where it lies, or a file of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from fsspec.caching import BlockCache

from geodes_lab.datalake import Place

_BLOCK, _BLOCKS = 2**18, 64  # bytes of a request, and how many of them a file remembers


@dataclass(frozen=True)
class Member:
    """A file inside an object, or the whole of one; it goes to workers as it is."""

    place: Place
    """The object."""
    start: int
    """Where the file begins in it, in bytes."""
    size: int
    """Its bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Read bytes of the file, or fewer where it ends; one request."""
        length = min(length, self.size - start)
        return self.place.read(self.start + start, length) if length > 0 else b""

    def open(self) -> BinaryIO:
        """Open it as a seekable file that can be pickled; blocks of 256 KiB are read as they are asked for, and kept."""
        return _File(self)  # type: ignore[return-value]  # h5py and tifffile ask for no more than this has


class _File(io.RawIOBase):
    """A raw file, for those who read in small steps: HDF5 looks at some hundred bytes at a time."""

    def __init__(self, member: Member) -> None:
        self._member, self._at = member, 0
        self._blocks = BlockCache(_BLOCK, lambda a, b: member.read(a, b - a), member.size, _BLOCKS)

    def __reduce__(self) -> tuple[Any, ...]:
        return _File, (self._member,)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._member.size}[whence]
        if at < 0:
            raise OSError("seek before the beginning")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), max(self._member.size - self._at, 0))
        data = self._blocks._fetch(self._at, self._at + length) if length else b""
        if len(data) < length:
            raise OSError(f"{self._member.place.href} is cut short")
        buffer[:length] = data
        self._at += length
        return length
