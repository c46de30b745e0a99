"""One image of a pair: a polarisation of a swath, with its bursts; workers find it again by its names."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.formats import tile_cache
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1 import documents
from geodes_lab.products.sentinel1.annotation import LIGHT, Annotation, Floats, Orbit, seconds
from geodes_lab.products.sentinel1.burst import Burst, bursts
from geodes_lab.products.sentinel1.interferometry import burst_map, tops
from geodes_lab.products.sentinel1.interferometry.ramp import Ramp
from geodes_lab.products.sentinel1.interferometry.tops import Tops
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import sensor_window
from geodes_lab.storage.object_location import ObjectLocation

_BLOCK = 64  # lines that are read at once


class Described(NamedTuple):
    """What the annotation of a swath says."""

    annotation: Annotation
    bursts: tuple[Burst, ...]
    identifiers: tuple[int, ...]
    """Relative burst identifiers, in the order of the bursts."""
    tops: Tops


@dataclass(frozen=True)
class Swath:
    """One image; hashable, and it can be sent to workers."""

    place: ObjectLocation
    """The product."""
    product: str
    """Its name, without ``.SAFE``."""
    member: str
    """The member with the annotation."""
    source: RasterSource
    """The measurement; only the shape of its grid is used."""
    track: int | None
    """The relative orbit number; None: unknown."""
    orbit_file: OrbitFile | None = None
    """The source of the satellite's positions; None: the annotation."""

    @property
    def described(self) -> Described:
        """Return what the annotation says; it is read once in a process."""
        return _described(self.place, self.member, self.track)

    @property
    def orbit(self) -> Orbit:
        """Return the orbit.

        Raises
        ------
        GeodesError
            If there is none.
        """
        annotation = self.described.annotation
        orbit = annotation.orbit if self.orbit_file is None else documents.orbit(self.orbit_file, annotation)
        if orbit is None:
            raise GeodesError(f"{annotation.name} has no orbit: give orbits=, the orbit file of its day.")
        return orbit

    def ramp(self, burst: int) -> Ramp:
        """Return the phase ramp of a burst, counted from 0."""
        about = self.described
        return Ramp.of(about.bursts[burst], about.annotation, about.tops, self.orbit)

    def seen(self, burst: int, when: Floats, slant: Floats) -> tuple[Floats, Floats]:
        """Return lines of a burst and pixels.

        Parameters
        ----------
        burst
            Its number, from 0.
        when
            Seconds since the first state of `orbit`, zero Doppler.
        slant
            Metres.
        """
        about = self.described
        annotation = about.annotation
        late = float(seconds(self.orbit.time[0], about.bursts[burst].start))
        pixel = (2 * slant / LIGHT - annotation.slant_range_time) * annotation.range_rate
        return (when + late) / annotation.interval, pixel

    def valid(self, burst: int) -> tuple[Span, Span]:
        """Return the valid lines of a burst and the pixels that are valid in all of them, last excluded.

        Raises
        ------
        GeodesError
            If no sample is.
        """
        about = self.described.bursts[burst]
        lines = np.flatnonzero(about.first >= 0)
        first = int(about.first[lines].max()) if lines.size else 0
        last = int(about.last[lines].min()) + 1 if lines.size else 0
        if first >= last:
            raise GeodesError(f"Burst {about.number} of {self.described.annotation.name} has no valid sample.")
        return (int(lines[0]), int(lines[-1]) + 1), (first, last)

    def read(self, burst: int, rows: Span, cols: Span) -> NDArray[np.complex64]:
        """Read samples of a burst; 0 outside of its valid ones.

        Parameters
        ----------
        burst
            Its number, from 0.
        rows, cols
            Lines of the burst and pixels; they may be beyond it.
        """
        lines, pixels = self.valid(burst)
        out = np.zeros((rows[1] - rows[0], cols[1] - cols[0]), np.complex64)
        (top, bottom), (left, right) = (
            (max(asked[0], there[0]), min(asked[1], there[1])) for asked, there in ((rows, lines), (cols, pixels))
        )
        if top < bottom and left < right:
            for begin, block in self._blocks(burst, top, bottom):
                first, last = max(top, begin), min(bottom, begin + len(block))
                part = block[first - begin : last - begin, left:right]
                here = out[first - rows[0] : last - rows[0], left - cols[0] : right - cols[0]]
                here.real, here.imag = part[..., 0], part[..., 1]
        return out

    def _blocks(self, burst: int, top: int, bottom: int) -> list[tuple[int, NDArray[Any]]]:
        """Return blocks of whole lines of a burst, (lines, samples, 2), and their first lines.

        A file has a strip for each line, so that all tiles of some lines need the same bytes: they are read once while
        they are in the cache, as 16-bit integers, which ESA's files have.
        """
        first, last = self.described.bursts[burst].lines
        starts = list(range(top // _BLOCK * _BLOCK, bottom, _BLOCK))

        def begin(wanted: list[int]) -> list[Future[NDArray[Any]]]:
            futures: list[Future[NDArray[Any]]] = []
            for number in wanted:
                span = first + starts[number], min(first + starts[number] + _BLOCK, last)
                futures.append(Future())
                read = sensor_window.window(self.source, span, (0, self.source.shape[1]))
                numbers = np.ascontiguousarray(read, np.complex64).view(np.float32).reshape(*read.shape, 2)
                with np.errstate(invalid="ignore"):
                    small = numbers.astype(np.int16)
                futures[-1].set_result(small if (small == numbers).all() else numbers)
            return futures

        blocks = tile_cache.shared().get([(self.source, "lines", first + s) for s in starts], begin)
        return list(zip(starts, blocks, strict=True))


@lru_cache(maxsize=64)
def _described(place: ObjectLocation, member: str, track: int | None) -> Described:
    told = Document(Archive(place), member)
    annotation = sentinel1_annotation.understood(told)
    several = bursts(annotation, told)
    identifiers = burst_map.numbers(several, told, annotation.swath, track)
    return Described(annotation, tuple(several), tuple(identifiers), tops.understood(told))
