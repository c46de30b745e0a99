"""One member of a product as a file that is read by ranges: a part of a zip, read in place, or a file of its own."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, BinaryIO

from geodes_lab.storage.object_location import ObjectLocation

_BLOCK, _BLOCKS = 2**18, 32  # bytes of a block, and the number of blocks that a file remembers
_AHEAD = 8  # blocks of a request at most, when blocks are read in order


@dataclass(frozen=True)
class Member:
    """A file inside of an object, or a whole object; it can be sent to workers."""

    place: ObjectLocation
    """The object."""
    start: int
    """The offset of the file in the object, in bytes."""
    size: int
    """Its size in bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Read bytes of the file, or fewer where it ends; one request."""
        length = min(length, self.size - start)
        return self.place.read(self.start + start, length) if length > 0 else b""

    def open(self) -> BinaryIO:
        """Open it as a seekable file that can be pickled.

        Blocks of 256 KiB are read when they are needed, and remembered.
        """
        return _File(self)  # type: ignore[return-value]  # h5py and tifffile ask for no more than this has


class _File(io.RawIOBase):
    """A raw file, for libraries that read in small steps: HDF5 reads some hundred bytes at a time.

    A read that continues the last request fetches twice as much, up to 2 MiB: HDF5's chunks are often small and lie one
    after the other.
    """

    def __init__(self, member: Member) -> None:
        self._member, self._at = member, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = 0, 1  # the block after the last request, and the number of its blocks

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
        if not length:
            return 0
        first, last = self._at // _BLOCK, (self._at + length - 1) // _BLOCK
        data = b"".join(self._block(n, last) for n in range(first, last + 1))
        data = data[self._at - first * _BLOCK :][:length]
        if len(data) < length:
            raise OSError(f"{self._member.place.href} ends too early: fetch the product again")
        buffer[:length] = data
        self._at += length
        return length

    def _block(self, number: int, last: int) -> bytes:
        """Return block ``number``; blocks up to ``last`` are needed now."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        self._ahead = min(2 * self._ahead, _AHEAD) if number == self._next else 1
        count = max(self._ahead, min(last - number + 1, _BLOCKS // 2))
        data = self._member.read(number * _BLOCK, count * _BLOCK)
        self._next = number + count
        for n in reversed(range(count)):  # the first is remembered longest
            self._blocks[number + n] = data[n * _BLOCK : (n + 1) * _BLOCK]
        while len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[number]
