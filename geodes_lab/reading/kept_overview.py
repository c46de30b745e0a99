"""Small overviews of JPEG 2000 for pictures: decoded once, kept in memory and on disk.

A picture of a whole product needs the first bytes of each of its tiles: a hundred requests and more for each band, for
as many pixels as one tile of a map has. Who looks at a part of a whole product looks at the rest next: all is read
after the first part. Only pictures use them; cubes read the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.formats.jpeg2000.image import Jpeg2000
from geodes_lab.raster.source import Span
from geodes_lab.storage.request import Unreachable
from geodes_lab.util.whole_file import write_whole

SMALL = 2**19
"""Pixels of an overview that is kept, at most: 724², a sixteenth of a Sentinel-2 tile."""
_BANDS = 4
_MEMORY = 64 * 2**20  # bytes of pixels in this process
_DISK = 512 * 2**20  # bytes on disk
_EVERY = 32  # files that are written before the folder is looked through
_PROBE = 1024  # bytes of a tile that tell whether the object is still the same
# On disk: magic, the tile that is compared, a checksum of its first bytes, the type of the numbers, the bands; then a
# bit for each tile that is known, then the pixels of all.
_MAGIC, _RECORD = b"gko\x01", struct.Struct("<4sI16s2sB")
_TYPES = {"|u1": b"u1", "|i1": b"i1", "<u2": b"u2", "<i2": b"i2"}


class WithKept:
    """An image in JPEG 2000 whose small overviews are kept: a `geodes_lab.reading.image.Image`.

    Parameters
    ----------
    image
        The image.
    """

    wavelet = True

    def __init__(self, image: Jpeg2000) -> None:
        self._image = image
        self.shapes, self.scales, self.nodata = image.shapes, image.scales, image.nodata
        self.epsg, self.centre = image.epsg, image.centre

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """See `geodes_lab.reading.image.Image`; whole tiles are read of a small overview, whatever is useful."""
        if not (0 < level < len(self.shapes) and _is_small(self._image, level)):
            return self._image.read(level, rows, cols, useful, band)
        return shelf.of(self._image, level).read(rows, cols)


def _is_small(image: Jpeg2000, level: int) -> bool:
    rows, cols = image.shapes[level]
    return rows * cols <= SMALL and image.index.header.components <= _BANDS


class Overview:
    """One overview, as far as it has been read.

    Parameters
    ----------
    image, level
        Of which file, and its number. What is on disk is read, and compared with the object by one request.
    """

    def __init__(self, image: Jpeg2000, level: int) -> None:
        self._image, self._level, header = image, level, image.index.header
        self._shape = image.shapes[level]
        self._tile = tuple(min(t >> level, s) for t, s in zip(header.tile, self._shape, strict=True))
        self._known = np.zeros([-(-s // t) for s, t in zip(self._shape, self._tile, strict=True)], bool)
        self._pixels: NDArray[Any] | None = None
        self._marked: tuple[int, bytes] | None = None
        self._lock = threading.Lock()
        self._began = False
        part = f"{image.index.stored} {level} {hashlib.blake2b(header.raw, digest_size=8).hexdigest()}"
        self._path = image.index.place.cache_path("overview", part)
        self._load()

    @property
    def size(self) -> int:
        """Bytes in memory, at most."""
        return 2 * _BANDS * self._shape[0] * self._shape[1] if self._pixels is None else self._pixels.nbytes

    def read(self, rows: Span, cols: Span) -> NDArray[Any]:
        """Return a window, (band, rows, cols); reads the tiles below it that are not known yet."""
        (down, across), (high, wide) = self._tile, self._shape
        top, left = rows[0] // down, cols[0] // across
        missing = ~self._known[top : -(-rows[1] // down), left : -(-cols[1] // across)]
        if missing.any():
            below, aside = np.flatnonzero(missing.any(axis=1)), np.flatnonzero(missing.any(axis=0))
            first, last = (
                (top + int(below[0]), left + int(aside[0])),
                (top + int(below[-1]) + 1, left + int(aside[-1]) + 1),
            )
            y, x = (first[0] * down, min(last[0] * down, high)), (first[1] * across, min(last[1] * across, wide))
            read = self._image.read(self._level, y, x)
            with self._lock:
                if self._pixels is None:
                    self._pixels = np.zeros((len(read), high, wide), read.dtype)
                self._pixels[:, y[0] : y[1], x[0] : x[1]] = read
                self._known[first[0] : last[0], first[1] : last[1]] = True
                self._save()
                begins, self._began = not (self._began or self._known.all()), True
            if begins:
                _behind().submit(self._read_rest)
        assert self._pixels is not None
        return self._pixels[:, rows[0] : rows[1], cols[0] : cols[1]]

    def _read_rest(self) -> None:
        try:
            self.read((0, self._shape[0]), (0, self._shape[1]))
        except Exception as error:  # who needs it is told
            _log.debug("The rest of an overview of %s cannot be read: %s", self._image.index.place, error)

    def _load(self) -> None:
        """Take what is on disk, if it is of this object as it is now."""
        rows, cols = self._shape
        most = 2 * _BANDS * rows * cols
        with contextlib.suppress(OSError, ValueError, struct.error, Unreachable):
            if self._path.stat().st_size > most + self._known.size + 4096:
                return
            data = self._path.read_bytes()
            magic, tile, mark, kind, bands = _RECORD.unpack_from(data)
            if magic != _MAGIC or kind not in _TYPES.values() or not 0 < bands <= _BANDS or tile >= self._known.size:
                return
            dtype, at = np.dtype(f"<{kind.decode()}"), _RECORD.size + -(-self._known.size // 8)
            bits = np.unpackbits(np.frombuffer(data[_RECORD.size : at], np.uint8), count=self._known.size)
            pixels = np.frombuffer(data[at:], dtype).reshape(bands, rows, cols).copy()
            if self._mark(tile) != mark:
                return
            self._marked = tile, mark
            self._known, self._pixels = bits.astype(bool).reshape(self._known.shape), pixels
            os.utime(self._path)  # the least recently used ones are removed first

    def _save(self) -> None:
        assert self._pixels is not None
        kind = _TYPES.get(self._pixels.dtype.str)
        if kind is None:
            return
        with contextlib.suppress(OSError, Unreachable):  # without, it is read again
            if self._marked is None:
                tile = int(np.flatnonzero(self._known)[0])
                self._marked = tile, self._mark(tile)
            record = _RECORD.pack(_MAGIC, *self._marked, kind, len(self._pixels))
            write_whole(self._path, record + np.packbits(self._known).tobytes() + self._pixels.tobytes())
            shelf.written(self._path.parents[1])

    def _mark(self, tile: int) -> bytes:
        """Return a checksum of a tile's first bytes, in which its length and its coarsest pixels are; one request."""
        ((start, length),) = self._image.index.parts([tile])
        return hashlib.blake2b(self._image.index.place.read(start, min(length, _PROBE)), digest_size=16).digest()


