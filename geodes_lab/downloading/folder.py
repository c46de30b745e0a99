"""The download of a part of a product: members of its zip, as a SAFE folder that lists what is in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from geodes_lab.archive import stream
from geodes_lab.archive.archive import Archive
from geodes_lab.downloading import parts
from geodes_lab.downloading.job import Job
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.downloading.pace import Pace
from geodes_lab.downloading.report import Outcome, ReplacedFile, What
from geodes_lab.errors import shown
from geodes_lab.products import packed
from geodes_lab.storage import file_cache
from geodes_lab.storage.multihash import Checksum
from geodes_lab.storage.whole_object.stop import Stop
from geodes_lab.util import file_name

_BLOCK = 2**22  # bytes that are read at once


def fetch(job: Job, bands: Sequence[str] | None, pace: Pace, stop: Stop, show: Callable[[int], None]) -> Outcome:
    """Bring a part of a product; members that are there and right are not fetched again.

    Parameters
    ----------
    job
        The product.
    bands
        The bands; None: only metadata.
    pace
        Says when the server may be asked.
    stop
        Ends it; whole members that have come stay, in a folder that ends in ``.part``.
    show
        Called with the bytes that are there.

    Raises
    ------
    GeodesError
        One sentence, if it does not arrive.
    OSError
        If the disk that is written fails.
    """
    began = time.monotonic()
    if job.target.suffix != ".zip":
        raise job.fail("it is one file, and not a zip; download it whole, without bands= and only=")
    # From a server that gives no ranges, the whole product is fetched into the cache first.
    web = next((h for h in job.whole.hrefs if h.startswith("http")), "")
    archive = Archive(pace.run(job.name, web, lambda: packed.place(job.item)))
    if archive.place.is_folder:
        raise job.fail(f"{archive.place.href} is a folder of this machine; copy what you need of it")
    members = parts.metadata(archive) if bands is None else parts.of_bands(job, archive, bands)
    manifest = Manifest.of(archive)
    root = _root(job, archive)
    target = job.target.parent / root
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise job.fail(f"{target} is not a folder; move it, or choose another directory")
    lock = target.with_name(f".{root}.part.lock")
    with file_cache.alone(lock, stop.look):
        try:
            work = _Work(job, archive, manifest, target, target.with_name(f"{root}.part"), stop)
            return work.bring(members, began, show)
        finally:
            lock.unlink(missing_ok=True)


def _root(job: Job, archive: Archive) -> str:
    """Return the name of the folder: the one that all members are in, else the product's."""
    roots = {name.partition("/")[0] for name in archive.names if "/" in name}
    stem = job.target.name.removesuffix(job.target.suffix)
    root = next(iter(roots)) if len(roots) == 1 and all("/" in n for n in archive.names) else stem
    if not file_name.is_safe(root):
        raise job.fail(f"its zip has the folder {root!r}, which no product has; tell who made it")
    return root


