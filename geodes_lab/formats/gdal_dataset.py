"""Rasters of unknown origin, opened by GDAL: only the formats of products, and only the named file.

GDAL has a hundred formats. Some are recipes that read other files (VRT, GTI, WMS, …), whatever the name of the file,
and even a GeoTIFF may name another file as its overviews. All code that opens a product's raster with GDAL, rasterio or
rioxarray must use this module.
"""

from __future__ import annotations

import re
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geodes_lab.archive import member_index
from geodes_lab.archive.central_directory import DEFLATED, STORED
from geodes_lab.errors import GeodesError
from geodes_lab.formats.jpeg2000 import code_blocks
from geodes_lab.storage.location import object_of
from geodes_lab.util import limits

DRIVERS = ("GTiff", "JP2OpenJPEG")
"""GDAL's formats that may be opened: those of products.

None of them reads another file that the file names.
"""

HEIGHTS = (".hgt", "SRTMHGT")
"""The names of SRTM files, which are plain numbers, and the format that opens only those.

The format identifies them by name and size.
"""

# A path on disk, in a bucket or on a web server, or a member of a zip there, but none of GDAL's many other prefixes.
_PATH = re.compile(r"(?:/vsizip/\{(?P<zip>[^{}]+)\}/(?P<member>.+)|(?P<plain>.+))", re.DOTALL)
_PLACE = re.compile(r"/vsis3/[^/]+/.+|/vsicurl/https?://.+|/(?!vsi).*", re.DOTALL | re.IGNORECASE)
_ENDS = (".ovr", ".msk", ".aux.xml", ".tfw", ".tifw", ".tiffw", ".wld", ".j2w", ".jp2w")
_HEAD = 2**16  # bytes of a code-stream that are checked
_LARGEST_BESIDE = 2**24  # bytes of a text file beside a raster
_IMAGES = 64  # of a TIFF: a pyramid down to one pixel has 22, with masks 44


def check(path: str) -> None:
    """Refuse a path that GDAL would not take for a file.

    Raises
    ------
    GeodesError
        If it is neither a path on disk or in the datalake, nor on a web server, nor in a zip in one of these.
    """
    parts = _PATH.fullmatch(path)
    place = parts and (parts["zip"] or parts["plain"])
    if (
        not parts
        or not place
        or not _PLACE.fullmatch(place)
        or "\0" in path
        or ".." in (parts["member"] or "").split("/")
    ):
        raise GeodesError(
            f"{shown(path)} is not the path of a file that can be opened here: give a path, or an s3:// or "
            "https:// address."
        )


@contextmanager
def opened(path: str) -> Iterator[rasterio.DatasetReader]:
    """Open a raster, within GDAL's environment for its path (`geodes_lab.storage.gdal_env`).

    Parameters
    ----------
    path
        The path by which GDAL opens it.

    Raises
    ------
    GeodesError
        If `check` refuses the path, or the raster names other files, or has blocks larger than those of any product.
    rasterio.errors.RasterioIOError
        If it is missing, damaged, or of another format.
    """
    check(path)
    drivers: tuple[str, ...] = DRIVERS if not path.lower().endswith((".jp2", ".j2k")) else DRIVERS[::-1]
    if path.lower().endswith(HEIGHTS[0]):
        drivers = HEIGHTS[1:]
    with rasterio.Env(**_beside(path)), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = _first(path, drivers)
        with file:
            confirm(path, file)
            yield file


def _first(path: str, drivers: tuple[str, ...]) -> rasterio.DatasetReader:
    problem = ""
    for driver in drivers:
        try:
            return rasterio.open(path, driver=driver, sharing=False)
        except RasterioIOError as error:
            reason = str(error)
            # One format may know what the other does not; a missing file fails in both.
            problem = problem if problem and "not recognized" in reason else reason
    if "not recognized" in problem:
        problem = f"its format is not one of those that can be opened here: {', '.join(DRIVERS)}"
    raise RasterioIOError(problem)


def epsg(crs: Any) -> int | None:
    """Return the EPSG code of a raster's horizontal CRS; None if it has none.

    A vertical CRS is ignored.
    """
    if not crs:
        return None
    wkt = crs.to_wkt()
    if not wkt.startswith(("COMPD_CS", "COMPOUNDCRS")) and "ellipsoidal height" not in wkt.lower():
        return crs.to_epsg()
    whole = CRS.from_wkt(wkt)
    flat = whole.sub_crs_list[0] if whole.is_compound else whole.to_2d()
    code: int | None = flat.to_epsg()
    return code


