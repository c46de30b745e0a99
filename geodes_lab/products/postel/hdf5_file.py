"""The HDF5 file of a POSTEL product: where it is, and its description of its arrays."""

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
"""The suffixes of such files."""


class File:
    """One HDF5 file; its metadata are read when they are needed.

    Parameters
    ----------
    item
        An Item whose product is the file, plain, compressed by gzip, or in a zip or folder. A compressed file is
        extracted once, and a warning says so.

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
            raise GeodesError(
                f"{name_of(item)} has no asset that is an HDF5 file; its assets are: {', '.join(item.assets)}."
            )
        self.source = place.href
        """Where the product is."""
        self.name = place.name
        """Its name in error messages."""
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
        """Return the day in its name."""
        match = re.search(r"(?<!\d)((?:19|20)\d\d)(0[1-9]|1[0-2])([0-3]\d)(?!\d)", self.name)
        try:
            return datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC) if match else None
        except ValueError:
            return None

    def groups(self) -> list[str]:
        """Return the paths of all groups except the root."""
        return [path for path, node in self._visited() if isinstance(node, h5py.Group)]

    def arrays(self) -> list[Array]:
        """Return the descriptions of all arrays with two dimensions."""
        return [node for _, node in self._visited() if isinstance(node, Array)]

    def _visited(self) -> list[tuple[str, Any]]:
        nodes: list[tuple[str, Any]] = []

        def visit(path: str, node: Any) -> None:
            if not isinstance(node, h5py.Dataset):
                nodes.append((path, node))
            elif node.ndim == 2 and node.dtype.kind in "iuf":
                hdf5.check(node, f"{path} of {self.name}")
                attrs = {k.upper(): _plain(v) for holder in (node.file, node) for k, v in holder.attrs.items()}
                nodes.append((path, Array(path, node.shape, node.dtype.name, attrs)))

        if not self.member.size:
            raise GeodesError(f"{self.name} is empty (0 bytes): fetch the product again.")
        try:
            with h5py.File(self.member.open(), "r") as file:
                hdf5.check_links(file, self.name)
                file.visititems(visit)
        except GeodesError:
            raise
        except Exception as error:  # any error of HDF5 and the libraries below it
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GeodesError(f"{self.name} cannot be opened as HDF5 ({reason}); fetch the product again.") from error
        return nodes


@dataclass(frozen=True)
class Array:
    """The description of one array in a file."""

    path: str
    """Its path in the file."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """Its type in the file."""
    attrs: Mapping[str, Any]
    """The file's attributes, overridden by the array's own; their names in capitals."""

    @property
    def key(self) -> str:
        """The name of its asset."""
        return self.path.strip("/").replace("/", "_")

    def number(self, *names: str) -> float | None:
        """Return the first of the named attributes that is a number."""
        for name in names:
            try:
                return float(self.attrs[name])
            except (KeyError, TypeError, ValueError):
                continue
        return None

    def transform(self, is_global: bool) -> tuple[float, float, float, float, float, float] | None:
        """Return the transform from pixels to degrees, from Geoland's attributes; None if there is none.

        The attributes describe the first pixel's centre.

        With ``is_global``, an array twice as wide as high is the whole Earth, from its north-west corner.
        """
        rows, cols = self.shape
        lon, lat, size = (self.number(n) for n in ("FIRST_LON", "FIRST_LAT", "PIXEL_SIZE"))
        if lon is not None and lat is not None and size is not None and size > 0:
            return size, 0.0, lon - size / 2, 0.0, -size, lat + size / 2
        if is_global and cols == 2 * rows:
            return 360 / cols, 0.0, -180.0, 0.0, -360 / cols, 90.0
        return None


def _plain(value: Any) -> Any:
    """Convert an attribute to Python's types: Geoland's are arrays of one, and bytes."""
    value = value.ravel()[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode("latin-1") if isinstance(value, bytes) else value