class _Work:
    """The folder of one product while it is filled."""

    def __init__(
        self, job: Job, archive: Archive, manifest: Manifest | None, target: Path, part: Path, stop: Stop
    ) -> None:
        self.job, self.archive, self.manifest, self.stop = job, archive, manifest, stop
        self.target, self.part = target, part
        self.received = self.done = 0

    def bring(self, members: Sequence[str], began: float, show: Callable[[int], None]) -> Outcome:
        """Fetch what is missing, then put it in place: each file whole, the manifest last."""
        if not members:
            raise self.job.fail("its zip has no metadata beside the measurements; download the whole product")
        self._refuse_another()
        plain = [m for m in members if m not in _manifests(self.manifest)]
        others = [m for m in self._there() if m not in members and m not in _manifests(self.manifest)]
        missing, wrong = [], []
        for member in plain:
            self.stop.check()
            path = self._path(self.target, member)
            if self._is_right(path, member):
                self.done += self.archive.entry(member).size
                show(self.done)
            else:
                missing.append(member)
                wrong += [member] if path.exists() else []
        if wrong:
            warnings.warn(
                shown(f"{self.target} is fetched anew in part: {wrong[0]} is not right"), ReplacedFile, stacklevel=3
            )
        if missing:
            self._refuse_full_disk(missing)
            self.part.mkdir(exist_ok=True)
            for member in missing:
                self._fetch(member, show)
        listed = self._write_manifest([*plain, *others])
        if missing or listed:
            self._put({*missing, *([self.manifest.member] if self.manifest and listed else [])})
        shutil.rmtree(self.part, ignore_errors=True)
        in_manifest = sum(m in self.manifest.checksums for m in plain) if self.manifest else 0
        if self.manifest is not None:
            self.done += self._path(self.target, self.manifest.member).stat().st_size
        evidence = f"CRC-32 of {len(members)} member{'' if len(members) == 1 else 's'}"
        evidence += f", {in_manifest} of the manifest's checksums" if in_manifest else ""
        what: What = "fetched anew" if wrong else "fetched" if missing or listed else "was there"
        seconds = time.monotonic() - began
        return Outcome(self.job.name, what, self.target, self.done, self.received, seconds, evidence)

    def _refuse_another(self) -> None:
        """Refuse a folder of another product: a zip may call its folder as it likes."""
        stem = self.job.target.name.removesuffix(self.job.target.suffix)
        if self.target.name.partition(".")[0] == stem.partition(".")[0] or not self.target.exists():
            return
        own = {self._path(self.target, m): m for m in self.archive.names}
        for path in (p for p in self.target.rglob("*") if not p.is_dir()):
            member = own.get(path, "")
            if member not in _manifests(self.manifest) and not (member and self._is_right(path, member)):
                raise self.job.fail(
                    f"its zip calls its folder {self.target.name}, which is there already and has {path.name} of "
                    "another product; choose another directory"
                )

    def _path(self, folder: Path, member: str) -> Path:
        """Return the file of a member in a folder; the list of members has refused paths that climb out."""
        inner = member.removeprefix(f"{self.target.name}/")
        path = folder / inner
        if ".." in path.parts or not path.is_relative_to(folder) or path == folder:
            raise self.job.fail(f"its zip holds the path {member!r}, which leads out of its folder: refused")
        return path

    def _there(self) -> list[str]:
        """Return the members that the folder has from earlier downloads."""
        return [m for m in self.archive.names if self.target.is_dir() and self._path(self.target, m).is_file()]

    def _checksum(self, member: str) -> Checksum | None:
        return self.manifest.checksums.get(member) if self.manifest else None

    def _is_right(self, path: Path, member: str) -> bool:
        """Whether a file that is there has the bytes of a member."""
        entry, crc = self.archive.entry(member), 0
        if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
            return False
        with path.open("rb", buffering=0) as file:
            while data := file.read(_BLOCK):
                crc = zlib.crc32(data, crc)
                self.stop.check()
        return crc == entry.crc

    def _fetch(self, member: str, show: Callable[[int], None]) -> None:
        path, entry = self._path(self.part, member), self.archive.entry(member)
        if self._is_right(path, member):  # from an attempt that was interrupted
            self.done += entry.size
            show(self.done)
            return
        name = f"{member} of {self.job.name}"
        whole, published = stream.promised(entry, name), self._checksum(member)
        place = self.archive.packed(member)
        stream.refuse(place, whole, name)
        digest = published.begin() if published else None
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        with unfinished.open("wb", buffering=0) as file:
            for piece in stream.content(place, whole, name, self.stop.result):
                _write(file.fileno(), piece)
                if digest is not None:
                    digest.update(piece)
                self.done += len(piece)
                show(self.done)
                self.stop.check()
            os.fsync(file.fileno())
        if published and digest is not None and digest.hexdigest() != published.digest:
            unfinished.unlink()
            raise self.job.fail(
                f"{member} has another {published.algorithm} than its manifest says; fetch it again later, or tell the "
                "operator"
            )
        self.received += entry.size
        unfinished.replace(path)

    def _write_manifest(self, there: Sequence[str]) -> bool:
        """Write the manifest of the members that will be there; return whether it is another than the one there."""
        if self.manifest is None:
            return False
        data = self.manifest.of_some(set(there))
        old = self._path(self.target, self.manifest.member)
        with contextlib.suppress(OSError):
            if old.read_bytes() == data:
                return False
        self.part.mkdir(exist_ok=True)
        path = self._path(self.part, self.manifest.member)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return True

    def _put(self, new: set[str]) -> None:
        """Put the folder in place, or its files into the one that is there; the manifest last."""
        for path in [p for p in self.part.rglob("*") if not p.is_dir()]:
            if path not in {self._path(self.part, member) for member in new}:
                path.unlink()  # of an attempt that wanted other bands
        if not self.target.exists():
            self.part.rename(self.target)
            return
        last = self.manifest.member if self.manifest else ""
        for member in sorted(new, key=lambda m: m == last):
            source, path = self._path(self.part, member), self._path(self.target, member)
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)

    def _refuse_full_disk(self, missing: Sequence[str]) -> None:
        need = sum(self.archive.entry(m).size for m in missing)
        folder = self.target.parent
        if (free := shutil.disk_usage(folder).free) < need:
            raise self.job.fail(
                f"the disk of {folder} has {free:,} bytes left, and it needs {need:,}; free some room, or choose "
                "another directory"
            )


def _manifests(manifest: Manifest | None) -> tuple[str, ...]:
    return (manifest.member,) if manifest else ()


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
