"""The header of a TIFF: the image and its overviews, the offsets of their tiles, and how the tiles are decoded."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from geodes_lab.errors import NotUnderstood
from geodes_lab.raster.source import Span

JOB = 2**18  # bytes that are decoded at once: a strip may be a single row
_LARGEST_TILE, _LARGEST_STRIP = 2**26, 2**24  # decoded bytes
_OVERHEAD = 2**16  # bytes that a codec may add to a tile
_IMAGES = 64  # in a file

_DTYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_SCALE, _TIE, _MATRIX, _KEYS, _METADATA, _NODATA = 33550, 33922, 34264, 34735, 42112, 42113  # tags
_PALETTE = 3
_OF_A_BAND = re.compile(r'<Item name="(?!STATISTICS_)[^>]*\b(?:sample|role)=')
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED, _USER_DEFINED = 1025, 2048, 3072, 32767  # keys, and a value of the last two


def parse(file: Any, size: int) -> tuple[tuple[Level, ...], int | None, tuple[float, float], tuple[float, float], bool]:
    """Read the header of a TIFF; the tiles after it are not read.

    Parameters
    ----------
    file
        Has ``read``, ``seek`` and ``tell``, like a binary file.
    size
        Its size in bytes, or more.

    Returns
    -------
    levels
        The image and its overviews, finest first.
    epsg
        The code of its CRS; None if the file has none.
    centre
        The centre of its first pixel; NaN if the file does not have it.
    pixel
        The width and the height of a pixel, which is negative where rows run south; NaN as well.
    is_annotated
        Whether the file says more of its numbers: colours, or GDAL's scale, offset, unit, name of a band.

    Raises
    ------
    NotUnderstood
        If the file needs GDAL.
    Exception
        Any error of the reads, and of the parser for a damaged header.
    """
    import tifffile  # takes a quarter of a second, and only readers of TIFF need it

    parser: Any = tifffile.TiffFile
    with parser(file, offset=0, size=size) as tiff:
        first, *others = islice(tiff.pages, _IMAGES)
        image = _level(first, tiff.byteorder)
        levels = {image.shape: image}
        for level in _overviews(image, others, tiff.byteorder):
            levels.setdefault(level.shape, level)
        return tuple(levels[shape] for shape in sorted(levels, reverse=True)), *_place(first), _is_annotated(first)


def _overviews(image: Level, pages: Sequence[Any], order: Literal["<", ">"]) -> Iterator[Level]:
    for page in pages:
        if page.subfiletype & _MASK:
            raise NotUnderstood("an image with a mask")
        if not page.subfiletype & _REDUCED:
            return  # another image: the overviews that follow belong to it
        shape = page.imagelength, page.imagewidth
        factor = round(max(image.shape) / max(*shape, 1))
        # GDAL rounds the sizes up for a TIFF, and down for a COG.
        if factor > 1 and all(abs(s * factor - side) < factor for s, side in zip(shape, image.shape, strict=True)):
            level = _level(page, order)
            if (level.dtype, level.planes * level.samples) == (image.dtype, image.planes * image.samples):
                yield level


def _is_annotated(page: Any) -> bool:
    return page.photometric == _PALETTE or bool(_OF_A_BAND.search(str(page.tags.valueof(_METADATA, default=""))))


def _place(page: Any) -> tuple[int | None, tuple[float, float], tuple[float, float]]:
    """Return the EPSG code, the centre of the first pixel, and the size of a pixel."""
    scale, tie, matrix, geo = (page.tags.valueof(tag, default=()) for tag in (_SCALE, _TIE, _MATRIX, _KEYS))
    keys: dict[int, Any] = dict(zip(geo[4::4], geo[7::4], strict=True))
    code = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC, _USER_DEFINED))
    epsg = None if code == _USER_DEFINED else int(code)
    half = 0.0 if keys.get(_RASTER_TYPE) == 2 else 0.5  # a pixel: from the position in the file to the pixel's centre
    if scale and tie and scale[0] and scale[1]:
        i, j, _, x, y, _ = tie[:6]
        high = -abs(scale[1])
        return epsg, (x + (half - i) * scale[0], y + (half - j) * high), (scale[0], high)
    if matrix and (matrix[1] or matrix[4]):
        raise NotUnderstood("a rotated image")
    if not matrix:
        return epsg, (math.nan, math.nan), (math.nan, math.nan)
    return epsg, (matrix[3] + half * matrix[0], matrix[7] + half * matrix[5]), (matrix[0], matrix[5])


def _dtype(page: Any) -> np.dtype[Any]:
    """Return the number type, if the image is stored in a supported way."""
    dtype = np.dtype(page.dtype)
    if (
        dtype.str[1:] not in _DTYPES
        or page.bitspersample != 8 * dtype.itemsize
        or page.compression not in _CODECS
        or page.predictor not in ((1, 2, 3) if dtype.kind == "f" else (1, 2))
        or page.photometric not in (0, 1, 2, 3)  # grey, RGB, palette: samples are the bands themselves
        or any(page.extrasamples)  # alpha, which is a mask
        or (page.fillorder, page.imagedepth, page.tiledepth) != (1, 1, 1)
    ):
        raise NotUnderstood("a kind of number, compression or band that is left to GDAL")
    return dtype


def _level(page: Any, order: Literal["<", ">"]) -> Level:
    dtype = _dtype(page)
    shape = page.imagelength, page.imagewidth
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, shape[1])
    planes, samples = (page.samplesperpixel, 1) if page.planarconfig == 2 else (1, page.samplesperpixel)
    size = math.prod(tile) * samples * dtype.itemsize
    if min(*shape, *tile, samples) < 1 or size > (_LARGEST_TILE if page.is_tiled else _LARGEST_STRIP):
        raise NotUnderstood("tiles too large, or none")
    starts, lengths = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
    if not planes * -(-shape[0] // tile[0]) * -(-shape[1] // tile[1]) == starts.size == lengths.size:
        raise NotUnderstood("another number of tiles than the image has")
    if min(starts.min(), lengths.min()) < 0 or lengths.max() > 2 * size + _OVERHEAD:
        raise NotUnderstood("tiles of more bytes than any codec makes")
    strips, gaps = 1, starts[1:] - starts[:-1] - lengths[:-1]
    if not page.is_tiled and lengths.all() and gaps.min(initial=0) >= 0 and gaps.max(initial=0) < 16:
        strips = max(min(JOB // size, -(-shape[0] // tile[0])), 1)
    nodata = page.tags.valueof(_NODATA)
    return Level(
        shape=shape,
        tile=(tile[0] * strips, tile[1]),
        strips=strips,
        planes=planes,
        samples=samples,
        dtype=dtype.newbyteorder(order),
        compression=int(page.compression),
        predictor=1 if page.compression in (1, 32773) else int(page.predictor),
        fill=float(nodata) if nodata else 0.0,
        nodata=float(nodata) if nodata not in (None, "") else None,
        starts=array("q", starts.tobytes()),
        lengths=array("q", lengths.tobytes()),
    )


@dataclass(frozen=True)
class Level:
    """The image, or one of its overviews."""

    shape: tuple[int, int]
    tile: tuple[int, int]
    """Rows and columns of a tile; strips are tiles with the width of the image, low strips several in a tile."""
    strips: int
    """The number of strips in a tile; else 1."""
    planes: int
    """1 if a tile has all bands, else their number: each has its own tiles, the first band's first."""
    samples: int
    """The number of bands of a tile."""
    dtype: np.dtype[Any]
    """The number type, with the byte order of the file."""
    compression: int
    predictor: int
    fill: float
    """The value of tiles that the file omits."""
    nodata: float | None
    """The nodata value of the file."""
    starts: array[int]
    """The offsets of the tiles or strips, in bytes from the beginning of the file."""
    lengths: array[int]
    """The sizes of the tiles or strips, in bytes; 0: omitted."""

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Return the number of tiles, down and across."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])

    @cached_property
    def size(self) -> int:
        """Return the bytes of a decoded tile."""
        return self.tile[0] * self.tile[1] * self.samples * self.dtype.itemsize

    def rows_at(self, rows: Span) -> list[int] | None:
        """Return where the bytes of some rows begin, if they are in the file as they are: one band, not compressed.

        None if they are cut into tiles, coded, or omitted.
        """
        high, step = self.tile[0] // self.strips, self.size // self.tile[0]
        is_bare = (self.compression, self.predictor, self.planes * self.samples) == (1, 1, 1)
        if not is_bare or self.tile[1] != self.shape[1]:
            return None
        for strip in range(rows[0] // high, -(-rows[1] // high)):
            if self.lengths[strip] < min(high, self.shape[0] - strip * high) * step:
                return None
        return [self.starts[r // high] + r % high * step for r in range(*rows)]

    def _parts(self, number: int) -> range:
        """Return the numbers of a tile's strips; for a real tile, its own number."""
        if self.strips == 1:
            return range(number, number + 1)
        count = -(-self.shape[0] * self.strips // self.tile[0])
        first = number // self.grid[0] * count + number % self.grid[0] * self.strips
        return range(first, min(first + self.strips, (number // self.grid[0] + 1) * count))

    def extent(self, number: int) -> tuple[int, int]:
        """Return where the bytes of a tile begin and end."""
        parts = self._parts(number)
        return self.starts[parts[0]], self.starts[parts[-1]] + self.lengths[parts[-1]]

    def _shape(self, number: int) -> tuple[int, int, int]:
        """Return rows, columns and bands of a tile; the last strip has fewer rows."""
        top = number // self.grid[1] % self.grid[0] * self.tile[0]
        return min(self.tile[0], self.shape[0] - top), self.tile[1], self.samples

    def nothing(self, number: int) -> NDArray[Any]:
        """Return the pixels of an omitted tile, as GDAL defines them."""
        native, fill = self.dtype.newbyteorder("="), self.fill
        if native.kind != "f":
            fill = 0 if math.isnan(fill) else min(max(round(fill), np.iinfo(native).min), np.iinfo(native).max)
        return np.moveaxis(np.broadcast_to(native.type(fill), self._shape(number)), 2, 0)

    def decoded(self, number: int, data: memoryview, begin: int) -> NDArray[Any]:
        """Decode the pixels of a tile from bytes of the file that start at ``begin``.

        Raises
        ------
        OSError
            If it is damaged or truncated.
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
                    raise ValueError("it ends too early")
        except (RuntimeError, ValueError) as error:  # all codecs raise the former
            raise OSError(f"tile {number} of the TIFF does not decode: {error}") from None
        pixels = raw[:wanted].view(self.dtype).reshape(shape)
        if self.predictor == 3:
            pixels = imagecodecs.floatpred_decode(pixels, axis=-2)
        pixels = pixels.astype(self.dtype.newbyteorder("="), copy=False)
        if self.predictor == 2:  # for floating point too, the bits were subtracted as integers
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
