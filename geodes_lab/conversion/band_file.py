"""One band of a product as a cloud-optimised GeoTIFF with the same numbers, compared with the source."""

from __future__ import annotations

import hashlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rasterio.windows import Window

from geodes_lab.conversion import own_numbers
from geodes_lab.errors import GeodesError
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited

_ROWS = own_numbers.ROWS  # at once in memory
_BLOCK = 512
_PIECE = 2**24  # bytes that are read back at once


@dataclass(frozen=True)
class Written:
    """A band's file, and what is known of it."""

    file: str
    """Its name in the product's folder, or the array in the cube."""
    size: int
    """In bytes."""
    checksum: str
    """SHA-256 of the file, as a multihash in hexadecimal."""
    pixels: int = 0
    """How many pixels were compared with the source, now."""
    numbers: int = 0
    """Bytes of the decoded numbers."""
    source_size: int | None = None
    """Bytes of the band's own file, if its product says it."""
    source_seconds: float = 0.0
    """How long it took to read all of the source; of a GeoTIFF, while it was written."""
    file_seconds: float = 0.0
    """How long it took to read all of the new file."""


def write(source: RasterSource, kind: str, path: Path) -> Written:
    """Write a band's own numbers, on its own grid, and read them back.

    Parameters
    ----------
    source
        The band.
    kind
        The type of the file's numbers, such as ``uint16``.
    path
        The new file. Nothing of this name may exist.

    Returns
    -------
    Written
        When every pixel of the file equals the source's.

    Raises
    ------
    GeodesError
        If the source cannot be read, or the file has other numbers than the source.

    Notes
    -----
    The source is read and compared in strips of 1024 rows, so that memory does not depend on the image's height. Masks
    for no data and saturation are not applied: their numbers are copied as they are.
    """
    source = source.resolved()
    numbers = own_numbers.of(source, kind)
    rows, cols = source.shape
    rough = path.with_suffix(".rough.tif")
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": rows,
        "width": cols,
        "dtype": kind,
        "crs": source.geobox.crs.to_wkt(),
        "transform": source.geobox.affine,
        "nodata": source.nodata,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "bigtiff": "if_safer",
    }
    digests, top, source_seconds, began = list[bytes](), 0, 0.0, time.monotonic()
    try:
        with rasterio.open(rough, "w", **profile) as file:
            for strip in own_numbers.strips(numbers, kind):
                source_seconds = time.monotonic() - began
                digests.append(_digest(strip))
                file.write(strip, 1, window=Window(0, top, cols, len(strip)))
                top += len(strip)
            if (source.scale, source.offset) != (1.0, 0.0):
                file.scales, file.offsets = (source.scale,), (source.offset,)
            file.set_band_description(1, source.band)
        copy(
            rough, path, driver="COG", num_threads="all_cpus", compress="deflate", predictor="yes", blocksize=_BLOCK,
            bigtiff="if_safer", overview_resampling="nearest" if source.is_class else "average",
            overview_count=_halvings(rows, cols),
        )  # fmt: skip
    finally:
        rough.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        checksum = pool.submit(_sha256, path)
        file_seconds = _compare(path, source, digests)
    return Written(
        path.name,
        path.stat().st_size,
        f"1220{checksum.result()}",
        pixels=rows * cols,
        numbers=rows * cols * np.dtype(kind).itemsize,
        source_size=source.stored[1] if source.stored else None,
        source_seconds=source_seconds,
        file_seconds=file_seconds,
    )


def _digest(strip: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(strip).view(np.uint8).data, digest_size=32).digest()


def _compare(path: Path, source: RasterSource, digests: list[bytes]) -> float:
    """Read a file back, strip by strip; give the seconds of reading."""
    seconds = 0.0
    with rasterio.open(path, num_threads="all_cpus") as file:
        for number, digest in enumerate(digests):
            top = number * _ROWS
            height = min(_ROWS, source.shape[0] - top)
            began = time.monotonic()
            strip = file.read(1, window=Window(0, top, source.shape[1], height))
            seconds += time.monotonic() - began
            if _digest(strip) != digest:
                raise GeodesError(
                    f"{path.name} does not have the numbers of band {source.band} of {source.product} in rows {top} "
                    f"to {top + height - 1}, and was not kept: the disk or the memory is faulty. Convert it again."
                )
    return seconds


def confirm(folder: ObjectFolder, written: Written) -> None:
    """Read a file back from where it was brought to.

    Raises
    ------
    GeodesError
        If it has other bytes than were written.
    """
    digest = hashlib.sha256()
    for start in range(0, written.size, _PIECE):
        digest.update(waited(folder.read(written.file, (start, min(start + _PIECE, written.size)))) or b"")
    if f"1220{digest.hexdigest()}" != written.checksum:
        raise GeodesError(
            f"{folder.href(written.file)} does not have the bytes that were written, and was not kept: "
            "convert it again."
        )


def _halvings(rows: int, cols: int) -> int:
    """How many overviews, until the smallest fits in one block."""
    return max(math.ceil(math.log2(max(rows, cols) / _BLOCK)), 0)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
