"""A product on its way: fetched into the work folder, continued after an interruption, named when it is right."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.acquisition import verification
from geodes_lab.acquisition.identity import Identity
from geodes_lab.acquisition.publication import Publication
from geodes_lab.acquisition.verification import Digests, Verified
from geodes_lab.downloading.verify import Wrong
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import Remote
from geodes_lab.storage.whole_object import partial, transfer
from geodes_lab.storage.whole_object.partial import Partial
from geodes_lab.storage.whole_object.stop import Stop
from geodes_lab.util import faults
from geodes_lab.util.whole_file import fsync_folder


class NoRoom(GeodesError):
    """A disk is full: that is not the product's fault."""


@dataclass(frozen=True)
class Whole:
    """A product that is on this machine, whole and verified."""

    path: Path
    verified: Verified
    received: int
    """Bytes that were fetched for it in this attempt."""


def fetch(
    remote: Callable[[], Remote],
    publication: Publication,
    identity: Identity,
    path: Path,
    room: int,
    stop: Stop,
    show: Callable[[int], None],
) -> Whole:
    """Fetch a product, unless an earlier attempt has.

    Parameters
    ----------
    remote
        Where it is; asked only if something is to be fetched.
    publication, identity
        What it must be.
    path
        The file that it becomes; while it arrives, ``….part``.
    room
        Bytes that stay free on the disk.
    stop
        Ends it; what has come stays.
    show
        Called with the bytes that are there.

    Raises
    ------
    Wrong
        If what came is not the product.
    NoRoom
        If the disk has no room for it.
    GeodesError
        If it cannot be fetched.
    """
    if path.exists():
        with contextlib.suppress(Wrong):
            return Whole(path, _of_file(path, publication, identity, stop), 0)
        path.unlink()
    begin = lambda: verification.digests(publication)  # noqa: E731
    with partial.held(path.with_name(f"{path.name}.part"), begin, stop.look) as part:
        faults.reach("fetch.begun")
        _bring(remote, publication, identity, part, room, stop, show)
        faults.reach("fetch.whole")
        try:
            proof = _verified(part, publication, identity, stop)
        except Wrong:
            part.begin(None)
            raise
        received = part.received
        part.keep(path)
    faults.reach("verify.done")
    return Whole(path, proof, received)


def _bring(
    remote: Callable[[], Remote],
    publication: Publication,
    identity: Identity,
    part: Partial,
    room: int,
    stop: Stop,
    show: Callable[[int], None],
) -> None:
    """Bring the bytes; if those of several attempts are not right together, once more from the first."""
    for is_last in (False, True):
        continued = part.done if part.version is not None else 0
        check_room(part.path.parent, (publication.size or 0) - continued, room)
        transfer.bring(remote(), part, stop, show)
        wanted = verification.published(publication)
        has = part.digest.all() if isinstance(part.digest, Digests) else {}
        if is_last or not continued or all(has.get(c.algorithm) == c.digest for c in wanted):
            return
        part.begin(None)


def _verified(part: Partial, publication: Publication, identity: Identity, stop: Stop) -> Verified:
    # A file that was whole when it was found has no checksums yet.
    computed = part.digest if isinstance(part.digest, Digests) else None
    if computed is None:
        return _of_file(part.path, publication, identity, stop)
    return verification.verified(part.path, publication, identity, computed, stop.check)


def _of_file(path: Path, publication: Publication, identity: Identity, stop: Stop) -> Verified:
    computed = verification.of_file(path, verification.digests(publication), stop.check)
    return verification.verified(path, publication, identity, computed, stop.check)


def check_room(folder: Path, need: int, room: int) -> None:
    """Refuse to fill a disk.

    Raises
    ------
    NoRoom
        If less than ``room`` bytes would stay free.
    """
    free = shutil.disk_usage(folder).free
    if free - max(need, 0) < room:
        raise NoRoom(
            f"The disk of {folder} has {free:,} bytes left, {max(need, 0):,} are needed and {room:,} stay free (room): "
            "make room there."
        )


def clear(path: Path) -> None:
    """Remove what is left of a product in the work folder."""
    for file in (path, path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")):
        file.unlink(missing_ok=True)
    fsync_folder(path.parent)
