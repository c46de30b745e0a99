"""The HDF5 file of a product of POSTEL: where it lies, and what it says of its arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np
import pystac

from geodes_lab.archive import extract
from geodes_lab.archive.archive import Archive
from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import hdf5
from geodes_lab.products import addresses, packed
from geodes_lab.products.bands import name_of
from geodes_lab.storage.location import locate

NAMED = re.compile(r"\.(h5|hdf5|he5)(\.gz)?$", re.IGNORECASE)
"""How the names of such files end."""


class File:
    """One HDF5 file; what describes it is read when it is asked for.

    Parameters
    ----------
    item
        An Item whose product is the file, bare, compressed by gzip, or in a zip or folder. A compressed one is
        extracted once, whole, and a warning says so.

    Raises
    ------
    GeodesError
        If there is no such file.
    """

    def __init__(self, item: pystac.Item) -> None:
        files = [a for a in item.assets.values() if NAMED.search(a.href)]
        if packed.is_one(item):
            place = packed.place(item)
        elif len(files) == 1:
            place = locate(addresses.of(files[0]))
        else:
            raise GeodesError(f"{name_of(item)} has no asset that is one HDF5 file; it has: {', '.join(item.assets)}.")
        self.source = place.href
        """Where the product lies."""
        self.name = place.name
        """What sentences call it."""
        if place.is_folder or self.name.lower().endswith(".zip"):
            archive = Archive(place)
            path = archive.find(r"[^/]+\.(?:h5|hdf5|he5|H5)(?:\.gz)?", "HDF5 file (*.h5)")
            self.member, self.name = archive.member(path), path.rsplit("/", 1)[-1]
        else:
            self.member = Member(place, 0, place.size())
        if self.name.lower().endswith(".gz"):
            self.member = extract.gunzipped(self.member, self.name)

    @property
    def day(self) -> datetime | None:
        """The day that its name says."""
        found = re.search(r"(?<!\d)((?:19|20)\d\d)(0[1-9]|1[0-2])([0-3]\d)(?!\d)", self.name)
        try:
            return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC) if found else None
        except ValueError:
            return None

    def groups(self) -> list[str]:
        """The paths of all groups but the root."""
        return [path for path, node in self._visited() if isinstance(node, h5py.Group)]

    def arrays(self) -> list[Array]:
        """What it says of all arrays of two dimensions."""
        return [node for _, node in self._visited() if isinstance(node, Array)]

    def _visited(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []

        def visit(path: str, node: Any) -> None:
            if not isinstance(node, h5py.Dataset):
                found.append((path, node))
            elif node.ndim == 2 and node.dtype.kind in "iuf":
                hdf5.check(node, f"{path} of {self.name}")
                attrs = {k.upper(): _plain(v) for holder in (node.file, node) for k, v in holder.attrs.items()}
                found.append((path, Array(path, node.shape, node.dtype.name, attrs)))

        if not self.member.size:
            raise GeodesError(f"{self.name} is empty (0 bytes): fetch the product again.")
        try:
            with h5py.File(self.member.open(), "r") as file:
                hdf5.check_links(file, self.name)
                file.visititems(visit)
        except GeodesError:
            raise
        except Exception as error:  # whatever HDF5, or what it calls, stumbles over
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GeodesError(f"{self.name} does not open as HDF5 ({said}); fetch the product again.") from error
        return found


@dataclass(frozen=True)
class Array:
    """What a file says of one of its arrays."""

    path: str
    """In the file."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """As it is stored."""
    attrs: Mapping[str, Any]
    """Of the file and, before these, its own; their names in capitals."""

    @property
    def key(self) -> str:
        """The name of its asset."""
        return self.path.strip("/").replace("/", "_")

    def number(self, *names: str) -> float | None:
        """The first of its attributes of these names that is a number."""
        for name in names:
            try:
                return float(self.attrs[name])
            except (KeyError, TypeError, ValueError):
                continue
        return None

    def transform(self, is_global: bool) -> tuple[float, float, float, float, float, float] | None:
        """Pixel to degrees: by Geoland's attributes, which are of the first pixel's centre; None if nothing says it.

        ``is_global`` says that an array twice as wide as high is the whole Earth, from its north-west corner.
        """
        rows, cols = self.shape
        lon, lat, size = (self.number(n) for n in ("FIRST_LON", "FIRST_LAT", "PIXEL_SIZE"))
        if lon is not None and lat is not None and size is not None and size > 0:
            return size, 0.0, lon - size / 2, 0.0, -size, lat + size / 2
        if is_global and cols == 2 * rows:
            return 360 / cols, 0.0, -180.0, 0.0, -360 / cols, 90.0
        return None


def _plain(value: Any) -> Any:
    """An attribute as Python has it: Geoland's are arrays of one, and bytes."""
    value = value.ravel()[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode("latin-1") if isinstance(value, bytes) else value
