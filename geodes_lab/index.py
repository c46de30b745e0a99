"""Where the tiles of one JPEG 2000 band are: found by hopping from tile-part to tile-part, and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import struct
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geodes_lab import settings
from geodes_lab.datalake import Place
from geodes_lab.jp2 import SOC_SIZ, SOT, Header, NotUnderstood

_FIRST_READ = 16_384  # the local header of the zip, the boxes and the main header, in one request
_HOP = 4_096  # a tile-part's header; with tiny tiles (no data) several of them
# On disk: magic, first tile-part, end of the file (0: not known), centre of the first pixel, lengths of the main header and of the list of lengths.
_MAGIC, _RECORD = b"gj2\x01", struct.Struct("<4sQQddHH")


class Index:
    """Where the tile-parts of one band are: built by hopping, as far as needed, and kept on disk.

    Parameters
    ----------
    place
        The object that holds the file.
    stored
        Of a stored member of a zip: where its local header begins, and the member's size; None: the object is the file.
    """

    def __init__(self, place: Place, stored: tuple[int, int] | None = None) -> None:
        self.place = place
        self._lock = threading.Lock()
        stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
        name = hashlib.sha256(f"{place.scheme}|{place.root}|{place.path}|{stored}|{stamp}".encode()).hexdigest()
        self._path = Path(settings.get("cache.folder")).expanduser() / "index" / name[:2] / name
        self.ends: list[int] = []
        if not self._load():
            self._read_header(stored)

    def parts(self, tiles: Sequence[int]) -> list[tuple[int, int]]:
        """Offset and length of tile-parts; hops on to those that are not known yet.

        Raises
        ------
        NotUnderstood
            If tiles do not follow each other in one part each, or the file ends early.
        """
        last = max(tiles)
        if last >= len(self.ends):
            with self._lock:
                if last >= len(self.ends):
                    self._hop(last)
                    self._save()
        starts = [self.first, *self.ends]
        return [(starts[t], self.ends[t] - starts[t]) for t in tiles]

    def _read_header(self, stored: tuple[int, int] | None) -> None:
        start, size = stored or (0, 0)
        data = self.place.read_up_to(start, _FIRST_READ)
        skip, self.end = 0, 0
        if stored:
            if data[:4] != b"PK\x03\x04":
                raise NotUnderstood("no local header of a zip where the directory says")
            name, extra = struct.unpack_from("<HH", data, 26)
            skip = 30 + name + extra
            # What follows in the zip is another member: nothing of it may be taken for this one.
            data, self.end = data[: skip + size], start + skip + size
        found = data.find(SOC_SIZ, skip)
        if found < 0:
            raise NotUnderstood("no JPEG 2000 code-stream at the beginning")
        self.header, length = Header.parse(data[found:])
        self.first = start + found + length
        # GMLJP2: the centre of the first pixel, in the CRS of the file.
        gml = re.search(rb"<gml:pos>\s*([-\d.eE+]+)[\s,]+([-\d.eE+]+)\s*</gml:pos>", data[skip:found])
        self.centre = (float(gml.group(1)), float(gml.group(2))) if gml else (math.nan, math.nan)

    def _hop(self, last: int) -> None:
        at = self.ends[-1] if self.ends else self.first
        data, begin = b"", at
        ends = list(self.ends)
        while len(ends) <= last:
            if at + 12 > begin + len(data):
                begin, data = at, self.place.read_up_to(at, _HOP)
            if at - begin + 12 > len(data):
                raise NotUnderstood("the file ends before its last tile")
            marker, _, tile, length, part, parts = struct.unpack_from(">HHHIBB", data, at - begin)
            if marker != SOT or tile != len(ends) or part != 0 or parts > 1 or length < 14:
                raise NotUnderstood("tiles out of order, or in several parts")
            at += length
            if self.end and at > self.end:
                raise NotUnderstood("the file ends within a tile")
            ends.append(at)
        self.ends = ends

    def _load(self) -> bool:
        try:
            data = self._path.read_bytes()
            magic, self.first, self.end, x, y, size, count = _RECORD.unpack_from(data)
            at = _RECORD.size + size
            if magic != _MAGIC or len(data) != at + 4 * count:
                return False
            self.centre = (x, y)
            self.header, _ = Header.parse(data[_RECORD.size : at] + struct.pack(">HH", SOT, 10))
            lengths = np.frombuffer(data, "<u4", count, at).astype("int64")
            self.ends = [int(e) for e in self.first + np.cumsum(lengths)]
        except (OSError, struct.error, ValueError, NotUnderstood):
            return False
        return True

    def _save(self) -> None:
        """Write all or nothing: several workers may do so at once, and the last is as good as any."""
        lengths = np.diff([self.first, *self.ends]).astype("<u4")
        raw = self.header.raw
        data = (
            _RECORD.pack(_MAGIC, self.first, self.end, *self.centre, len(raw), len(lengths)) + raw + lengths.tobytes()
        )
        with contextlib.suppress(OSError):  # a full or read-only disk costs time, not correctness
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
                file.write(data)
            Path(file.name).replace(self._path)
