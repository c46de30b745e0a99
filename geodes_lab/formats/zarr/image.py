"""A Zarr array as an image: zarr-python decodes its chunks, each read once and shared by all readers."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from concurrent.futures import Future
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.api.asynchronous import open_array

from geodes_lab.errors import GeodesError
from geodes_lab.formats.tile_cache import Pixels, decoders, shared
from geodes_lab.formats.zarr.store import Objects
from geodes_lab.raster.source import Span
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.util import limits


class ZarrImage:
    """An array with dims (y, x), or a plane of one with dims (…, y, x): a `geodes_lab.reading.image.Image`.

    Zarr may omit chunks that contain only the fill value, so a missing chunk is fill value, and cannot be told from a
    lost one. A damaged or unreachable chunk is an error.

    Parameters
    ----------
    place
        The array: the folder of its metadata.
    plane
        With three dims, the index along the first, from 1; else 1.
    stamp
        The time of change of a local array, which may be replaced.

    Raises
    ------
    OSError
        If there is no such array, or zarr-python cannot read it.
    """

    wavelet = False
    """There are no overviews."""
    nodata: float | None = None
    """The array itself does not contain it."""
    epsg: int | None = None
    """The array itself does not contain it: the variables beside it in its store do."""
    centre = (float("nan"), float("nan"))
    """See ``epsg``."""

    def __init__(self, place: ObjectLocation, plane: int = 1, stamp: int = 0) -> None:
        self._place, self._path, self._stamp = place, place.path.rstrip("/"), stamp
        objects = Objects(place)
        try:
            self._array = _begin(open_array(store=objects, mode="r")).result()
        except GeodesError:
            raise
        except Exception as error:  # zarr-python raises errors of any type
            raise OSError(f"not a Zarr array that can be read: {_line(error)}") from None
        shape = self._array.shape
        if len(shape) not in (2, 3) or self._array.dtype.kind not in "biuf":
            raise OSError(f"a Zarr array of {self._array.dtype} and shape {shape} is not an image")
        self._plane = plane - 1
        self.shapes: tuple[tuple[int, int], ...] = ((shape[-2], shape[-1]),)
        self.scales: tuple[tuple[float, float], ...] = ((1.0, 1.0),)

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """Read a window; see `geodes_lab.reading.image.Image`.

        Chunks are decoded as a whole, whatever ``useful`` says.

        Only this image's plane is read: it is returned at its own number, and at all numbers before.
        """
        *deep, down, across = self._array.chunks
        front = [range(self._plane // d, self._plane // d + 1) for d in deep]
        vertical = range(rows[0] // down, -(-rows[1] // down))
        horizontal = range(cols[0] // across, -(-cols[1] // across))
        count, chunk = len(vertical) * len(horizontal), math.prod(self._array.chunks) * self._array.dtype.itemsize
        limits.refuse(f"A window of {self._place.href}", count, limits.PIECES, "chunks")
        if count > 4:
            limits.refuse(f"A window of {self._place.href}", count * chunk, limits.WINDOW)
        places = list(product(*front, vertical, horizontal))
        keys = [(self._place, self._stamp, "zarr", at, self._written(at)) for at in places]
        chunks = shared().get(keys, lambda missing: [_begin(self._chunk(places[n])) for n in missing])
        out: NDArray[Any] = np.empty((rows[1] - rows[0], cols[1] - cols[0]), chunks[0].dtype)
        for at, pixels in zip(places, chunks, strict=True):
            top, left = at[-2] * down, at[-1] * across
            y0, y1 = max(top, rows[0]), min(top + pixels.shape[1], rows[1])
            x0, x1 = max(left, cols[0]), min(left + pixels.shape[2], cols[1])
            plane = pixels[self._plane % deep[0] if deep else 0]
            out[y0 - rows[0] : y1 - rows[0], x0 - cols[0] : x1 - cols[0]] = plane[
                y0 - top : y1 - top, x0 - left : x1 - left
            ]
        return np.broadcast_to(out, (self._plane + 1, *out.shape))

    async def _chunk(self, at: tuple[int, ...]) -> Pixels:
        """Read and decode one chunk: (planes, rows, cols), cut where the array ends."""
        sizes = zip(at, self._array.chunks, self._array.shape, strict=True)
        window = tuple(slice(n * size, min((n + 1) * size, end)) for n, size, end in sizes)
        try:
            pixels = np.asarray(await self._array.getitem(window))
        except GeodesError:
            raise
        except Exception as error:  # each codec has its own errors
            raise OSError(
                f"chunk {', '.join(map(str, at))} of the Zarr array does not decode: {_line(error)}"
            ) from None
        native = np.dtype("uint8") if pixels.dtype.kind == "b" else pixels.dtype.newbyteorder("=")
        return pixels.astype(native, copy=False).reshape(-1, *pixels.shape[-2:])

    def _written(self, at: tuple[int, ...]) -> int:
        """Return when the object of a chunk was written: in a store on disk, people may rewrite single chunks."""
        if self._place.scheme != "file":
            return 0
        metadata, inner = self._array.metadata, self._array.chunks
        outer = self._array.shards or inner
        key = metadata.encode_chunk_key(tuple(n * i // o for n, i, o in zip(at, inner, outer, strict=True)))
        try:
            return Path("/", self._path, key).stat().st_mtime_ns
        except OSError:  # the chunk is missing, and is fill value
            return 0


@lru_cache(maxsize=1024)
def open(place: ObjectLocation, plane: int, _stamp: int) -> ZarrImage:
    """Open an array, which stays in memory; ``_stamp`` is the time of change of a local one, which may be replaced.

    Raises
    ------
    OSError
        If there is no such array, or zarr-python cannot read it; only its metadata have been read then.
    """
    return ZarrImage(place, plane, _stamp)


_first = threading.Lock()  # one loop, even if many threads come at once


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop in which zarr-python works, separate from that of the requests.

    Its threads are the decoders.
    """
    with _first:
        return _made_loop()


def _forked() -> None:
    """Start without loop and images in a child of a fork, which has none of the threads."""
    global _first
    _first = threading.Lock()
    _made_loop.cache_clear()
    open.cache_clear()


os.register_at_fork(after_in_child=_forked)


@cache
def _made_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(decoders())
    threading.Thread(target=loop.run_forever, name="zarr", daemon=True).start()
    return loop


def _begin(call: Any) -> Future[Any]:
    return asyncio.run_coroutine_threadsafe(call, _loop())


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
