"""Whether a file is the product that its Item describes, and what proves it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pystac

from geodes_lab.archive import central_directory, stream
from geodes_lab.archive.member import Member
from geodes_lab.archive.member_index import Directory
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.errors import GeodesError
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.storage import multihash
from geodes_lab.storage.location import place_of
from geodes_lab.storage.multihash import Digest

_BLOCK = 2**20  # bytes that are read at once


class Wrong(GeodesError):
    """A file is not the product that its Item describes."""


@dataclass(frozen=True)
class Evidence:
    """What was verified of a product."""

    size: int
    """Its bytes."""
    size_is_published: bool = False
    """Whether the Item has the size, and it is the same."""
    checksum: str = ""
    """The published checksum that it has, such as ``MD5 86f828c4…``; empty: none was verified."""
    why_not: str = ""
    """Why no published checksum was verified; empty: one was."""
    members: int | None = None
    """Members whose CRC-32 was verified; None: none was."""
    in_manifest: int | None = None
    """Members that were verified against the manifest's own checksums; None: none was."""

    def __str__(self) -> str:
        words = [self.checksum] if self.checksum else []
        words += [self.why_not] if self.why_not else []
        if self.members is not None:
            words.append(f"CRC-32 of {_counted(self.members)}")
        if self.in_manifest:
            words.append(f"{self.in_manifest} of the manifest's checksums")
        if self.size_is_published:
            words.append("size")
        return ", ".join(words)


def verify(
    path: Path,
    item: pystac.Item,
    *,
    digest: Digest | None = None,
    is_zip: bool | None = None,
    every_member: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Evidence:
    """Verify that a file is the whole product of an Item.

    Size and checksum (MD5, SHA-1, SHA-2, SHA3-256, BLAKE3) are compared with those that the Item publishes. Where it
    publishes no checksum that can be verified, the CRC-32 of every member of the zip is.

    Parameters
    ----------
    path
        The file.
    item
        The Item.
    digest
        The checksum of the file, if it was computed while the file arrived.
    is_zip
        Whether it must be a zip; None: if its name says so.
    every_member
        Whether to verify every member of a zip in any case, by CRC-32 and by the manifest's own checksum.
    check
        Called often; it may raise.

    Returns
    -------
    Evidence

    Raises
    ------
    Wrong
        If the file is something else, or is damaged; the sentence names the product.
    OSError
        If the file cannot be read.
    """
    name, whole = name_of(item), packed.described(item)
    size = path.stat().st_size
    if whole.size is not None and whole.size != size:
        raise Wrong(f"{name} has {size} bytes, and {whole.size} in the catalogue: it is not this version of it.")
    wanted = multihash.parse(whole.checksum)
    why_not = "" if wanted else "a checksum of an unknown kind" if whole.checksum else "no checksum is published"
    if wanted is not None:
        computed = (digest or _digest(path, wanted.begin(), check)).hexdigest()
        if computed != wanted.digest:
            raise Wrong(
                f"{name} has another {wanted.algorithm} than the one in the catalogue: its bytes are not right."
            )
    members = in_manifest = None
    # Not every family is a zip: some are one HDF5, or one raster.
    must = path.suffix.lower() == ".zip" if is_zip is None else is_zip
    if (wanted is None or every_member) and (must or zipfile.is_zipfile(path)):
        members, in_manifest = _members(path, name, every_member, check)
    shown = f"{wanted.algorithm} {wanted.digest}" if wanted else ""
    return Evidence(size, whole.size is not None, shown, why_not, members, in_manifest)


def _digest(path: Path, digest: Digest, check: Callable[[], None]) -> Digest:
    with path.open("rb", buffering=0) as file:
        while data := file.read(_BLOCK):
            digest.update(data)
            check()
    return digest


def _members(path: Path, name: str, with_manifest: bool, check: Callable[[], None]) -> tuple[int, int | None]:
    """Verify the members of a zip; return how many there are, and how many the manifest has checksums of."""
    place = place_of(str(path.absolute()))
    try:
        # Not from the cache of lists: this file may be one that is arriving.
        directory = Directory(place, *central_directory.read(place))
        manifest = Manifest.of_directory(directory) if with_manifest else None
        count = 0
        for member, entry in directory.entries.items():
            published = manifest.checksums.get(member) if manifest else None
            digest = published.begin() if published else None
            packed_member = Member(place, directory.begin(member), entry.packed)
            whole = stream.promised(entry, f"{member} of {name}")
            for piece in stream.content(packed_member, whole, f"{member} of {name}"):
                check()
                if digest is not None:
                    digest.update(piece)
            if published and digest is not None:
                if digest.hexdigest() != published.digest:
                    raise Wrong(f"{member} of {name} has another {published.algorithm} than its manifest says.")
                count += 1
    except Wrong:
        raise
    except GeodesError as error:
        raise Wrong(f"{name} is not right: {str(error).rstrip('.')}.") from error
    return len(directory.entries), count if manifest else None


def _counted(number: int) -> str:
    return f"{number} member{'' if number == 1 else 's'}"
