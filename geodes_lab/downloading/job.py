"""One product of a download: its Item, and the name that its file gets."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
from dask.utils import format_bytes

from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, local, packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.packed import Whole
from geodes_lab.util import file_name

# A name becomes a file on somebody's disk: letters, digits and what names of products have, no hidden file, no path.
_SUFFIX = re.compile(r"\.(?:zip|tar|tgz|tif|tiff|jp2|nc|h5|hdf|hdf5|he5)(?:\.gz)?$|\.gz$", re.IGNORECASE)
_ENDINGS = re.compile(rf"(?:\.SAFE|\.SEN3)?(?:{_SUFFIX.pattern})?$", re.IGNORECASE)
_SUFFIXES = {"zip": ".zip", "netcdf": ".nc", "hdf5": ".h5", "tiff": ".tif", "jp2": ".jp2"}


@dataclass(frozen=True)
class Job:
    """One product, and where it goes."""

    name: str
    """The product's name."""
    item: pystac.Item
    """Its Item."""
    whole: Whole
    """What the Item says of the file of the whole product."""
    target: Path
    """The file of the whole product."""

    def refuse_full_disk(self, folder: Path, need: int) -> None:
        """Refuse before a request, which may count against a quota, what a disk has no room for.

        Raises
        ------
        GeodesError
            If it has not so many bytes left.
        """
        free = shutil.disk_usage(folder).free
        if free < need:
            raise self.fail(
                f"the disk of {folder} has {format_bytes(free)} left, and it needs {format_bytes(need)}; free some "
                "room, or choose another directory"
            )

    def fail(self, problem: str) -> GeodesError:
        """Return the error of this product."""
        return GeodesError(f"{self.name} could not be downloaded: {problem}.")


def of(product: Any, folder: Path) -> Job:
    """Accept a product in any form, and choose the name of its file; nothing is read.

    Raises
    ------
    GeodesError
        If it is no product, has no asset that holds the whole product, or has a name that no file may have.
    """
    is_address = isinstance(product, (str, os.PathLike))
    item = local.by_name(os.fspath(product)) if is_address else as_item(product)
    name = name_of(item)
    if not packed.is_one(item):
        raise GeodesError(
            f"{name} has no file of the whole product ({', '.join(list(item.assets)[:9]) or 'no assets'}): open it in "
            "place with gl.open_cube, or download the address of one file, such as item.assets[…].href."
        )
    whole = packed.described(item)
    if whole.size is not None and (isinstance(whole.size, bool) or not isinstance(whole.size, int) or whole.size < 0):
        raise GeodesError(f"{name} has the file:size {whole.size!r}, which is no number of bytes: correct the Item.")
    stem = file_name.of_product(name, _ENDINGS)
    return Job(name, item, whole, folder / f"{stem}{_suffix(whole)}")


def _suffix(whole: Whole) -> str:
    """Return the ending of the file's name: from an address, else from the media type, else that of a zip."""
    for href in whole.hrefs:
        if match := _SUFFIX.search(href.partition("?")[0].partition("#")[0]):
            return match[0].lower()
    kind = (whole.media_type or "").lower()
    return next((ending for word, ending in _SUFFIXES.items() if word in kind), ".zip")
