"""Where the tiles of one JPEG 2000 band are: found in a few small reads, and cached on disk."""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
from collections.abc import Sequence

from geodes_lab.archive.member_index import behind
from geodes_lab.errors import Mislabelled, NotUnderstood
from geodes_lab.formats.jpeg2000 import code_blocks
from geodes_lab.formats.jpeg2000.codestream import SOC_SIZ, SOT, Header, kind
from geodes_lab.formats.jpeg2000.tile_parts import TileParts, listed
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.util.whole_file import write_whole

_log = logging.getLogger("geodes_lab.formats")

_FIRST_READ = 16_384  # the local header of the zip, the boxes and the main header, in one request
# On disk: magic, first tile-part, end of the file (0: unknown), centre of the first pixel, EPSG code (0: unknown),
# lengths of the main header and of the list of runs. A run is a sequence of adjacent tiles: the first tile, its offset,
# their number, their lengths.
_MAGIC, _RECORD, _RUN = b"gj2\x03", struct.Struct("<4sQQddIHH"), struct.Struct("<HQH")


class Index:
    """The offsets of the tile-parts of one band: found as far as they are needed, and cached on disk.

    Parameters
    ----------
    place
        The object that holds the file.
    stored
        For a stored member of a zip: the offset of its local header, and the member's size; None: the object is the
        file.
    """

    def __init__(self, place: ObjectLocation, stored: tuple[int, int] | None = None) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._path = place.cache_path("index", f"{stored}")
        self._stored = self.stored = stored
        self.made = 0  # how many times the object was found to be replaced
        self._parts: dict[int, tuple[int, int]] = {}
        self._unsaved = False
        if not self._load():
            self._read_header(stored)

    def forget(self, tile: int, part: tuple[int, int]) -> None:
        """Discard the index, if a tile is still not where the index says: the object has been replaced.

        The index is kept if the object cannot be reached now.
        """
        with self._lock:
            if self._parts.get(tile) == part:
                self._renew()

    def _renew(self) -> None:
        _log.info("The index of %r is built again: the object was replaced.", f"{self.place.root}/{self.place.path}")
        self._read_header(self._stored)
        self._path.unlink(missing_ok=True)
        self.made += 1

    def parts(self, tiles: Sequence[int]) -> list[tuple[int, int]]:
        """Return offset and length of tile-parts; searches for the unknown ones.

        Raises
        ------
        NotUnderstood
            If the tiles are not in order with one part each, or the file ends early.
        """
        with self._lock:
            try:
                is_complete = self._found().find(tiles)
            except NotUnderstood:
                if not self._parts:
                    raise
                # The known offsets were wrong: perhaps the object has been replaced.
                self._renew()
                is_complete = self._found().find(tiles)
            if is_complete or self._unsaved:
                self._save()
            return [self._parts[t] for t in tiles]

    def _found(self) -> TileParts:
        down, across = self.header.grid
        return TileParts(self.place, self.first, self.end, down * across, self._parts)

    def _read_header(self, stored: tuple[int, int] | None) -> None:
        start, size = stored or (0, 0)
        data = self.place.read(start, min(_FIRST_READ, 30 + size) if stored else _FIRST_READ)
        skip, self.end = 0, 0
        if stored:
            skip = behind(data)
            # The bytes after the member belong to another one, and must not be used.
            data, self.end = data[: skip + size], start + skip + size
        if kind(data[skip : skip + 8]) == "TIFF":
            raise Mislabelled("a TIFF")
        code_stream = data.find(SOC_SIZ, skip)
        if code_stream < 0:
            raise NotUnderstood("a file that does not begin with a JPEG 2000 code-stream")
        self.header, length = Header.parse(data[code_stream:])
        code_blocks.check(self.place.href, data[code_stream : code_stream + length])
        self.first = start + code_stream + length
        down, across = self.header.grid
        self._parts = listed(data[code_stream : code_stream + length], self.first, down * across)
        self._unsaved = bool(self._parts)
        # GMLJP2: the CRS of the file, and the centre of the first pixel in it.
        gml = re.search(rb"<gml:pos>\s*([-\d.eE+]+)[\s,]+([-\d.eE+]+)\s*</gml:pos>", data[skip:code_stream])
        self.centre = (float(gml.group(1)), float(gml.group(2))) if gml else (math.nan, math.nan)
        crs = re.search(rb"EPSG:[\d.]*:(\d{4,6})\b", data[skip:code_stream])
        self.epsg = int(crs.group(1)) if crs else 0

    def _load(self) -> bool:
        parts = self._stored_parts()
        self._parts = parts or {}
        return parts is not None

    def _stored_parts(self) -> dict[int, tuple[int, int]] | None:
        """Read the index from disk: the header into this object, and return the parts.

        None if there is no complete index.
        """
        try:
            data = self._path.read_bytes()
            magic, first, end, x, y, epsg, size, length = _RECORD.unpack_from(data)
            at = _RECORD.size + size
            if magic != _MAGIC or len(data) != at + length:
                return None
            self.header, _ = Header.parse(data[_RECORD.size : at] + struct.pack(">HH", SOT, 10))
            code_blocks.check(self.place.href, self.header.raw)
            self.first, self.end, self.centre, self.epsg = first, end, (x, y), epsg
            parts: dict[int, tuple[int, int]] = {}
            while at < len(data):
                tile, start, count = _RUN.unpack_from(data, at)
                at += _RUN.size
                for part in struct.unpack_from(f"<{count}I", data, at):
                    parts[tile] = (start, part)
                    tile, start = tile + 1, start + part
                at += 4 * count
        except (OSError, struct.error, NotUnderstood):
            return None
        return parts

    def _save(self) -> None:
        """Write the index, whole or not at all, with the tiles that others found meanwhile.

        Several workers may do so at once.
        """
        mine = self.header, self.first, self.end, self.centre, self.epsg
        known = self._stored_parts()
        if known is not None and (self.header, self.first, self.end) == mine[:3]:
            self._parts = {**known, **self._parts}
        self.header, self.first, self.end, self.centre, self.epsg = mine
        runs: list[tuple[int, int, list[int]]] = []
        for tile, (start, length) in sorted(self._parts.items()):
            if runs and runs[-1][0] + len(runs[-1][2]) == tile:
                runs[-1][2].append(length)
            else:
                runs.append((tile, start, [length]))
        listed = b"".join(_RUN.pack(t, s, len(p)) + struct.pack(f"<{len(p)}I", *p) for t, s, p in runs)
        raw = self.header.raw
        data = _RECORD.pack(_MAGIC, self.first, self.end, *self.centre, self.epsg, len(raw), len(listed)) + raw + listed
        write_whole(self._path, data)
        self._unsaved = False
