"""The members of a zip that come into a folder: fetched, verified, and each whole before it has its name."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.archive import stream
from geodes_lab.archive.archive import Archive
from geodes_lab.downloading import box
from geodes_lab.downloading.box_record import Cut
from geodes_lab.downloading.job import Job
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.errors import NotUnderstood
from geodes_lab.formats.jpeg2000.openjpeg import Undecodable
from geodes_lab.storage.multihash import Checksum, Digest
from geodes_lab.storage.whole_object.stop import Stop

_BLOCK = 2**20  # bytes that are read at once


@dataclass
class Members:
    """The members of one product."""

    job: Job
    archive: Archive
    manifest: Manifest | None
    root: str
    """The folder's name; paths of members begin with it, if all do."""
    part: Path
    """The folder of what is on its way."""
    stop: Stop
    cuts: dict[str, Cut]
    """What the folder says of its images of a box; what is fetched changes it."""
    images: Mapping[str, box.Part]
    """Images of which only some tiles are fetched."""
    received: int = 0
    """Bytes that were fetched."""
    done: int = 0
    """Bytes that are there."""

    def path(self, folder: Path, member: str) -> Path:
        """Return the file of a member in a folder; the list of members has refused paths that climb out."""
        inner = member.removeprefix(f"{self.root}/")
        path = folder / inner
        if ".." in path.parts or not path.is_relative_to(folder) or path == folder:
            raise self.job.fail(f"its zip holds the path {member!r}, which leads out of its folder: refused")
        return path

    def _checksum(self, member: str) -> Checksum | None:
        return self.manifest.checksums.get(member) if self.manifest else None

    def is_right(self, path: Path, member: str) -> bool:
        """Whether a file that is there has the bytes of a member."""
        entry, crc = self.archive.entry(member), 0
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
            return False
        with path.open("rb", buffering=0) as file:
            while data := file.read(_BLOCK):
                crc = zlib.crc32(data, crc)
                self.stop.check()
        return crc == entry.crc

    def is_cut(self, path: Path, member: str) -> bool:
        """Whether a file that is there is as the folder says of an image of a box."""
        cut = self.cuts[member]
        return cut.is_of(self.archive.entry(member)) and cut.is_right(path, self.stop.check)

    def fetch(self, member: str, show: Callable[[int], None]) -> None:
        """Fetch a member into the folder of what is on its way: whole and right, or not at all.

        Raises
        ------
        GeodesError
            If it does not arrive, or is not right.
        """
        path, entry = self.path(self.part, member), self.archive.entry(member)
        if self.is_right(path, member):  # from an attempt that was interrupted
            self.cuts.pop(member, None)
            self.done += entry.size
            show(self.done)
            return
        published = self._checksum(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        if member in self.images:
            self._fetch_tiles(member, unfinished, published, show)
        else:
            self._fetch_whole(member, unfinished, published, show)
        unfinished.replace(path)

    def _fetch_whole(
        self, member: str, unfinished: Path, published: Checksum | None, show: Callable[[int], None]
    ) -> None:
        name, entry = f"{member} of {self.job.name}", self.archive.entry(member)
        whole, place = stream.promised(entry, name), self.archive.packed(member)
        stream.refuse(place, whole, name)
        digest = published.begin() if published else None
        pieces = stream.content(place, whole, name, self.stop.result)
        self._write(unfinished, pieces, [digest] if digest else [], show)
        if published and digest is not None and digest.hexdigest() != published.digest:
            unfinished.unlink()
            raise self.job.fail(
                f"{member} has another {published.algorithm} than its manifest says; fetch it again later, or tell the "
                "operator"
            )
        self.cuts.pop(member, None)
        self.received += entry.size

    def _fetch_tiles(
        self, member: str, unfinished: Path, published: Checksum | None, show: Callable[[int], None]
    ) -> None:
        part, entry = self.images[member], self.archive.entry(member)
        digest, own = hashlib.sha256(), published.begin() if published else None
        try:
            self._write(unfinished, part.image.pieces(), [digest, own] if own else [digest], show)
        except (NotUnderstood, Undecodable) as error:
            unfinished.unlink(missing_ok=True)
            raise self.job.fail(f"{member} is damaged, or was replaced meanwhile ({error}); call again") from error
        size = unfinished.stat().st_size
        self.cuts[member] = Cut(
            part.tiles, part.outside, size, digest.hexdigest(), entry.size, entry.crc, own.hexdigest() if own else None
        )
        self.received += size

    def write_whole(self, member: str, data: bytes) -> None:
        """Write a file that is no member, or another one than the zip has."""
        path = self.path(self.part, member)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _write(
        self, file: Path, pieces: Iterator[bytes], digests: Sequence[Digest], show: Callable[[int], None]
    ) -> None:
        with file.open("wb", buffering=0) as target:
            for piece in pieces:
                _write(target.fileno(), piece)
                for digest in digests:
                    digest.update(piece)
                self.done += len(piece)
                show(self.done)
                self.stop.check()
            os.fsync(target.fileno())


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
