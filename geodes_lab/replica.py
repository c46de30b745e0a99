"""Where one whole product is read from: on disk, on the datalake, on the web; fetched whole where nothing else works."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit

from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings
from geodes_lab.datalake import Place, Unreachable, locate
from geodes_lab.errors import GeodesError
from geodes_lab.transfer import Remote

_REMEMBERED = 300.0  # seconds for which the answer to a probe holds
_IN_USE = 3600.0  # a replica that was asked for within so many seconds is not removed


class Fetched(UserWarning):
    """A product was fetched whole, because it cannot be read in place."""


def choose(hrefs: Sequence[str], *, size: int | None = None, checksum: str | None = None) -> Place:
    """Choose where one product is read from; fetch it whole where that is the only way.

    A file on disk or in the mirror comes first, then a replica that was fetched earlier, then the datalake if its
    endpoint answers, then a web server that honours ranges. From any other web server the product is fetched once,
    into the folder ``geodes_lab.replica.folder``, and a `Fetched` warning says so.

    Parameters
    ----------
    hrefs
        The addresses of the product in order of preference, as the catalogue gives them.
    size
        Its size in bytes, if it is known (``file:size``).
    checksum
        Its multihash in hexadecimal, if it is known (``file:checksum``); MD5 and SHA-256 are verified.

    Returns
    -------
    Place
        What can be read by ranges. Probes of servers are remembered for some minutes.

    Raises
    ------
    GeodesError
        If there is no such product, its server refuses it or gives something else, or there is no room for it.
    """
    found: dict[str, tuple[str, Place]] = {}  # the first of each scheme
    names, problems = [], []
    for href in hrefs:
        try:
            place = locate(href)
        except GeodesError as error:
            problems.append(error)
            continue
        found.setdefault(place.scheme, (href, place))
        names.append(place.name)
    if not found:
        raise problems[0] if problems else GeodesError("The product has no address: look at the assets of its Item.")
    if "file" in found or "http" not in found:
        return found["file" if "file" in found else "s3"][1]
    # A download address of GEODES ends in a checksum; the one on the datalake has the product's name.
    name = next((n for n in names if n.lower().endswith(".zip")), names[0])
    replica = _Replica(Remote(name, *found["http"], size, checksum))
    if kept := replica.kept():
        return kept
    if "s3" not in found:
        return replica.somehow()
    endpoint = settings.get("datalake.endpoint")
    if _ask(endpoint, lambda: _is_reachable(endpoint)):
        return found["s3"][1]
    try:
        return replica.somehow()
    except Unreachable as error:
        raise Unreachable(f"{str(error).rstrip('.')}; nor does the datalake, {endpoint}, answer.") from error


def _ask(subject: str, question: Callable[[], bool]) -> bool:
    """Ask once for all threads what costs a request, and remember the answer."""
    with _asking[subject]:
        when, answer = _known.get(subject, (float("-inf"), False))
        if time.monotonic() - when > _REMEMBERED:
            answer = question()
            _known[subject] = (time.monotonic(), answer)
        return answer


_asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_known: dict[str, tuple[float, bool]] = {}


def _is_reachable(endpoint: str) -> bool:
    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=settings.get("datalake.probe")).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class _Replica:
    """A product of a web server, and the file in the folder that has it or will have it."""

    remote: Remote

    def _path(self, ending: str) -> Path:
        folder = Path(settings.get("replica.folder")).expanduser().absolute()
        return folder / (hashlib.sha256(self.remote.address.encode()).hexdigest()[:24] + ending)

    def _target(self, is_zip: bool) -> Path:
        if self.remote.place.name.lower().endswith(".zip"):
            return self._path("-" + re.sub(r"[^\w.+-]", "_", self.remote.place.name, flags=re.ASCII)[-160:])
        return self._path(".zip" if is_zip else "")

    def kept(self) -> Place | None:
        """Give the replica if there is one, and note that it is in use."""
        for path in (self._target(True), self._target(False)):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if self.remote.size in (None, stat.st_size):
                    # The time of change stays as it is: what others know of a file, they keep under it.
                    os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))
                    return locate(path)
        return None

    def somehow(self) -> Place:
        """Read it in place where its server allows that, else fetch it."""
        remote = self.remote
        return remote.place if _ask(remote.address, remote.is_read_in_place) else self.fetch()

    def fetch(self) -> Place:
        """Fetch the product, unless another thread or process does it meanwhile."""
        remote, part = self.remote, self._path(".part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with _alone(part) as file:
                try:
                    if kept := self.kept():
                        part.unlink()
                        return kept
                    file.truncate(0)  # what one that died has left
                    if remote.size is not None:
                        self._make_room(file, remote.size)  # before a request that may count against the quota
                    is_zip = remote.fetch(file, partial(self._make_room, file))
                    os.fsync(file.fileno())
                    target = part.replace(self._target(is_zip))
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._no_room(remote.size)
            raise GeodesError(
                f"{part.parent} cannot hold {remote.name} ({error.strerror}): set geodes_lab.replica.folder to a folder "
                "of yours."
            ) from error
        warnings.warn(
            f"{remote.name} was fetched whole ({format_bytes(target.stat().st_size)}), because "
            f"{urlsplit(remote.address).hostname} gives no parts of it; it is kept as {target}.",
            Fetched,
            stacklevel=4,
        )
        return locate(target)

    def _make_room(self, file: BinaryIO, need: int) -> None:
        """Reserve ``need`` bytes for ``file``; replicas that were not used for longest go, and what the dead left."""
        if os.fstat(file.fileno()).st_size >= need:
            return
        limit, part = parse_bytes(settings.get("replica.limit")), self._path(".part")
        now = f"raise geodes_lab.replica.limit, now {format_bytes(limit)}"
        if need > limit:
            self.remote.fail(f"its {format_bytes(need)} are more than all replicas together may take; {now}")
        with _alone(part.with_name(".lock")):
            others = []
            for path in part.parent.iterdir():
                with contextlib.suppress(FileNotFoundError):  # a part may be done or given up at any time
                    if path.name not in (".lock", part.name):
                        others.append((path.stat().st_atime, path.stat().st_size, path))
            taken = sum(size for _, size, _ in others)
            for used, size, path in sorted(others):
                if taken + need <= limit and shutil.disk_usage(part.parent).free >= need:
                    break
                if (path.suffix == ".part" or time.time() - used > _IN_USE) and _remove_unless_held(path):
                    taken -= size
            if taken + need > limit:
                self.remote.fail(f"its {format_bytes(need)} do not fit beside those in use within the last hour; {now}")
            if shutil.disk_usage(part.parent).free < need:
                self._no_room(need)
            os.truncate(file.fileno(), need)  # takes no room yet, and counts for others

    def _no_room(self, need: int | None) -> NoReturn:
        much, folder = f", it needs {format_bytes(need)}" if need else "", self._path("").parent
        self.remote.fail(f"the disk of {folder} is full{much}; free some room, or set geodes_lab.replica.folder")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """Open a file, made if needed, that no other thread or process holds; the system lets go of it if we die."""
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(path, file):
                yield file
                return


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the name is still this file's: while we waited, it may have become the replica, or been removed."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove_unless_held(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_ours := _is_at(path, file):
                path.unlink()
            return is_ours
    except (BlockingIOError, FileNotFoundError):
        return False