def confirm(path: str, file: Any) -> None:
    """Check an open raster against the limits of products, before its data are read; see `opened`."""
    if file.tags(ns="OVERVIEWS"):
        raise GeodesError(
            f"{shown(path)} has its overviews in another file, which is refused: save it again with its overviews "
            "inside."
        )
    _confirm_blocks(path, file)
    if file.driver == "JP2OpenJPEG":
        rows, cols = file.block_shapes[0]
        if not _is_looked_through(path):
            limits.refuse(f"A tile of {shown(path)}", rows * cols * file.count, code_blocks.UNSEEN, "numbers")
    elif file.driver == "GTiff":
        _confirm_images(path)


def _confirm_blocks(path: str, file: Any) -> None:
    together = file.count if file.interleaving is not None and file.interleaving.name == "pixel" else 1
    rows, cols = file.block_shapes[0]
    # OpenJPEG decodes all bands together, and needs ten bytes for each number.
    size = rows * cols * (2 * file.count if file.driver == "JP2OpenJPEG" else together * _size(file.dtypes[0]))
    limits.refuse(f"A block of {shown(path)}", size, limits.TILE)
    limits.refuse(f"{shown(path)}", max(file.shape), limits.SIDE, "rows or columns")


def _confirm_images(path: str) -> None:
    """Check the other images of a TIFF, its overviews and masks, against the same limits: each has its own blocks."""
    for number in range(2, _IMAGES + 2):
        try:
            with rasterio.open(f"GTIFF_DIR:{number}:{path}", driver="GTiff", sharing=False) as image:
                _confirm_blocks(path, image)
        except RasterioIOError as error:
            if "not found" in str(error):
                return
            # What GDAL cannot open here it cannot use as an overview or a mask either.
    raise GeodesError(
        f"{shown(path)} contains more than {_IMAGES} images, more than any product has. It is refused: save the image "
        "that you need as a file of its own."
    )


def _is_looked_through(path: str) -> bool:
    """Check the headers of a JPEG 2000, and refuse what would need too much memory.

    Returns whether they can be checked: only GDAL reads signed addresses.
    """
    inside, place = path.startswith("/vsizip/"), object_of(path)
    if place.query:
        return False
    if not inside:
        code_blocks.check_file(shown(path), place, 0, place.size())
        return True
    name = path.partition("}/")[2]
    entry, start = member_index.lasting(place, lambda members: (members.entry(name), members.begin(name)))
    if entry.method == STORED:
        code_blocks.check_file(shown(path), place, start, entry.size)
        return True
    if entry.method != DEFLATED:
        return False
    try:
        data = zlib.decompressobj(-15).decompress(place.read(start, min(entry.packed, _HEAD)), _HEAD)
    except zlib.error as error:
        raise GeodesError(f"{shown(path)} is damaged ({error}); fetch the product again.") from None
    code_blocks.check_beginning(shown(path), data)
    return False


def _size(kind: str) -> int:
    return next((n for end, n in (("128", 16), ("64", 8), ("32", 4), ("16", 2)) if kind.endswith(end)), 1)


def _beside(path: str) -> dict[str, str]:
    """Return GDAL's options for the files beside one on disk.

    Such files are used if they exist and are what their names say.

    A mask or overviews must be a TIFF: GDAL would open any other format too.
    """
    alone = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
    if path.startswith("/vsi"):
        return alone
    folder, name = Path(path).parent, Path(path).name
    stem = Path(path).stem.lower()
    try:
        others = [
            n
            for n in (p.name for p in folder.iterdir())
            if n != name and n.lower().startswith((f"{name.lower()}.", f"{stem}."))
        ]
    except OSError:
        return alone
    side_files = [n for n in others if n.lower().endswith(_ENDS)]
    if not side_files or any(n.lower().endswith((".aux", ".rrd")) for n in others):
        return alone
    for other in side_files:
        _check_beside(Path(folder, other))
    return {}


def _check_beside(path: Path) -> None:
    """Refuse a file beside a raster that is not what its name says, or that leads elsewhere."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise GeodesError(
            f"{path} is next to a raster, but it is a link or a pipe and not a regular file. It is refused: remove it."
        )
    if path.suffix.lower() in (".ovr", ".msk"):
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
            try:
                with rasterio.open(path, driver="GTiff", sharing=False) as file:
                    confirm(str(path), file)
            except RasterioIOError as error:
                raise GeodesError(
                    f"{path} is next to a raster, but it is not a TIFF. It is refused: remove it."
                ) from error
    elif status.st_size > _LARGEST_BESIDE:
        raise GeodesError(
            f"{path} is next to a raster, but it is larger than any such text file. It is refused: remove it."
        )


def shown(path: str) -> str:
    """Return a path for error messages, without the signature of an address."""
    return path.partition("?")[0]
