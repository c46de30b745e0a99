"""Decodes one code-stream of JPEG 2000: the whole with imagecodecs, or an area of it with OpenJPEG itself.

imagecodecs decodes whole images only. OpenJPEG, its base library, can decode only the code-blocks of an area: a quarter
of a tile takes a quarter of the time. rasterio's wheels and conda environments include the shared library; without it,
the whole is decoded and cut.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import rasterio
from numpy.typing import NDArray

Area = tuple[int, int, int, int]
"""First row, first column, last row, last column (both excluded), counted from the stream's own first pixel."""


class Undecodable(Exception):
    """The decoder's error for a stream that is damaged or truncated: it is strict, and never decodes half a tile."""


class _Component(ctypes.Structure):
    # opj_image_comp_t of openjpeg.h, the same since 2.0
    _fields_ = [
        *((name, c_uint32) for name in ("dx", "dy", "w", "h", "x0", "y0", "prec", "bpp", "sgnd")),
        *((name, c_uint32) for name in ("resno_decoded", "factor")),
        ("data", POINTER(c_int32)),
        ("alpha", ctypes.c_uint16),
    ]


class _Image(ctypes.Structure):
    # opj_image_t of openjpeg.h: only the fields up to the components, which are used here
    _fields_ = [
        *((name, c_uint32) for name in ("x0", "y0", "x1", "y1", "numcomps")),
        ("color_space", c_int),
        ("comps", POINTER(_Component)),
    ]


_READ = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_size_t, c_void_p)
_SKIP = ctypes.CFUNCTYPE(c_int64, c_int64, c_void_p)
_SEEK = ctypes.CFUNCTYPE(c_int, c_int64, c_void_p)
_SAY = ctypes.CFUNCTYPE(None, c_char_p, c_void_p)


def decode(stream: bytes, area: Area | None = None) -> NDArray[Any]:
    """Decode a code-stream of one tile, in this thread.

    Parameters
    ----------
    stream
        The result of `geodes_lab.formats.jpeg2000.codestream.Header.alone`.
    area
        The part to decode; None: all.

    Returns
    -------
    numpy.ndarray
        (band, rows, cols), in the file's integer type.

    Raises
    ------
    Undecodable
        If the stream is damaged or ends too early.
    """
    if area is not None and library() is not None:
        return _decode_area(stream, area)
    try:
        pixels = imagecodecs.jpeg2k_decode(stream, numthreads=1)
    except imagecodecs.Jpeg2kError as error:
        raise Undecodable(str(error)) from None
    bands = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[np.newaxis]
    if area is None:
        return bands
    top, left, bottom, right = area
    return bands[:, top:bottom, left:right].copy()


@cache
def library() -> Any:
    """Return OpenJPEG as a shared library, 2.3 or newer (older ones decode whole tiles for an area).

    None if not found.
    """
    beside = Path(rasterio.__file__).parent
    candidates = [*beside.parent.glob("rasterio.libs/*openjp2*"), *beside.glob(".dylibs/*openjp2*")]
    candidates += [*Path(sys.prefix, "lib").glob("libopenjp2.*")]
    for path in [*map(str, candidates), ctypes.util.find_library("openjp2")]:
        try:
            lib = ctypes.CDLL(path) if path else None
            if lib is None:
                continue
            lib.opj_version.restype = c_char_p
            version = tuple(int(v) for v in lib.opj_version().decode().split(".")[:2])
            if version < (2, 3):
                continue
            _declare(lib)
        except (OSError, AttributeError, ValueError):
            continue
        return lib
    return None


