"""Members of a product: a zip that is read in place, or a folder on disk. Nothing is unpacked to disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from geodes_lab import settings
from geodes_lab.archive import extract, member_index
from geodes_lab.archive.central_directory import STORED, Entry
from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation

# A product's XML is below 5 MB; a member that inflates to more is an error or an attack.
_LARGEST_TEXT = 64 * 2**20
_MOST = 100_000  # files in a folder: a product has fewer


class Archive:
    """The members of one product.

    Parameters
    ----------
    href
        The address of a zip (a path, ``s3://`` or ``https://``) or of a folder on disk, or its location. Nothing is
        read before the first request for a member; then a zip's list of members takes two small reads at its end, once
        for all processes that share a cache.
    leave_out
        Folders whose members are hidden.
    """

    def __init__(self, href: str | ObjectLocation, *, leave_out: Sequence[str] = ()) -> None:
        self.place: ObjectLocation = href if isinstance(href, ObjectLocation) else locate(href)
        self.left_out = tuple(leave_out)
        self.name = re.sub(r"(\.SAFE)?(\.zip)?$", "", self.place.name, flags=re.IGNORECASE)

    def without(self, folders: Sequence[str]) -> Archive:
        """Return the same product, without the members of some folders."""
        return Archive(self.place, leave_out=folders)

    @property
    def names(self) -> frozenset[str]:
        """Return the paths of all member files.

        Raises
        ------
        GeodesError
            If the zip is truncated, is not a zip, or holds what no product has, such as a path that climbs out of it;
            if the folder holds more files than any product.
        """
        paths = self._files if self.place.is_folder else member_index.of(self.place).names
        if not self.left_out:
            return paths
        hidden = re.compile(f"(?:^|/)(?:{'|'.join(map(re.escape, self.left_out))})/")
        return frozenset(n for n in paths if not hidden.search(n))

    @cached_property
    def _files(self) -> frozenset[str]:
        """Return the files of a folder; their paths begin with its own name, as in the zip of the same product."""
        folder, paths = Path(self.place.gdal), list[str]()
        unread = [(str(folder), folder.name)]  # folders on disk, and their names in the product
        try:
            while unread:
                path, name = unread.pop()
                with os.scandir(path) as entries:
                    for entry in entries:
                        # Links to files are followed, links to folders are not.
                        if entry.is_dir(follow_symlinks=False):
                            unread.append((entry.path, f"{name}/{entry.name}"))
                            continue
                        if entry.is_symlink():
                            if entry.is_dir():
                                continue
                            self._refuse_link(Path(entry.path))
                        if entry.is_file():
                            paths.append(f"{name}/{entry.name}")
                if len(paths) > _MOST:
                    raise GeodesError(
                        f"{self.place.href} has more than {_MOST} files in it: give the product's own folder."
                    )
        except OSError as error:
            raise GeodesError(f"{self.place.href} cannot be read ({error.strerror}): check its permissions.") from error
        return frozenset(paths)

    def _refuse_link(self, file: Path) -> None:
        """Refuse a link that leads out of the product.

        In a product from somebody else, such a link would read the user's own files. Only the operator's mirror may
        consist of links.
        """
        mirror, folder = settings.get("datalake.mirror"), Path(self.place.gdal).resolve()
        if mirror and file.is_relative_to(Path(mirror).expanduser().absolute()):
            return
        if not file.resolve().is_relative_to(folder):
            raise GeodesError(
                f"{file} is a link that leads out of its product, to {file.resolve()}. Links out of a product are "
                "refused: copy the file itself to its place."
            )

    def matching(self, pattern: str) -> list[str]:
        """Return the members whose paths match ``pattern`` to their ends.

        Falls back to a case-insensitive match.
        """
        for how in ("", "(?i)"):
            wanted = re.compile(f"{how}(?:^|/){pattern}$")
            if matches := sorted(filter(wanted.search, self.names)):
                return matches
        return []

    def find(self, pattern: str, what: str) -> str:
        """Return the one member whose path matches ``pattern`` to its end.

        Raises
        ------
        GeodesError
            If no member matches, or several do; the message calls it ``what``.
        """
        matches = self.matching(pattern)
        if not matches:
            raise GeodesError(f"{self.place.href} has no {what}: the product is incomplete; fetch it again.")
        if len(matches) > 1:
            several = ", ".join(matches[:2]) + (f" and {len(matches) - 2} more" if len(matches) > 2 else "")
            raise GeodesError(
                f"{self.place.href} has {len(matches)} files that can be the {what} ({shown(several)[:300]}): a "
                "product has one; remove the others, or fetch it again."
            )
        return matches[0]

    def read(self, name: str) -> bytes:
        """Read a small member (metadata) as a whole.

        Raises
        ------
        GeodesError
            If it is missing, damaged, or larger than any metadata.
        """
        if not self.place.is_folder:
            return member_index.read(self.place, name, _LARGEST_TEXT)
        self._must_have(name)
        path = Path(self.place.gdal).parent / name
        try:
            if path.stat().st_size > _LARGEST_TEXT:
                raise GeodesError(
                    f"{path} has {path.stat().st_size} bytes; metadata are never so large. It is not read: fetch the "
                    "product again."
                )
            return path.read_bytes()
        except OSError as error:
            raise GeodesError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error

    def _must_have(self, name: str) -> None:
        if name not in self.names:
            raise GeodesError(f"{self.place.href} has no member {name}: the product is incomplete; fetch it again.")

    def member(self, name: str) -> Member:
        """Return a member as a file that is read by ranges.

        Ranges of a compressed member cannot be read: it is extracted once into the user's folder of replicas, and a
        warning says so (see `geodes_lab.archive.extract`).

        Raises
        ------
        GeodesError
            If it is missing or damaged, or the disk has no space for it.
        """
        if self.place.is_folder:
            self._must_have(name)
            place = locate(Path(self.place.gdal).parent / name)
            return Member(place, 0, place.size())
        entry, start = member_index.lasting(self.place, lambda members: (members.entry(name), members.begin(name)))
        packed = Member(self.place, start, entry.packed)
        return packed if entry.method == STORED else extract.member(packed, entry)

    def entry(self, name: str) -> Entry:
        """Return the entry of a member in the list of a zip: its size and its CRC-32.

        Raises
        ------
        GeodesError
            If the zip has no such member, or it is encrypted.
        """
        return member_index.of(self.place).entry(name)

    def packed(self, name: str) -> Member:
        """Return the bytes of a member as they are in the zip, perhaps compressed; one request finds them."""
        directory = member_index.of(self.place)
        return Member(self.place, directory.begin(name), directory.entry(name).packed)

    def range(self, name: str) -> tuple[int, int] | None:
        """Return the range of a stored member in its zip: offset of its local header, and its size.

        None if it is compressed.
        """
        if self.place.is_folder:
            return None
        entry = member_index.of(self.place).entry(name)
        return (entry.offset, entry.size) if entry.method == STORED else None

    def gdal(self, name: str) -> str:
        """Return the path by which GDAL opens a member in place."""
        if self.place.is_folder:
            return str(Path(self.place.gdal).parent / name)
        if "{" in self.place.gdal or "}" in self.place.gdal:
            raise GeodesError(
                f"{self.place.href} has a brace in its path, and GDAL cannot open a zip at such a path: rename it."
            )
        return f"/vsizip/{{{self.place.gdal}}}/{name}"
