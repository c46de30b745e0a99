"""The download of a part of a product: members of its zip, as a SAFE folder that lists what is in it."""

from __future__ import annotations

import contextlib
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from odc.geo.geom import Geometry

from geodes_lab.archive.archive import Archive
from geodes_lab.downloading import box, box_record, parts
from geodes_lab.downloading.box_record import Cut
from geodes_lab.downloading.job import Job
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.downloading.members import Members
from geodes_lab.downloading.pace import Pace
from geodes_lab.downloading.report import Outcome, ReplacedFile, What
from geodes_lab.errors import shown
from geodes_lab.products import packed
from geodes_lab.storage import file_cache
from geodes_lab.storage.whole_object.stop import Stop
from geodes_lab.util import file_name


@dataclass(frozen=True)
class Wanted:
    """Which part of a product."""

    bands: Sequence[str] | None = None
    """The bands; None: all."""
    place: Geometry | None = None
    """Of their images, only tiles that touch it; None: all."""
    only_metadata: bool = False


def fetch(job: Job, wanted: Wanted, pace: Pace, stop: Stop, show: Callable[[int], None]) -> Outcome:
    """Bring a part of a product; members that are there and right are not fetched again.

    Parameters
    ----------
    job
        The product.
    wanted
        The part.
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
        raise job.fail("it is one file, and not a zip; download it whole, without bands=, only= and bbox=")
    # From a server that gives no ranges, the whole product is fetched into the cache first.
    web = next((h for h in job.whole.hrefs if h.startswith("http")), "")
    archive = Archive(pace.run(job.name, web, lambda: packed.place(job.item)))
    if archive.place.is_folder:
        raise job.fail(f"{archive.place.href} is a folder of this machine; copy what you need of it")
    members = _members(job, archive, wanted)
    manifest = Manifest.of(archive)
    root = _root(job, archive)
    target = job.target.parent / root
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise job.fail(f"{target} is not a folder; move it, or choose another directory")
    lock = target.with_name(f".{root}.part.lock")
    with file_cache.alone(lock, stop.look):
        try:
            cuts = box_record.read(target)
            images = box.parts(job, archive, members, wanted.place, cuts) if wanted.place is not None else {}
            part = target.with_name(f"{root}.part")
            work = _Work(Members(job, archive, manifest, root, part, stop, cuts, images), target)
            return work.bring(members, began, show)
        finally:
            lock.unlink(missing_ok=True)


def _members(job: Job, archive: Archive, wanted: Wanted) -> list[str]:
    if wanted.only_metadata:
        return parts.metadata(archive)
    return sorted(archive.names) if wanted.bands is None else parts.of_bands(job, archive, wanted.bands)


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

    def __init__(self, members: Members, target: Path) -> None:
        self.members, self.target, self.part = members, target, members.part
        self.job, self.archive, self.manifest, self.stop = members.job, members.archive, members.manifest, members.stop
        self.cuts, self.images = members.cuts, members.images

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
            path = self.members.path(self.target, member)
            if self._is_there(path, member):
                self.members.done += path.stat().st_size
                show(self.members.done)
            else:
                missing.append(member)
                # An image of a box that is wanted whole now, or with more tiles, is right as far as it goes.
                was_cut = member in self.cuts and self.cuts[member].is_right(path, self.stop.check)
                wrong += [member] if path.exists() and not was_cut else []
        if wrong:
            warnings.warn(
                shown(f"{self.target} is fetched anew in part: {wrong[0]} is not right"), ReplacedFile, stacklevel=3
            )
        if missing:
            self._refuse_full_disk(missing)
            self.part.mkdir(exist_ok=True)
            for member in missing:
                self.members.fetch(member, show)
        left = {m: c for m, c in self.cuts.items() if m in {*plain, *others}}
        noted = self._write_note(left)
        listed = self._write_manifest([*plain, *others], left)
        if missing or listed or noted:
            self._put({*missing, *noted, *([self.manifest.member] if self.manifest and listed else [])})
        if not left:
            self.target.joinpath(box_record.NAME).unlink(missing_ok=True)
        shutil.rmtree(self.part, ignore_errors=True)
        in_manifest = sum(m in self.manifest.checksums for m in plain) if self.manifest else 0
        if self.manifest is not None:
            self.members.done += self.members.path(self.target, self.manifest.member).stat().st_size
        cut = [m for m in plain if m in left]
        in_manifest -= sum(m in self.manifest.checksums for m in cut) if self.manifest else 0
        whole = len(members) - len(cut)
        evidence = f"CRC-32 of {whole} member{'' if whole == 1 else 's'}"
        evidence += f", {in_manifest} of the manifest's checksums" if in_manifest else ""
        if cut:
            tiles, all_tiles = (sum(n) for n in zip(*((len(left[m].tiles), self._count(m)) for m in cut), strict=True))
            evidence += f", {tiles} of {all_tiles} tiles of {len(cut)} images, each decoded"
        what: What = "fetched anew" if wrong else "fetched" if missing or listed else "was there"
        seconds = time.monotonic() - began
        return Outcome(self.job.name, what, self.target, self.members.done, self.members.received, seconds, evidence)

    def _refuse_another(self) -> None:
        """Refuse a folder of another product: a zip may call its folder as it likes."""
        stem = self.job.target.name.removesuffix(self.job.target.suffix)
        if self.target.name.partition(".")[0] == stem.partition(".")[0] or not self.target.exists():
            return
        own = {self.members.path(self.target, m): m for m in self.archive.names}
        for path in (p for p in self.target.rglob("*") if not p.is_dir()):
            member = own.get(path, "")
            if path.name == box_record.NAME or (member in self.cuts and self.members.is_cut(path, member)):
                continue
            if member not in _manifests(self.manifest) and not (member and self.members.is_right(path, member)):
                raise self.job.fail(
                    f"its zip calls its folder {self.target.name}, which is there already and has {path.name} of "
                    "another product; choose another directory"
                )

    def _there(self) -> list[str]:
        """Return the members that the folder has from earlier downloads."""
        return [m for m in self.archive.names if self.target.is_dir() and self.members.path(self.target, m).is_file()]

    def _is_there(self, path: Path, member: str) -> bool:
        """Whether a file has what is wanted of a member: all of it, or for an image of a box its tiles."""
        if self.members.is_right(path, member):
            self.cuts.pop(member, None)  # somebody has put the whole one there
            return True
        image = self.images.get(member)
        return image is not None and set(image.tiles) == self._tiles(member) and self.members.is_cut(path, member)

    def _tiles(self, member: str) -> set[int]:
        return set(self.cuts[member].tiles) if member in self.cuts else set()

    def _count(self, member: str) -> int:
        return self.images[member].count if member in self.images else len(self.cuts[member].tiles)

    def _write_note(self, cuts: Mapping[str, Cut]) -> list[str]:
        """Write what the folder says of its images of a box; returns the file, if it is another than the one there."""
        name = f"{self.target.name}/{box_record.NAME}"
        if not cuts or box_record.read(self.target) == cuts:
            return []
        self.members.write_whole(name, box_record.text(cuts).encode())
        return [name]

    def _write_manifest(self, there: Sequence[str], cuts: Mapping[str, Cut]) -> bool:
        """Write the manifest of the members that will be there; return whether it is another than the one there."""
        if self.manifest is None:
            return False
        data = self.manifest.of_some(set(there), box_record.changed(cuts, self.manifest.checksums))
        old = self.members.path(self.target, self.manifest.member)
        with contextlib.suppress(OSError):
            if old.read_bytes() == data:
                return False
        self.members.write_whole(self.manifest.member, data)
        return True

    def _put(self, new: set[str]) -> None:
        """Put the folder in place, or its files into the one that is there; the manifest last."""
        for path in [p for p in self.part.rglob("*") if not p.is_dir()]:
            if path not in {self.members.path(self.part, member) for member in new}:
                path.unlink()  # of an attempt that wanted other bands
        if not self.target.exists():
            self.part.rename(self.target)
            return
        last = self.manifest.member if self.manifest else ""
        for member in sorted(new, key=lambda m: m == last):
            source, path = self.members.path(self.part, member), self.members.path(self.target, member)
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)

    def _refuse_full_disk(self, missing: Sequence[str]) -> None:
        need = sum(self.images[m].image.size if m in self.images else self.archive.entry(m).size for m in missing)
        self.job.refuse_full_disk(self.target.parent, need)


def _manifests(manifest: Manifest | None) -> tuple[str, ...]:
    return (manifest.member,) if manifest else ()