def _declare(lib: Any) -> None:
    pointer = c_void_p
    for name, result, arguments in (
        ("opj_create_decompress", pointer, [c_int]),
        ("opj_set_default_decoder_parameters", None, [pointer]),
        ("opj_setup_decoder", c_int, [pointer, pointer]),
        ("opj_set_error_handler", c_int, [pointer, _SAY, pointer]),
        ("opj_stream_create", pointer, [c_size_t, c_int]),
        ("opj_stream_set_read_function", None, [pointer, _READ]),
        ("opj_stream_set_skip_function", None, [pointer, _SKIP]),
        ("opj_stream_set_seek_function", None, [pointer, _SEEK]),
        ("opj_stream_set_user_data", None, [pointer, pointer, pointer]),
        ("opj_stream_set_user_data_length", None, [pointer, c_uint64]),
        ("opj_read_header", c_int, [pointer, pointer, POINTER(POINTER(_Image))]),
        ("opj_set_decode_area", c_int, [pointer, POINTER(_Image), c_int32, c_int32, c_int32, c_int32]),
        ("opj_decode", c_int, [pointer, pointer, POINTER(_Image)]),
        ("opj_image_destroy", None, [POINTER(_Image)]),
        ("opj_stream_destroy", None, [pointer]),
        ("opj_destroy_codec", None, [pointer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments


def _decode_area(stream: bytes, area: Area) -> NDArray[Any]:
    return Decoder(stream).decode(area)


class _Bytes:
    """What OpenJPEG reads."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, buffer: int, size: int, _: Any) -> int:
        size = min(size, len(self._data) - self._at)
        if size <= 0:
            return c_size_t(-1).value  # the end
        ctypes.memmove(buffer, self._data[self._at : self._at + size], size)
        self._at += size
        return size

    def skip(self, size: int, _: Any) -> int:
        self._at += min(size, len(self._data) - self._at)
        return size

    def seek(self, to: int, _: Any) -> int:
        self._at = to
        return 1


class Decoder:
    """A code-stream of one tile that stays open, by OpenJPEG itself: see `library`.

    OpenJPEG keeps the code-blocks of the last area. Those that the next area needs too are not decoded again; all
    others are forgotten. For one thread at a time.

    Parameters
    ----------
    stream
        See `decode`.

    Raises
    ------
    Undecodable
        If its header is damaged.
    """

    def __init__(self, stream: bytes) -> None:
        lib = self._lib = library()
        self._image = POINTER(_Image)()
        messages = self._messages = list[str]()
        bytes_ = _Bytes(stream)
        # Referenced here, because ctypes does not keep callbacks alive; they refer to nothing that refers to them.
        self._callbacks = (
            _READ(bytes_.read),
            _SKIP(bytes_.skip),
            _SEEK(bytes_.seek),
            _SAY(lambda text, _: messages.append(text.decode(errors="replace"))),
        )
        read, skip, seek, say = self._callbacks
        self._codec, self._source = lib.opj_create_decompress(0), lib.opj_stream_create(len(stream), 1)
        parameters = ctypes.create_string_buffer(16_384)  # opj_dparameters_t is half as large
        lib.opj_set_default_decoder_parameters(parameters)
        lib.opj_set_error_handler(self._codec, say, None)
        lib.opj_stream_set_read_function(self._source, read)
        lib.opj_stream_set_skip_function(self._source, skip)
        lib.opj_stream_set_seek_function(self._source, seek)
        lib.opj_stream_set_user_data(self._source, None, None)
        lib.opj_stream_set_user_data_length(self._source, len(stream))
        if not lib.opj_setup_decoder(self._codec, parameters):
            raise self._failed()
        if not lib.opj_read_header(self._source, self._codec, byref(self._image)):
            raise self._failed()
        self._corner = self._image.contents.x0, self._image.contents.y0

    def decode(self, area: Area) -> NDArray[Any]:
        """Decode an area; see `geodes_lab.formats.jpeg2000.openjpeg.decode`. After an error, this is of no more use."""
        (x, y), (top, left, bottom, right) = self._corner, area
        lib, image = self._lib, self._image
        self._messages.clear()
        done = lib.opj_set_decode_area(self._codec, image, x + left, y + top, x + right, y + bottom)
        if not (done and lib.opj_decode(self._codec, self._source, image)):
            raise self._failed()
        return _pixels(image.contents)

    def _failed(self) -> Undecodable:
        return Undecodable(" ".join(self._messages).strip() or "OpenJPEG gives no reason")

    def __del__(self) -> None:
        if self._image:
            self._lib.opj_image_destroy(self._image)
        self._lib.opj_stream_destroy(self._source)
        self._lib.opj_destroy_codec(self._codec)


def _pixels(image: _Image) -> NDArray[Any]:
    components = [image.comps[n] for n in range(image.numcomps)]
    if not all(c.data for c in components):
        raise Undecodable("OpenJPEG gave no pixels")
    width = 1 if components[0].prec <= 8 else 2 if components[0].prec <= 16 else 4
    dtype = np.dtype(f"{'i' if components[0].sgnd else 'u'}{width}")
    return np.stack([np.ctypeslib.as_array(c.data, (c.h, c.w)).astype(dtype) for c in components])
