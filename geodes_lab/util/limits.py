"""How much memory and time of a kernel one product may take.

Real products stay far below these limits; larger ones are refused before they are read.
"""

from __future__ import annotations

from typing import Protocol

from dask.utils import format_bytes

from geodes_lab.errors import GeodesError

TILE = 2**28
"""Bytes of one decoded tile, strip or chunk.

The largest real product is an image in one piece (10980² numbers of 2 bytes: 230 MiB).
"""
WINDOW = 2**29
"""Bytes that one window of an image takes at once; a chunk of a cube has 2048² numbers of 4 bytes: 16 MiB."""
PIXELS = 2**29
"""Pixels that are read for one chunk of a coarser grid: an image of 23000².

With overviews, there are four for each pixel of the grid.
"""
SIDE = 2**22
"""Rows or columns of an image: the whole Earth at 10 m is 4 million wide."""
IMAGE = 2**39
"""Pixels of an image: their chunks of 2048² are listed in some seconds. France at 10 m has 2^33."""
PIECES = 2**16
"""Tiles, strips or chunks of one window: 2048² numbers in tiles of 16² are 16 384."""
COORDINATE = 2**26
"""Bytes of a coordinate that is read as a whole when a product is opened: 8 million numbers."""
ARRAY = 2**42
"""Bytes of one array of a file: no archive is larger, and the list of its chunks must fit in memory."""
DOCUMENT = 2**26
"""Bytes of a member that is read as a whole (XML, JSON): those of products are below 5 MB."""
NUMBERS = 2**22
"""Numbers in one list of an XML document: the largest grids of real products have some ten thousand."""


def refuse(what: str, size: int | float, most: int, unit: str = "bytes") -> None:
    """Refuse what is larger than in any product.

    Parameters
    ----------
    what
        The thing and its file, as the sentence begins.
    size, most
        Its size, and the limit.
    unit
        The unit of both.

    Raises
    ------
    GeodesError
        If the size is above the limit.
    """
    if size > most:
        raise GeodesError(
            f"{what} {told(size, most, unit)}. It is refused: fetch the product again, or open it with other tools."
        )


def refuse_image(source: Banded) -> None:
    """Refuse an image that is too large: its list of chunks alone would take minutes."""
    refuse(f"Band {source.band} of {source.product}", source.shape[0] * source.shape[1], IMAGE, "pixels")


def refuse_pixels(source: Banded, pixels: int) -> None:
    """Refuse to read more pixels for one chunk than time allows; see `PIXELS`."""
    if pixels > PIXELS:
        raise GeodesError(
            f"One chunk of the grid needs {pixels} pixels of band {source.band} of {source.product}, which has no "
            f"coarse enough overviews; the limit is {PIXELS} pixels. Choose a finer resolution, or smaller chunks=."
        )


class Banded(Protocol):
    """A band of a product: a `geodes_lab.raster.source.RasterSource`."""

    @property
    def band(self) -> str:
        """Its name."""

    @property
    def product(self) -> str:
        """The product's."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""


def told(size: int | float, most: int, unit: str = "bytes") -> str:
    """Return the part of a sentence that says what is too large."""
    if unit == "bytes":
        needed = format_bytes(min(int(size), 2**63))
        return f"would take {needed}, more than the {format_bytes(most)} that any product needs"
    return f"has {size:.10g} {unit}, more than the {most} that any product needs"
