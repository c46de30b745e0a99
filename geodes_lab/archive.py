"""Members of a product: of a zip, read where it lies, or of a folder on disk. Nothing is ever unpacked to disk."""

from __future__ import annotations

import re
import struct
import zipfile
from functools import cached_property
from pathlib import Path, PurePosixPath

from geodes_lab import extracted
from geodes_lab.datalake import Place, locate
from geodes_lab.errors import GeodesError
from geodes_lab.member import Member

# A product's XML is below 5 MB; what inflates to more is a mistake or an attack.
_LARGEST_TEXT = 64 * 2**20


class Archive:
    """The members of one product.

    Parameters
    ----------
    href
        The address of a zip (a path, ``s3://`` or ``https://``) or of a folder on disk, or its place. Nothing is read until a
        member is asked for; a zip's list of members then takes two or three small reads at its end.
    """

    def __init__(self, href: str | Place) -> None:
        self.place: Place = href if isinstance(href, Place) else locate(href)
        self.name = re.sub(r"(\.SAFE)?(\.zip)?$", "", self.place.name, flags=re.IGNORECASE)

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            found = zipfile.ZipFile(self.place.open())
            if any(not 0 <= i.header_offset < found.start_dir for i in found.infolist()):
                raise GeodesError(f"The list of members of {self.place.href} is damaged: fetch the product again.")
            return found
        except (ValueError, OverflowError, NotImplementedError) as error:
            raise GeodesError(
                f"The list of members of {self.place.href} is damaged ({error}): fetch the product again."
            ) from None
        except zipfile.BadZipFile:
            size = self.place.size()
            if size and self.place.read(0, min(4, size)) == b"PK\x03\x04":
                problem = f"is truncated: {size} bytes, without the directory that ends a zip; fetch it again"
            else:
                problem = f"is not a zip ({size} bytes); check the address"
            raise GeodesError(f"{self.place.href} {problem}.") from None

    @cached_property
    def names(self) -> frozenset[str]:
        """The paths of all member files.

        Raises
        ------
        GeodesError
            If the zip is truncated, is no zip, or holds a path that climbs out of it.
        """
        if self.place.is_folder:
            # Paths begin with the folder's own name, as they do in the zip of the same product.
            folder = Path(self.place.gdal)
            found = frozenset(p.relative_to(folder.parent).as_posix() for p in folder.rglob("*") if p.is_file())
        else:
            found = frozenset(n for n in self._zip.namelist() if not n.endswith("/"))
        for name in found:
            if name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise GeodesError(f"{self.place.href} holds the path {name!r}, which climbs out of it: refused.")
        return found

    def matching(self, pattern: str) -> list[str]:
        """The members whose paths match ``pattern`` to their ends."""
        return sorted(n for n in self.names if re.search(f"(?:^|/){pattern}$", n))

    def find(self, pattern: str, what: str) -> str:
        """Find the one member whose path matches ``pattern`` to its end.

        Raises
        ------
        GeodesError
            If no member matches, or several do; the sentence calls it ``what``.
        """
        found = self.matching(pattern)
        if len(found) != 1:
            many = "has no" if not found else f"has {len(found)} times the"
            raise GeodesError(f"{self.place.href} {many} {what}: the product is incomplete; fetch it again.")
        return found[0]

    def read(self, name: str) -> bytes:
        """Read a small member (metadata) whole.

        Raises
        ------
        GeodesError
            If it is missing, damaged, or larger than any metadata is.
        """
        if name not in self.names:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")
        if self.place.is_folder:
            return (Path(self.place.gdal).parent / name).read_bytes()
        info = self._zip.getinfo(name)
        if info.file_size > _LARGEST_TEXT:
            raise GeodesError(
                f"{name} in {self.place.href} claims {info.file_size} bytes, too many for metadata: refused."
            )
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise GeodesError(f"{name} in {self.place.href} is damaged ({error}); fetch the product again.") from error

    def member(self, name: str) -> Member:
        """Give a member as a file that is read by ranges.

        A member that is compressed cannot be: it is extracted once, whole, into the user's folder of replicas, and a
        warning says so (see `geodes_lab.extracted`).

        Raises
        ------
        GeodesError
            If it is missing or damaged, or there is no room for it.
        """
        if name not in self.names:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")
        if self.place.is_folder:
            place = locate(Path(self.place.gdal).parent / name)
            return Member(place, 0, place.size())
        info = self._zip.getinfo(name)
        head = self.place.read(info.header_offset, 30)
        if head[:4] != b"PK\x03\x04":
            raise GeodesError(f"{name} is not where the zip {self.place.href} says: fetch the product again.")
        start = info.header_offset + 30 + sum(struct.unpack_from("<HH", head, 26))
        packed = Member(self.place, start, info.compress_size)
        return packed if info.compress_type == zipfile.ZIP_STORED else extracted.member(packed, info)

    def range(self, name: str) -> tuple[int, int] | None:
        """Where a stored member is in its zip: offset of its local header, and its size; None if it is not stored."""
        if self.place.is_folder:
            return None
        info = self._zip.getinfo(name)
        return (info.header_offset, info.file_size) if info.compress_type == zipfile.ZIP_STORED else None

    def gdal(self, name: str) -> str:
        """The path by which GDAL opens a member in place."""
        if self.place.is_folder:
            return str(Path(self.place.gdal).parent / name)
        if "{" in self.place.gdal or "}" in self.place.gdal:
            raise GeodesError(f"{self.place.href} has a brace in its path, which GDAL cannot open inside: rename it.")
        return f"/vsizip/{{{self.place.gdal}}}/{name}"
