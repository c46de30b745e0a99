"""The header of one TIFF in an object.

It is read in a request or two, parsed once, and cached on disk.
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

_BLOCK = 2**16  # of a header, in one request: few headers are larger
_LARGEST = 2**26  # bytes
_VERSION = 4  # of the cache file's format


@dataclass(frozen=True)
class Header:
    """The properties of one TIFF, before a tile is read."""

    first: int
    """The offset of the file in the object."""
    end: int
    """Its size in bytes, at most."""
    tag: str | None
    """Identifies this version of the object."""
    levels: tuple[Level, ...]
    """The image and its overviews, finest first."""
    epsg: int | None
    """The code of its CRS, if the file has one."""
    centre: tuple[float, float]
    """The centre of its first pixel; NaN if the file does not have it."""
    pixel: tuple[float, float]
    """The width and the height of a pixel, which is negative where rows run south; NaN as well."""
    is_annotated: bool
    """Whether the file says more of its numbers; see `geodes_lab.formats.tiff.header.parse`."""

    @classmethod
    def of(cls, place: ObjectLocation, stored: tuple[int, int] | None, cache_file: Path) -> Header:
        """Load the header from the cache, or read and cache it; from a server without tags it is read each time.

        Raises
        ------
        NotUnderstood
            If the file needs GDAL, or its header is damaged.
        Unreachable
            If the file cannot be read.
        """
        try:
            return cls._loaded(cache_file.read_bytes())
        except (OSError, zlib.error, ValueError, TypeError):
            pass
        file = _File(place, stored)
        try:
            header = cls(file.first, file.end, file.tag, *parse(file, file.end))
        except (NotUnderstood, Unreachable):
            raise
        except Exception as error:  # any error of the parser
            raise NotUnderstood(f"the header of the TIFF is damaged: {error}") from None
        if place.scheme == "file" or header.tag:
            write_whole(cache_file, header._written())
        return header

    def _written(self) -> bytes:
        levels = [[_plain(getattr(level, f.name)) for f in fields(Level)] for level in self.levels]
        record = [
            _VERSION,
            self.first,
            self.end,
            self.tag,
            levels,
            self.epsg,
            self.centre,
            self.pixel,
            self.is_annotated,
        ]
        return zlib.compress(json.dumps(record).encode(), 1)

    @classmethod
    def _loaded(cls, data: bytes) -> Header:
        version, *record = json.loads(zlib.decompress(data))
        if version != _VERSION:
            raise ValueError("of another version")
        first, end, tag, levels, epsg, (x, y), (wide, high), is_annotated = record
        levels = tuple(Level(*map(_typed, level)) for level in levels)
        return cls(first, end, tag, levels, epsg, (x, y), (wide, high), is_annotated)


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
    """The file while a parser reads its header: in blocks, each requested once.

    Bytes after the member are not read.
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
