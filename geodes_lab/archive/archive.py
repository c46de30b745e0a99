"""Members of a product: of a zip, read where it lies, or of a folder on disk. Nothing is ever unpacked to disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from geodes_lab import settings
from geodes_lab.archive import extract, member_index
from geodes_lab.archive.central_directory import STORED
from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation

# A product's XML is below 5 MB; what inflates to more is a mistake or an attack.
_LARGEST_TEXT = 64 * 2**20
_MOST = 100_000  # files in a folder: more are no product


class Archive:
    """The members of one product.

    Parameters
    ----------
    href
        The address of a zip (a path, ``s3://`` or ``https://``) or of a folder on disk, or its place. Nothing is read
        until a member is asked for; a zip's list of members then takes two small reads at its end, once for all who
        share a cache.
    leave_out
        Folders of which the members are not seen.
    """

    def __init__(self, href: str | ObjectLocation, *, leave_out: Sequence[str] = ()) -> None:
        self.place: ObjectLocation = href if isinstance(href, ObjectLocation) else locate(href)
        self.left_out = tuple(leave_out)
        self.name = re.sub(r"(\.SAFE)?(\.zip)?$", "", self.place.name, flags=re.IGNORECASE)

    def without(self, folders: Sequence[str]) -> Archive:
        """The same product, seen without the members of some folders."""
        return Archive(self.place, leave_out=folders)

    @property
    def names(self) -> frozenset[str]:
        """The paths of all member files.

        Raises
        ------
        GeodesError
            If the zip is truncated, is no zip, or holds what no product does, such as a path that climbs out of it; if
            the folder holds more files than any product.
        """
        found = self._files if self.place.is_folder else member_index.of(self.place).names
        if not self.left_out:
            return found
        hidden = re.compile(f"(?:^|/)(?:{'|'.join(map(re.escape, self.left_out))})/")
        return frozenset(n for n in found if not hidden.search(n))

    @cached_property
    def _files(self) -> frozenset[str]:
        """Of a folder; their paths begin with its own name, as they do in the zip of the same product."""
        folder, found = Path(self.place.gdal), list[str]()
        try:
            # Links are followed to files, not to folders.
            for path, _, files in os.walk(folder, onerror=_fail):
                for name in files:
                    file = Path(path, name)
                    if file.is_symlink():
                        self._refuse_link(file)
                    if file.is_file():
                        found.append(file.relative_to(folder.parent).as_posix())
                if len(found) > _MOST:
                    raise GeodesError(
                        f"{self.place.href} has more than {_MOST} files in it: give the product's own folder."
                    )
        except OSError as error:
            raise GeodesError(
                f"{self.place.href} may not be read ({error.strerror}): check its permissions."
            ) from error
        return frozenset(found)

    def _refuse_link(self, file: Path) -> None:
        """Refuse a link that leads out of the product.

        In a product that somebody else made it would read the opener's own files. The operator's mirror alone may be
        made of links.
        """
        mirror, folder = settings.get("datalake.mirror"), Path(self.place.gdal).resolve()
        if mirror and file.is_relative_to(Path(mirror).expanduser().absolute()):
            return
        if not file.resolve().is_relative_to(folder):
            raise GeodesError(
                f"{file} is a link that leads out of its product, to {file.resolve()}: refused; copy what it means "
                "there."
            )

    def matching(self, pattern: str) -> list[str]:
        """The members whose paths match ``pattern`` to their ends.

        Where none does, capitals are as good as small letters.
        """
        for how in ("", "(?i)"):
            wanted = re.compile(f"{how}(?:^|/){pattern}$")
            if found := sorted(filter(wanted.search, self.names)):
                return found
        return []

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
        if not self.place.is_folder:
            return member_index.read(self.place, name, _LARGEST_TEXT)
        self._must_have(name)
        path = Path(self.place.gdal).parent / name
        try:
            if path.stat().st_size > _LARGEST_TEXT:
                raise GeodesError(f"{path} has {path.stat().st_size} bytes, too many for metadata: refused.")
            return path.read_bytes()
        except OSError as error:
            raise GeodesError(f"{path} may not be read ({error.strerror}): check its permissions.") from error

    def _must_have(self, name: str) -> None:
        if name not in self.names:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")

    def member(self, name: str) -> Member:
        """Give a member as a file that is read by ranges.

        A member that is compressed cannot be: it is extracted once, whole, into the user's folder of replicas, and a
        warning says so (see `geodes_lab.archive.extract`).

        Raises
        ------
        GeodesError
            If it is missing or damaged, or there is no room for it.
        """
        if self.place.is_folder:
            self._must_have(name)
            place = locate(Path(self.place.gdal).parent / name)
            return Member(place, 0, place.size())
        entry, start = member_index.lasting(self.place, lambda members: (members.entry(name), members.begin(name)))
        packed = Member(self.place, start, entry.packed)
        return packed if entry.method == STORED else extract.member(packed, entry)

    def range(self, name: str) -> tuple[int, int] | None:
        """Where a stored member is in its zip: offset of its local header, and its size; None if it is not stored."""
        if self.place.is_folder:
            return None
        entry = member_index.of(self.place).entry(name)
        return (entry.offset, entry.size) if entry.method == STORED else None

    def gdal(self, name: str) -> str:
        """The path by which GDAL opens a member in place."""
        if self.place.is_folder:
            return str(Path(self.place.gdal).parent / name)
        if "{" in self.place.gdal or "}" in self.place.gdal:
            raise GeodesError(f"{self.place.href} has a brace in its path, which GDAL cannot open inside: rename it.")
        return f"/vsizip/{{{self.place.gdal}}}/{name}"


def _fail(error: OSError) -> None:
    raise error
