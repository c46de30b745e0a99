"""The header of one TIFF in an object.

Read in a request or two, understood once, and kept on disk as it was understood.
"""

from __future__ import annotations

import json
import zlib
from array import array
from base64 import b64decode, b64encode
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from geodes_lab.archive.member_index import behind
from geodes_lab.errors import Mislabelled, NotUnderstood
from geodes_lab.formats.jpeg2000.codestream import kind
from geodes_lab.formats.tiff.header import Level, parse
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.util.whole_file import write_whole

_BLOCK = 2**16  # of a header, in one request: few have more
_LARGEST = 2**26  # bytes
_VERSION = 3  # of what is kept


@dataclass(frozen=True)
class Header:
    """What is known of one TIFF before a tile is read."""

    first: int
    """Where it begins in the object."""
    end: int
    """Its length in bytes, at most."""
    tag: str | None
    """What tells the object from another that may take its name."""
    levels: tuple[Level, ...]
    """The image and its overviews, finest first."""
    epsg: int | None
    """The code of its CRS, if the file says one."""
    centre: tuple[float, float]
    """Where the file says that the centre of its first pixel is; NaN if it says nothing."""

    @classmethod
    def of(cls, place: ObjectLocation, stored: tuple[int, int] | None, kept: Path) -> Header:
        """Take it from disk, or read and keep it; a server that gives no tag is asked each time.

        Raises
        ------
        NotUnderstood
            If the file has what is left to GDAL, or its header is damaged.
        Unreachable
            If it cannot be read.
        """
        try:
            return cls._loaded(kept.read_bytes())
        except (OSError, zlib.error, ValueError, TypeError):
            pass
        file = _File(place, stored)
        try:
            found = cls(file.first, file.end, file.tag, *parse(file, file.end))
        except (NotUnderstood, Unreachable):
            raise
        except Exception as error:  # the parser raises whatever it stumbles over
            raise NotUnderstood(f"the header of the TIFF is damaged: {error}") from None
        if place.scheme == "file" or found.tag:
            write_whole(kept, found._written())
        return found

    def _written(self) -> bytes:
        levels = [[_plain(getattr(level, f.name)) for f in fields(Level)] for level in self.levels]
        told = [_VERSION, self.first, self.end, self.tag, levels, self.epsg, self.centre]
        return zlib.compress(json.dumps(told).encode(), 1)

    @classmethod
    def _loaded(cls, data: bytes) -> Header:
        version, first, end, tag, levels, epsg, (x, y) = json.loads(zlib.decompress(data))
        if version != _VERSION:
            raise ValueError("of another version")
        return cls(first, end, tag, tuple(Level(*map(_typed, level)) for level in levels), epsg, (x, y))


def _plain(value: Any) -> Any:
    if isinstance(value, array):
        return {"offsets": b64encode(value.tobytes()).decode()}
    return {"dtype": value.str} if isinstance(value, np.dtype) else value


def _typed(value: Any) -> Any:
    match value:
        case {"offsets": text}:
            return array("q", b64decode(text))
        case {"dtype": text}:
            return np.dtype(text)
        case list():
            return tuple(value)
    return value


class _File:
    """The file, as a parser reads its header: in blocks, each asked for once.

    Nothing behind a member is taken for it.
    """

    def __init__(self, place: ObjectLocation, stored: tuple[int, int] | None) -> None:
        self._place, self._at = place, 0
        self.first, self.end = stored or (0, 2**62)
        block, self.tag = place.read_tagged(self.first, min(_BLOCK, 30 + self.end))
        if stored:
            skip = behind(block)
            self.first += skip
            block = block[skip : skip + self.end]
        elif len(block) < _BLOCK:
            self.end = len(block)
        if kind(block[:8]) == "JPEG 2000":
            raise Mislabelled("a JPEG 2000")
        self._blocks = [(0, block)]

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._at if whence else 0)
        return self._at

    def read(self, length: int) -> bytes:
        end = min(self._at + length, self.end)
        start, block = next((b for b in self._blocks if b[0] <= self._at and end <= b[0] + len(b[1])), (0, b""))
        if not block and self._at < end:
            if end - self._at + sum(len(b) for _, b in self._blocks) > _LARGEST:
                raise NotUnderstood("a header larger than that of any image")
            start, wanted = self._at, min(max(end - self._at, _BLOCK), self.end - self._at)
            block = self._place.read(self.first + start, wanted)
            self._blocks.append((start, block))
        data = block[self._at - start : end - start]
        self._at += len(data)
        return data
