"""A tile that stays open: what was decoded of it for one area is not decoded again for the next one.

A map asks for areas beside each other. Code-blocks at an area's edge belong to its neighbours too, and so do those of
lower resolutions: of areas of a few hundred pixels that are decoded alone, more than half of the work is done twice.
"""

from __future__ import annotations

import threading
from typing import Any

from numpy.typing import NDArray

from geodes_lab.formats.jpeg2000.openjpeg import Area, Decoder

_WASTE = 1.5  # the pixels of a rectangle around two areas, beside their own, up to which it is decoded in one
_AROUND = 128  # pixels around an area whose code-blocks are decoded with it
_EACH = 8  # bytes of a pixel, and of its number in a code-block


class OpenTile:
    """One tile.

    Parameters
    ----------
    stream
        See `geodes_lab.formats.jpeg2000.openjpeg.decode`.
    """

    def __init__(self, stream: bytes) -> None:
        self._lock = threading.Lock()
        self._stream = stream
        self._decoder: Decoder | None = None
        self._area: Area = (0, 0, 0, 0)
        self._pixels: NDArray[Any] | None = None

    def area(self, area: Area) -> NDArray[Any]:
        """Decode an area; who asks for another one meanwhile waits.

        Returns
        -------
        numpy.ndarray
            (band, rows, cols), a copy.

        Raises
        ------
        Undecodable
            See `geodes_lab.formats.jpeg2000.openjpeg.decode`.
        """
        with self._lock:
            if self._pixels is None or _around(self._area, area) != self._area:
                decoder, wanted = self._decoder or Decoder(self._stream), _together(self._area, area)
                self._decoder, self._pixels, self._area = None, None, (0, 0, 0, 0)  # after an error, it begins anew
                self._pixels = decoder.decode(wanted)
                self._decoder, self._area = decoder, wanted
            top, left = self._area[:2]
            return self._pixels[:, area[0] - top : area[2] - top, area[1] - left : area[3] - left].copy()

    @property
    def size(self) -> int:
        """Bytes that are kept, roughly."""
        top, left, bottom, right = self._area
        pixels, components = self._pixels, 1 if self._pixels is None else len(self._pixels)
        decoded = (bottom - top + _AROUND) * (right - left + _AROUND) * _EACH * components
        return 2 * len(self._stream) + decoded + (0 if pixels is None else pixels.nbytes)


def _together(kept: Area, area: Area) -> Area:
    """Return what to decode: the rectangle around what is kept and a new area, if little of it is neither."""
    around = _around(kept, area) if _size(kept) else area
    common = max(kept[0], area[0]), max(kept[1], area[1]), min(kept[2], area[2]), min(kept[3], area[3])
    return around if _size(around) <= _WASTE * (_size(kept) + _size(area) - _size(common)) else area


def _around(one: Area, other: Area) -> Area:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _size(area: Area) -> int:
    return max(area[2] - area[0], 0) * max(area[3] - area[1], 0)
