"""A TIFF as a pyramid of tiles: its header is read in a request or two, then each tile as a byte range."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.tiff.header import JOB, Level
from geodes_lab.formats.tiff.header_cache import Header
from geodes_lab.formats.tile_cache import Pixels, later, shared
from geodes_lab.raster.source import Span
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Replaced
from geodes_lab.storage.traffic import traffic
from geodes_lab.util import limits

_TEXT = 2**24  # bytes
_GAP, _REQUEST = 2**16, 2**22  # tiles closer than this are requested together, up to so many bytes


class GeoTiff:
    """One TIFF: a `geodes_lab.reading.image.Image`.

    Parameters
    ----------
    place
        The object that holds the file.
    stored
        For a stored member of a zip: the offset of its local header, and the member's size; None: the object is the
        file.
    stamp
        The time of change of a local file, which may be replaced.

    Raises
    ------
    NotUnderstood
        If the file needs GDAL: a mask, alpha, JPEG, complex numbers, a rotation.
    """

    wavelet = False
    """Its overviews are averages of its pixels without nodata."""

    def __init__(self, place: ObjectLocation, stored: tuple[int, int] | None = None, stamp: int = 0) -> None:
        self._place = place
        self._kept = place.cache_path("tiff", f"{stored}")
        self.header = header = Header.of(place, stored, self._kept)
        self._first, self._end, self._tag = header.first, header.end, header.tag
        self._levels, self.epsg, self.centre = header.levels, header.epsg, header.centre
        self._key = place, stored, stamp, header.tag
        self.nodata = self._levels[0].nodata
        self.shapes = tuple(level.shape for level in self._levels)
        rows, cols = self.shapes[0]
        # An overview covers the same area as the image, even if its size was rounded: GDAL makes and places it so.
        self.scales = tuple((rows / r, cols / c) for r, c in self.shapes)

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """Read a window; see `geodes_lab.reading.image.Image`.

        Tiles are decoded as a whole, whatever ``useful`` says.
        """
        image = self._levels[level]
        down, across = image.tile
        vertical = range(rows[0] // down, -(-rows[1] // down))
        horizontal = range(cols[0] // across, -(-cols[1] // across))
        bands = image.planes * image.samples
        # GDAL reads one of many bands alone, tile by tile: all of them together could need too much memory.
        wanted = range(bands) if band is None or band >= bands else range(band, band + 1)
        planes = range(wanted[0] // image.samples, wanted[-1] // image.samples + 1)
        count = len(planes) * len(vertical) * len(horizontal)
        pixels = len(wanted) * (rows[1] - rows[0]) * (cols[1] - cols[0])
        if (
            count > max(limits.WINDOW // image.size, 4)
            or count > limits.PIECES
            or pixels * image.dtype.itemsize > limits.WINDOW
        ):
            raise NotUnderstood("a window whose tiles are too many to be held at once")
        if self._place.scheme == "file" and (starts := image.rows_at(rows)) is not None:
            return self._from_disk(image, starts, cols)
        places = list(product(planes, vertical, horizontal))
        numbers = [(plane * image.grid[0] + r) * image.grid[1] + c for plane, r, c in places]

        def begin(missing: list[int]) -> Sequence[Future[Pixels]]:
            return self._begin(image, [numbers[n] for n in missing])

        tiles = shared().get([(*self._key, level, n) for n in numbers], begin)
        native = image.dtype.newbyteorder("=")
        out = np.empty((len(wanted), rows[1] - rows[0], cols[1] - cols[0]), native)
        for (plane, r, c), tile in zip(places, tiles, strict=True):
            top, left = r * down, c * across
            y0, y1 = max(top, rows[0]), min(top + tile.shape[1], rows[1])
            x0, x1 = max(left, cols[0]), min(left + tile.shape[2], cols[1])
            mine = (
                slice(None) if len(wanted) == bands else slice(wanted[0] % image.samples, wanted[0] % image.samples + 1)
            )
            at = plane * image.samples if len(wanted) == bands else 0
            out[at : at + image.samples, y0 - rows[0] : y1 - rows[0], x0 - cols[0] : x1 - cols[0]] = tile[
                mine, y0 - top : y1 - top, x0 - left : x1 - left
            ]
        # The other bands are not read: they all refer to the wanted one, so that its number stays valid.
        return out if len(wanted) == bands else np.broadcast_to(out, (bands, *out.shape[1:]))

    def _from_disk(self, image: Level, starts: list[int], cols: Span) -> NDArray[Any]:
        """Read columns of rows that are on a disk as they are: the system keeps them, so that this process need not."""
        out = np.empty((1, len(starts), cols[1] - cols[0]), image.dtype)
        with Path(self._place.gdal).open("rb", buffering=0) as file:
            for start, line in zip(starts, out[0], strict=True):
                begin = start + cols[0] * image.dtype.itemsize
                file.seek(self._first + begin)
                if begin + line.nbytes > self._end or file.readinto(line) < line.nbytes:
                    raise OSError("a row of the TIFF is beyond the end of the file")
        traffic.add(1, out.nbytes)
        return out.astype(out.dtype.newbyteorder("="), copy=False)

    def _begin(self, image: Level, numbers: list[int]) -> Sequence[Future[Pixels]]:
        """Begin to read tiles, neighbours in one request; each is decoded when its bytes arrive."""
        futures: dict[int, Future[Pixels]] = {n: Future() for n in numbers}
        runs: list[list[int]] = []
        ranges: list[tuple[int, int]] = []  # of each run, from the beginning of the file
        for number, (start, end) in sorted(((n, image.extent(n)) for n in numbers), key=lambda tile: tile[1]):
            if start == end:
                futures[number].set_result(image.nothing(number))
            elif end > self._end:
                futures[number].set_exception(OSError(f"tile {number} of the TIFF is beyond the end of the file"))
            elif ranges and start <= ranges[-1][1] + _GAP and end <= ranges[-1][0] + _REQUEST:
                runs[-1].append(number)
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
            else:
                runs.append([number])
                ranges.append((start, end))
        coming = self._place.fetch([(self._first + start, end - start) for start, end in ranges], self._tag)
        for run, (start, _), data in zip(runs, ranges, coming, strict=True):
            data.add_done_callback(partial(self._decode, image, [(n, futures[n]) for n in run], start))
        return list(futures.values())

    def _decode(self, image: Level, run: list[tuple[int, Future[Pixels]]], start: int, coming: Future[bytes]) -> None:
        """Decode tiles, whose bytes arrived together, in threads for decoding."""

        def work(part: list[tuple[int, Future[Pixels]]], data: memoryview) -> None:
            for number, pixels in part:
                try:
                    pixels.set_result(image.decoded(number, data, start))
                except BaseException as error:
                    pixels.set_exception(error)

        try:
            data = memoryview(coming.result())
        except Exception as error:
            if isinstance(error, Replaced):
                # The header is outdated. GDAL reads this window; the next windows use the new header.
                self._kept.unlink(missing_ok=True)
                open.cache_clear()
                error = NotUnderstood(str(error))
            for _, pixels in run:
                pixels.set_exception(error)
            return
        step = -(-JOB // image.size)
        for n in range(0, len(run), step):
            later(partial(work, run[n : n + step], data), [p for _, p in run[n : n + step]])


@lru_cache(maxsize=1024)
def open(place: ObjectLocation, stored: tuple[int, int] | None, _stamp: int) -> GeoTiff:
    """Open an image, which stays in memory; ``_stamp`` is the time of change of a local file, which may be replaced.

    Raises
    ------
    NotUnderstood
        If it is not a TIFF that can be read by tiles; only its header has been read then.
    """
    if place.query:
        raise NotUnderstood("a signed address, which only GDAL reads")
    if place.scheme == "file" and not stored:
        mask, side_file = (Path(place.gdal + suffix) for suffix in (".msk", ".aux.xml"))
        text = _text(side_file) if side_file.exists() else b""
        if mask.exists() or text is None or b"<SRS" in text or b"<GeoTransform" in text:
            raise NotUnderstood("a file beside it says otherwise")
    return GeoTiff(place, stored, _stamp)


def _text(path: Path) -> bytes | None:
    """Return a small text file beside a raster.

    None if it is not one, but a pipe or too large: code that opens the file with it reports that.
    """
    return path.read_bytes() if path.is_file() and path.stat().st_size < _TEXT else None
