"""The file of a band, opened: an image and its overviews in tiles, of whichever format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from numpy.typing import NDArray

from geodes_lab.errors import Mislabelled, NotUnderstood
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.formats.tiff import image as tiff_image
from geodes_lab.formats.zarr import document as zarr_document
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import edges
from geodes_lab.storage.location import object_of
from geodes_lab.storage.object_location import ObjectLocation


class Image(edges.Pyramid, Protocol):
    """A file that holds an image and its overviews in tiles."""

    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of the image and of its overviews, finest first."""
    scales: tuple[tuple[float, float], ...]
    """For each, how many of the image's pixels in y and in x make one pixel."""
    wavelet: bool
    """Whether an overview is made of wavelets.

    Its pixels are centred on the first pixel that they stand for, and are not means.
    """
    nodata: float | None
    """The nodata value of the file itself."""
    epsg: int | None
    """The CRS of the file itself; None if there is none."""
    centre: tuple[float, float]
    """The centre of the first pixel according to the file; NaN if it has none."""

    def read(
        self, level: int, rows: Span, cols: Span, useful: tuple[Span, Span] | None = None, band: int | None = None
    ) -> NDArray[Any]:
        """Read a window.

        Parameters
        ----------
        level
            0 for the image, else the number of the overview in ``shapes``.
        rows, cols
            First and last (excluded) pixel, within the shape of that level.
        useful
            Rows and columns that will be needed soon: the rest of a tile is not decoded.
        band
            The wanted band, from 0, if only one is needed: the others may be missing or wrong.

        Returns
        -------
        numpy.ndarray
            (band, rows, cols), in the file's own numbers; other readers may hold the same array: do not write to it.

        Raises
        ------
        NotUnderstood
            If the window needs too much memory at once: readers in pieces can read it.
        """


def image_of(source: RasterSource) -> Image:
    """Open the file of a band.

    Raises
    ------
    NotUnderstood
        If it is not an image that can be read by tiles; only its header has been read then.
    """
    name = source.href.lower()
    if name.startswith("/vsizip/") and source.stored is None:
        raise NotUnderstood("the member is compressed")
    place = object_of(source.href)
    is_zarr = is_zarr_array(source)
    if is_zarr and not zarr_document.NAMED.search(place.path):
        raise NotUnderstood("neither JPEG 2000 nor TIFF by its name")
    stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
    with _opening[hash(place) % len(_opening)]:  # an image that two threads need at once is opened once
        if is_zarr:
            from geodes_lab.formats.zarr import image as zarr_image  # zarr-python is large: others do without

            return zarr_image.open(place, source.index, stamp)
        key = place, source.stored, stamp
        openers: list[Callable[..., Image]] = [tiff_image.open, jpeg2000_image.open]
        if name.endswith((".jp2", ".j2k")) != (key in _mislabelled):
            openers.reverse()
        try:
            return openers[0](*key)
        except Mislabelled:
            image = openers[1](*key)
            _mislabelled.symmetric_difference_update([key])  # detected once; and once more if the object is replaced
            return image


def is_zarr_array(source: RasterSource) -> bool:
    """Whether a band, if it can be read by tiles, is a Zarr array: all others have an ending."""
    return not source.href.lower().endswith((".jp2", ".j2k", ".tif", ".tiff"))


_opening = [Lock() for _ in range(64)]
_mislabelled: set[tuple[ObjectLocation, tuple[int, int] | None, int]] = set()


def _forked() -> None:
    """Replace locks that other threads of the parent may hold, in a child of a fork."""
    _opening[:] = [Lock() for _ in _opening]
    jpeg2000_image.open.cache_clear()
    tiff_image.open.cache_clear()


os.register_at_fork(after_in_child=_forked)
