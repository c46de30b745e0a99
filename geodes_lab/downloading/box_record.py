"""What a folder of a product says of images that have only the tiles of a box: which, and of what file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geodes_lab.archive.central_directory import Entry
from geodes_lab.storage.multihash import Checksum

NAME = "geodes-lab-box.json"
"""The file, in the product's folder."""
_LARGEST = 2**24  # bytes of it
_BLOCK = 2**22
_NOTE = (
    "These images have only some of their tiles, as the product has them; all other pixels have the number outside. "
    "size and sha256 are those of the files here, original_size and original_crc32 those of the product's."
)


@dataclass(frozen=True)
class Cut:
    """One image of some tiles."""

    tiles: tuple[int, ...]
    """The tiles that are the product's."""
    outside: int
    """The number of all other pixels."""
    size: int
    sha256: str
    original_size: int
    original_crc32: int
    checksum: str | None
    """Of this file, by the algorithm that the manifest has for the original."""

    def is_of(self, entry: Entry) -> bool:
        """Whether it was taken from a member of a zip."""
        return (self.original_size, self.original_crc32) == (entry.size, entry.crc)

    def is_right(self, path: Path, check: Callable[[], None]) -> bool:
        """Whether a file is still as it was written."""
        if path.is_symlink() or not path.is_file() or path.stat().st_size != self.size:
            return False
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while data := file.read(_BLOCK):
                digest.update(data)
                check()
        return digest.hexdigest() == self.sha256


def read(folder: Path) -> dict[str, Cut]:
    """Return what a folder says, by member; nothing if it says nothing that is understood: then all is fetched anew."""
    path = folder / NAME
    try:
        if path.is_symlink() or path.stat().st_size > _LARGEST:
            return {}
        document = json.loads(path.read_text())["images"]
        return {str(member): _cut(fields) for member, fields in document.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def text(cuts: Mapping[str, Cut]) -> str:
    """Return the file's content."""
    images = {member: asdict(cut) for member, cut in sorted(cuts.items())}
    return json.dumps({"note": _NOTE, "images": images}, indent=1)


def changed(cuts: Mapping[str, Cut], published: Mapping[str, Checksum]) -> dict[str, tuple[int, str | None]]:
    """Return size and checksum of each image, for a manifest that lists it."""
    return {member: (cut.size, cut.checksum if member in published else None) for member, cut in cuts.items()}


def _cut(fields: Mapping[str, Any]) -> Cut:
    cut = Cut(**{**fields, "tiles": tuple(fields["tiles"])})
    numbers = (*cut.tiles, cut.outside, cut.size, cut.original_size, cut.original_crc32)
    if not all(type(n) is int for n in numbers) or not isinstance(cut.sha256, str):
        raise ValueError("not numbers")
    if not isinstance(cut.checksum, str | None):
        raise ValueError("no checksum")
    return cut
