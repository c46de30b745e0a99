"""One object of a cube: written in a worker, read back, compared, and noted, so that it is not written twice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from geodes_lab.conversion import own_numbers
from geodes_lab.conversion.shards import Shards
from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.writable import Writable
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited


@dataclass(frozen=True)
class Piece:
    """An object, and what is known of it."""

    key: str
    """Its key in the store."""
    size: int
    """Bytes; 0: it has only fill value, and is not there."""
    sha256: str
    """Of its bytes, in hexadecimal."""
    pixels: int = 0
    """Pixels that were compared, now."""
    source_seconds: float = 0.0
    """How long it took to read the source."""
    file_seconds: float = 0.0
    """How long it took to read the object."""


@dataclass(frozen=True)
class Job:
    """What all objects of an array have in common; can be sent to workers."""

    store: Writable
    notes: ObjectFolder
    """Where the note of each finished object is."""
    path: str
    """The array in the store."""
    kind: str
    """The type of its numbers."""
    shards: Shards
    nodata: float | None = None
    saturated: float | None = None
    is_class: bool = False

    def of_sources(self, place: tuple[int, int, int], sources: Sequence[RasterSource]) -> Piece:
        """Write an object of the products' own numbers.

        Parameters
        ----------
        place
            Which object.
        sources
            The band of each product of the object's times.

        Raises
        ------
        GeodesError
            If a product cannot be read, or the object has other numbers after it was written; it is removed then.
        """
        if (done := self._noted(place)) is not None:
            return done
        times, rows, cols = self.shards.window(place)
        numbers = np.empty((times[1] - times[0], rows[1] - rows[0], cols[1] - cols[0]), self.kind)
        began = time.monotonic()
        for n, source in enumerate(sources):
            own = own_numbers.of(source, self.kind)
            for top in range(rows[0], rows[1], own_numbers.ROWS):
                bottom = min(top + own_numbers.ROWS, rows[1])
                numbers[n, top - rows[0] : bottom - rows[0]] = own_numbers.read(own, self.kind, (top, bottom), cols)
        names = ", ".join(dict.fromkeys(s.product for s in sources))
        return self._written(place, numbers, time.monotonic() - began, f"band {sources[0].band} of {names}")

    def of_level(self, place: tuple[int, int, int], finer: str) -> Piece:
        """Write an object of half the pixels of another array, ``finer``."""
        if (done := self._noted(place)) is not None:
            return done
        times, rows, cols = self.shards.window(place)
        array: Any = zarr.open_array(self.store, path=finer, mode="r")
        numbers = np.empty((times[1] - times[0], rows[1] - rows[0], cols[1] - cols[0]), self.kind)
        for n in range(times[0], times[1]):
            for top in range(rows[0], rows[1], own_numbers.ROWS):
                bottom = min(top + own_numbers.ROWS, rows[1])
                fine = array[n, 2 * top : 2 * bottom, 2 * cols[0] : 2 * cols[1]]
                numbers[n - times[0], top - rows[0] : bottom - rows[0]] = self._halved(fine)
        return self._written(place, numbers, 0.0, f"level {self.path}")

    def _halved(self, fine: NDArray[Any]) -> NDArray[Any]:
        """Return the mean of each four pixels that are data, or for classes the first of each four."""
        if self.is_class:
            return fine[::2, ::2]
        rows, cols = fine.shape
        whole = np.pad(fine, ((0, rows % 2), (0, cols % 2)), mode="edge")
        four = whole.reshape(whole.shape[0] // 2, 2, -1, 2).swapaxes(1, 2).reshape(whole.shape[0] // 2, -1, 4)
        # The repeated pixels at an odd edge weigh as much as those that they repeat.
        there = np.ones(four.shape, bool)
        if self.nodata is not None:
            there &= four != self.nodata
        high = np.zeros(four.shape, bool) if self.saturated is None else four == self.saturated
        there &= ~high
        if four.dtype.kind == "f":
            there &= ~np.isnan(four)
        count = there.sum(axis=2)
        mean = np.where(there, four, 0).sum(axis=2, dtype="float64") / np.maximum(count, 1)
        empty = np.where(high.any(axis=2), four.dtype.type(self.saturated or 0), four[..., 0])
        values = mean if four.dtype.kind == "f" else np.rint(mean)
        halved: NDArray[Any] = np.where(count > 0, values.astype(four.dtype), empty)
        return halved

    def _written(self, place: tuple[int, int, int], numbers: NDArray[Any], source_seconds: float, what: str) -> Piece:
        window = tuple(slice(*span) for span in self.shards.window(place))
        array: Any = zarr.open_array(self.store, path=self.path, mode="r+")
        key = self._key(array, place)
        array[window] = numbers
        data = waited(self.store.folder.read(key))
        again: Any = zarr.open_array(self.store, path=self.path, mode="r")
        seconds = 0.0
        for n in range(len(numbers)):
            began = time.monotonic()
            read = again[(window[0].start + n, *window[1:])]
            seconds += time.monotonic() - began
            if read.tobytes() != numbers[n].tobytes():
                waited(self.store.folder.remove(key))
                raise GeodesError(
                    f"{self.store.folder.href(key)} does not have the numbers of {what}, and was not kept: the disk or "
                    "the memory is faulty. Convert it again."
                )
        piece = Piece(key, len(data or b""), _sha256(data), numbers.size, source_seconds, seconds)
        waited(self.notes.write(self._note(place), json.dumps(asdict(piece)).encode()))
        return piece

    def _noted(self, place: tuple[int, int, int]) -> Piece | None:
        """Return the object if it was written before, and its bytes are still the same."""
        text = waited(self.notes.read(self._note(place)))
        try:
            fields = json.loads(text or b"null")
            piece = Piece(str(fields["key"]), int(fields["size"]), str(fields["sha256"]))
        except (ValueError, TypeError, KeyError):
            return None
        array: Any = zarr.open_array(self.store, path=self.path, mode="r")
        if piece.key != self._key(array, place):
            return None
        data = waited(self.store.folder.read(piece.key))
        return piece if (len(data or b""), _sha256(data)) == (piece.size, piece.sha256) else None

    def _key(self, array: Any, place: tuple[int, int, int]) -> str:
        return f"{self.path}/{array.metadata.encode_chunk_key(place)}"

    def _note(self, place: tuple[int, int, int]) -> str:
        return f"{self.path}/{'.'.join(map(str, place))}.json"


def _sha256(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()