class Shelf:
    """The overviews of this process; the least recently used is forgotten first.

    Parameters
    ----------
    memory, disk
        Bytes of pixels to keep, and bytes of the folder.
    """

    def __init__(self, memory: int = _MEMORY, disk: int = _DISK) -> None:
        self._memory, self._disk = memory, disk
        self._lock = threading.Lock()
        self._locks = [threading.Lock() for _ in range(32)]  # one is read from disk once
        self._kept: OrderedDict[Hashable, Overview] = OrderedDict()
        self._written = 0

    def of(self, image: Jpeg2000, level: int) -> Overview:
        """Return an overview of an image."""
        key = image, image.index.made, level
        with self._locks[hash(key) % len(self._locks)]:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            made = Overview(image, level)
            with self._lock:
                self._kept[key] = made
                while sum(one.size for one in self._kept.values()) > self._memory and len(self._kept) > 1:
                    self._kept.popitem(last=False)
            return made

    @property
    def held(self) -> int:
        """Bytes of pixels in memory, at most."""
        with self._lock:
            return sum(one.size for one in self._kept.values())

    def written(self, folder: Path) -> None:
        """Count a file that was written; now and then, remove the least recently used ones, if there are too many."""
        with self._lock:
            self._written += 1
            if self._written % _EVERY:
                return
        files = []
        for path in folder.glob("*/*"):
            with contextlib.suppress(OSError):
                told = path.stat()
                files.append((told.st_mtime, told.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held <= self._disk:
                break
            path.unlink(missing_ok=True)
            held -= size


shelf = Shelf()
"""Of this process."""
_log = logging.getLogger("geodes_lab.reading")


@cache
def _behind() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_BANDS, thread_name_prefix="overview")  # the bands of a picture, which wait for bytes


def _forked() -> None:
    global shelf
    shelf = Shelf()
    _behind.cache_clear()


os.register_at_fork(after_in_child=_forked)
