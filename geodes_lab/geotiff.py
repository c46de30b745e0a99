"""A TIFF as a pyramid of tiles: its header is read in a request or two, then each tile as a range of bytes."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from geodes_lab.datalake import Place, Unreachable
from geodes_lab.jp2 import NotUnderstood
from geodes_lab.tiles import Pixels, decoders, shared

Span = tuple[int, int]
"""First pixel and last pixel (excluded), in rows or in columns."""

_BLOCK = 2**16  # of a header, in one request: few have more
_LARGEST_HEADER, _LARGEST_TILE, _LARGEST_STRIP = 2**26, 2**26, 2**24  # bytes; tiles and strips decoded
_IMAGES = 64  # in a file
_GAP, _REQUEST = 2**16, 2**22  # tiles so near to each other are asked for together, up to so many bytes
_JOB = 2**18  # bytes that are decoded in one go: a strip may be a single row

_DTYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_SCALE, _TIE, _MATRIX, _KEYS, _NODATA = 33550, 33922, 34264, 34735, 42113  # tags
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED, _USER_DEFINED = 1025, 2048, 3072, 32767  # keys, and a value of the last two


class GeoTiff:
    """One TIFF: a `geodes_lab.pyramid.Image`.

    Parameters
    ----------
    place
        The object that holds the file.
    stored
        Of a stored member of a zip: where its local header begins, and the member's size; None: the object is the file.
    stamp
        The time of a local file, which may be replaced.

    Raises
    ------
    NotUnderstood
        If the file has what is left to GDAL: a mask, alpha, JPEG, complex numbers, a rotation.
    """

    bleed = 0
    """Pixels of an overview beside no data that have some of it mixed in: it was left out when they were made."""

    def __init__(self, place: Place, stored: tuple[int, int] | None = None, stamp: int = 0) -> None:
        self._place, self._key = place, (place, stored, stamp)
        header = _Header(place, stored)
        self._first, self._end = header.first, header.end
        try:
            self._levels, self.epsg, self.centre = _parsed(header)
        except (NotUnderstood, Unreachable):
            raise
        except Exception as error:  # the parser raises whatever it stumbles over
            raise NotUnderstood(f"the header of the TIFF is damaged: {error}") from None
        self.shapes = tuple(level.shape for level in self._levels)
        rows, cols = self.shapes[0]
        # An overview covers what the image covers, be its size rounded or not: so GDAL makes it, and so it is placed.
        self.scales = tuple((rows / r, cols / c) for r, c in self.shapes)

    def read(self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None) -> NDArray[Any]:
        """Read a window; see `geodes_lab.pyramid.Image`. Tiles are decoded whole, whatever is ``useful``."""
        image = self._levels[level]
        down, across = image.tile
        vertical = range(rows[0] // down, -(-rows[1] // down))
        horizontal = range(cols[0] // across, -(-cols[1] // across))
        places = list(product(range(image.planes), vertical, horizontal))
        numbers = [(plane * image.grid[0] + r) * image.grid[1] + c for plane, r, c in places]

        def begin(missing: list[int]) -> Sequence[Future[Pixels]]:
            return self._begin(image, [numbers[n] for n in missing])

        found = shared().get([(*self._key, level, n) for n in numbers], begin)
        bands, native = image.planes * image.samples, image.dtype.newbyteorder("=")
        out = np.empty((bands, rows[1] - rows[0], cols[1] - cols[0]), native)
        for (plane, r, c), pixels in zip(places, found, strict=True):
            top, left = r * down, c * across
            y0, y1 = max(top, rows[0]), min(top + pixels.shape[1], rows[1])
            x0, x1 = max(left, cols[0]), min(left + pixels.shape[2], cols[1])
            out[plane : plane + image.samples, y0 - rows[0] : y1 - rows[0], x0 - cols[0] : x1 - cols[0]] = pixels[
                :, y0 - top : y1 - top, x0 - left : x1 - left
            ]
        return out

    def _begin(self, image: _Level, numbers: list[int]) -> Sequence[Future[Pixels]]:
        """Begin to read tiles, neighbours in one request; each is decoded when its bytes are there."""
        found: dict[int, Future[Pixels]] = {n: Future() for n in numbers}
        runs: list[list[int]] = []
        ranges: list[tuple[int, int]] = []  # of each run, from the beginning of the file
        for number, (start, end) in sorted(((n, image.extent(n)) for n in numbers), key=lambda tile: tile[1]):
            if start == end:
                found[number].set_result(image.nothing(number))
            elif end > self._end:
                found[number].set_exception(OSError(f"tile {number} of the TIFF is beyond the end of the file"))
            elif ranges and start <= ranges[-1][1] + _GAP and end <= ranges[-1][0] + _REQUEST:
                runs[-1].append(number)
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
            else:
                runs.append([number])
                ranges.append((start, end))
        coming = self._place.fetch([(self._first + start, end - start) for start, end in ranges])
        for run, (start, _), data in zip(runs, ranges, coming, strict=True):
            data.add_done_callback(partial(_decode, image, [(n, found[n]) for n in run], start))
        return list(found.values())


def _decode(image: _Level, run: list[tuple[int, Future[Pixels]]], start: int, data: Future[bytes]) -> None:
    """Decode tiles, whose bytes have come together, in threads for that."""

    def work(part: list[tuple[int, Future[Pixels]]]) -> None:
        for number, pixels in part:
            try:
                pixels.set_result(image.decoded(number, memoryview(data.result()), start))
            except BaseException as error:
                pixels.set_exception(error)

    step = -(-_JOB // image.size)
    for n in range(0, len(run), step):
        decoders().submit(work, run[n : n + step])


@dataclass(frozen=True)
class _Level:
    """The image, or one of its overviews."""

    shape: tuple[int, int]
    tile: tuple[int, int]
    """Rows and columns of a tile; strips are tiles as wide as the image, low ones several in a tile."""
    strips: int
    """How many strips make a tile; else 1."""
    planes: int
    """1 if a tile has all bands, else their number: each has tiles of its own, those of the first band first."""
    samples: int
    """Bands of a tile."""
    dtype: np.dtype[Any]
    """With the order of bytes of the file."""
    compression: int
    predictor: int
    fill: float
    """What fills a tile that is left out of the file."""
    starts: array[int]
    """Of the tiles, or of the strips, in bytes from the beginning of the file."""
    lengths: array[int]
    """Of the tiles, or of the strips, in bytes; 0: left out."""

    @cached_property
    def grid(self) -> tuple[int, int]:
        """How many tiles, down and across."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])

    @cached_property
    def size(self) -> int:
        """Bytes of a decoded tile."""
        return self.tile[0] * self.tile[1] * self.samples * self.dtype.itemsize

    def _parts(self, number: int) -> range:
        """The numbers of a tile's strips; of a tile that is one, its own."""
        if self.strips == 1:
            return range(number, number + 1)
        count = -(-self.shape[0] * self.strips // self.tile[0])
        first = number // self.grid[0] * count + number % self.grid[0] * self.strips
        return range(first, min(first + self.strips, (number // self.grid[0] + 1) * count))

    def extent(self, number: int) -> tuple[int, int]:
        """Where the bytes of a tile begin and end."""
        parts = self._parts(number)
        return self.starts[parts[0]], self.starts[parts[-1]] + self.lengths[parts[-1]]

    def _shape(self, number: int) -> tuple[int, int, int]:
        """Rows, columns and bands of a tile; the last strip has fewer rows."""
        top = number // self.grid[1] % self.grid[0] * self.tile[0]
        return min(self.tile[0], self.shape[0] - top), self.tile[1], self.samples

    def nothing(self, number: int) -> Pixels:
        """The pixels of a tile that is left out of the file, as GDAL has them."""
        native, fill = self.dtype.newbyteorder("="), self.fill
        if native.kind != "f":
            fill = 0 if math.isnan(fill) else min(max(round(fill), np.iinfo(native).min), np.iinfo(native).max)
        return np.moveaxis(np.broadcast_to(native.type(fill), self._shape(number)), 2, 0)

    def decoded(self, number: int, data: memoryview, begin: int) -> Pixels:
        """The pixels of a tile out of bytes of the file from ``begin``.

        Raises
        ------
        OSError
            If it is damaged or cut short.
        """
        shape = self._shape(number)
        wanted, step = math.prod(shape) * self.dtype.itemsize, self.size // self.strips
        raw = np.empty(self.size, "u1")
        try:
            for n, part in enumerate(self._parts(number)):
                at = self.starts[part] - begin
                room = raw[n * step : (n + 1) * step]
                there = len(_CODECS[self.compression](data[at : at + self.lengths[part]], out=room))
                if there < min(step, wanted - n * step):
                    raise ValueError("it is cut short")
        except (RuntimeError, ValueError) as error:  # all codecs raise the former
            raise OSError(f"tile {number} of the TIFF does not decode: {error}") from None
        pixels = raw[:wanted].view(self.dtype).reshape(shape)
        if self.predictor == 3:
            pixels = imagecodecs.floatpred_decode(pixels, axis=-2)
        pixels = pixels.astype(self.dtype.newbyteorder("="), copy=False)
        if self.predictor == 2:  # of floating point too, the bits were subtracted as those of integers
            words = pixels.view(f"u{self.dtype.itemsize}")
            imagecodecs.delta_decode(words, axis=-2, out=words)
        return np.moveaxis(pixels, 2, 0)


def _copied(data: memoryview, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    there = out[: len(data)]
    there[:] = np.frombuffer(data, "u1")[: len(there)]
    return there


_CODECS: dict[int, Callable[..., Any]] = {
    1: _copied,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32773: imagecodecs.packbits_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}


def _parsed(header: _Header) -> tuple[tuple[_Level, ...], int | None, tuple[float, float]]:
    """The image and its overviews, the EPSG code, the centre of the first pixel."""
    import tifffile  # takes a quarter of a second, and only those who read a TIFF need it

    parser: Any = tifffile.TiffFile
    with parser(header, offset=0, size=header.end) as file:
        first, *others = islice(file.pages, _IMAGES)
        image = _level(first, file.byteorder)
        found = {image.shape: image}
        for page in others:
            if page.subfiletype & _MASK:
                raise NotUnderstood("an image with a mask")
            if not page.subfiletype & _REDUCED:
                break  # another image: the overviews that follow are its own
            shape = page.imagelength, page.imagewidth
            factor = round(max(image.shape) / max(*shape, 1))
            # GDAL rounds the sizes up for a TIFF, and down for a COG.
            if factor > 1 and all(
                abs(small * factor - side) < factor for small, side in zip(shape, image.shape, strict=True)
            ):
                level = _level(page, file.byteorder)
                if (level.dtype, level.planes * level.samples) == (image.dtype, image.planes * image.samples):
                    found.setdefault(level.shape, level)
        tags = {tag: first.tags.valueof(tag, default=()) for tag in (_SCALE, _TIE, _MATRIX, _KEYS)}
    keys = dict(zip(tags[_KEYS][4::4], tags[_KEYS][7::4], strict=True))
    code: Any = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC, _USER_DEFINED))
    centre = _centre(tags, 0.0 if keys.get(_RASTER_TYPE) == 2 else 0.5)
    return tuple(found[s] for s in sorted(found, reverse=True)), None if code == _USER_DEFINED else int(code), centre


def _centre(tags: dict[int, Any], half: float) -> tuple[float, float]:
    """Where the centre of the first pixel is; ``half`` a pixel from where the file says that it begins, or 0."""
    scale, tie, matrix = tags[_SCALE], tags[_TIE], tags[_MATRIX]
    if scale and tie and scale[0] and scale[1]:
        i, j, _, x, y, _ = tie[:6]
        return x + (half - i) * scale[0], y - (half - j) * abs(scale[1])
    if matrix and (matrix[1] or matrix[4]):
        raise NotUnderstood("a rotated image")
    return (matrix[3] + half * matrix[0], matrix[7] + half * matrix[5]) if matrix else (math.nan, math.nan)


def _level(page: Any, order: str) -> _Level:
    dtype = np.dtype(page.dtype)
    if (
        dtype.str[1:] not in _DTYPES
        or page.bitspersample != 8 * dtype.itemsize
        or page.compression not in _CODECS
        or page.predictor not in ((1, 2, 3) if dtype.kind == "f" else (1, 2))
        or page.photometric not in (0, 1, 2, 3)  # grey, RGB, palette: samples are the bands as they are
        or any(page.extrasamples)  # alpha, which is a mask
        or (page.fillorder, page.imagedepth, page.tiledepth) != (1, 1, 1)
    ):
        raise NotUnderstood("a kind of number, compression or band that is left to GDAL")
    shape = page.imagelength, page.imagewidth
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, shape[1])
    planes, samples = (page.samplesperpixel, 1) if page.planarconfig == 2 else (1, page.samplesperpixel)
    size = math.prod(tile) * samples * dtype.itemsize
    if min(*shape, *tile, samples) < 1 or size > (_LARGEST_TILE if page.is_tiled else _LARGEST_STRIP):
        raise NotUnderstood("tiles too large, or none")
    starts, lengths = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
    if not planes * -(-shape[0] // tile[0]) * -(-shape[1] // tile[1]) == starts.size == lengths.size:
        raise NotUnderstood("another number of tiles than the image has")
    if min(starts.min(), lengths.min()) < 0 or lengths.max() > 2 * size + _BLOCK:
        raise NotUnderstood("tiles of more bytes than any codec makes")
    strips, gaps = 1, starts[1:] - starts[:-1] - lengths[:-1]
    if not page.is_tiled and lengths.all() and gaps.min(initial=0) >= 0 and gaps.max(initial=0) < 16:
        strips = max(min(_JOB // size, -(-shape[0] // tile[0])), 1)
    nodata = page.tags.valueof(_NODATA)
    return _Level(
        shape=shape,
        tile=(tile[0] * strips, tile[1]),
        strips=strips,
        planes=planes,
        samples=samples,
        dtype=dtype.newbyteorder(order),
        compression=int(page.compression),
        predictor=1 if page.compression in (1, 32773) else int(page.predictor),
        fill=float(nodata) if nodata else 0.0,
        starts=array("q", starts.tobytes()),
        lengths=array("q", lengths.tobytes()),
    )


class _Header:
    """The file, as a parser reads its header: in blocks, each asked for once; nothing behind a member is taken for it."""

    def __init__(self, place: Place, stored: tuple[int, int] | None) -> None:
        self._place, self._at = place, 0
        self.first, self.end = stored or (0, 2**62)  # where the TIFF begins in the object; its length, at most
        block = place.read(self.first, _BLOCK)
        if stored:
            if len(block) < 30 or block[:4] != b"PK\x03\x04":
                raise NotUnderstood("no local header of a zip where the directory says")
            skip = 30 + sum(struct.unpack_from("<HH", block, 26))
            self.first += skip
            block = block[skip : skip + self.end]
        elif len(block) < _BLOCK:
            self.end = len(block)
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
            if end - self._at + sum(len(b) for _, b in self._blocks) > _LARGEST_HEADER:
                raise NotUnderstood("a header larger than that of any image")
            start, wanted = self._at, min(max(end - self._at, _BLOCK), self.end - self._at)
            block = self._place.read(self.first + start, wanted)
            self._blocks.append((start, block))
        data = block[self._at - start : end - start]
        self._at += len(data)
        return data


@lru_cache(maxsize=1024)
def open(place: Place, stored: tuple[int, int] | None, _stamp: int) -> GeoTiff:
    """Open an image, kept in memory; ``_stamp`` is the time of a local file, which may be replaced.

    Raises
    ------
    NotUnderstood
        If this is no TIFF that can be read by tiles; nothing has been read then but its header.
    """
    if place.query:
        raise NotUnderstood("a signed address, which only GDAL reads")
    if place.scheme == "file" and not stored:
        mask, told = (Path(place.gdal + suffix) for suffix in (".msk", ".aux.xml"))
        text = told.read_bytes() if told.exists() else b""
        if mask.exists() or b"<SRS" in text or b"<GeoTransform" in text:
            raise NotUnderstood("a file beside it says otherwise")
    return GeoTiff(place, stored, _stamp)
