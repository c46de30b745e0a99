"""Where one whole product is read from: the disk, the datalake, or the web.

A product is downloaded as a whole only where nothing else works.
"""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dask.utils import format_bytes

from geodes_lab import settings
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage import file_cache
from geodes_lab.storage.fetch import Remote
from geodes_lab.storage.file_cache import CacheFull
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable

_REMEMBERED = 300.0  # seconds for which the result of a probe is valid


class Fetched(UserWarning):
    """A product was downloaded as a whole, because it cannot be read in place."""


def choose(hrefs: Sequence[str], *, size: int | None = None, checksum: str | None = None) -> ObjectLocation:
    """Choose where to read one product from; download it as a whole where that is the only way.

    A file on disk or in the mirror comes first, then a replica from an earlier download, then the datalake if its
    endpoint answers, then a web server that supports ranges. From any other web server the product is downloaded once,
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
        If the product does not exist, its server refuses it or returns something else, or the disk has no space for it.
    """
    name, by_scheme = _located(hrefs)
    if "file" in by_scheme or "http" not in by_scheme:
        return by_scheme["file" if "file" in by_scheme else "s3"][1]
    replica = _Replica(Remote(name, *by_scheme["http"], size, checksum))
    if replica_on_disk := replica.cached():
        return replica_on_disk
    if "s3" not in by_scheme:
        return replica.somehow()
    endpoint = settings.get("datalake.endpoint")
    if _ask(endpoint, lambda: _is_reachable(endpoint)):
        return by_scheme["s3"][1]
    try:
        return replica.somehow()
    except Unreachable as error:
        raise Unreachable(f"{str(error).rstrip('.')}; the datalake, {endpoint}, does not answer either.") from error


def source(hrefs: Sequence[str], *, size: int | None = None, checksum: str | None = None) -> Remote:
    """Choose where to download one whole product from, in the order of `choose`; nothing is downloaded.

    Returns
    -------
    Remote
        Its ``place`` is on disk (the mirror, or a replica from an earlier download), on S3 or on a web server.

    Raises
    ------
    GeodesError
        If it has no address that can be used.
    """
    name, by_scheme = _located(hrefs)
    endpoint = settings.get("datalake.endpoint")
    replica = _Replica(Remote(name, *by_scheme["http"], size, checksum)).cached() if "http" in by_scheme else None
    if "file" not in by_scheme and replica is not None:
        return Remote(name, replica.href, replica, size, checksum)
    order = ["file", "s3", "http"]
    if {"s3", "http"} <= set(by_scheme) and not _ask(endpoint, lambda: _is_reachable(endpoint)):
        order = ["file", "http"]
    return Remote(name, *next(by_scheme[scheme] for scheme in order if scheme in by_scheme), size, checksum)


def _located(hrefs: Sequence[str]) -> tuple[str, dict[str, tuple[str, ObjectLocation]]]:
    """Return a name for error messages, and the first address of each scheme."""
    by_scheme: dict[str, tuple[str, ObjectLocation]] = {}
    names, problems = [], []
    for href in hrefs:
        try:
            place = locate(href)
        except GeodesError as error:
            problems.append(error)
            continue
        by_scheme.setdefault(place.scheme, (href, place))
        names.append(place.name)
    if not by_scheme:
        raise problems[0] if problems else GeodesError("The product has no address: look at the assets of its Item.")
    # A download address of GEODES ends in a checksum; the one on the datalake has the product's name.
    return next((n for n in names if n.lower().endswith(".zip")), names[0]), by_scheme


def _ask(subject: str, question: Callable[[], bool]) -> bool:
    """Probe once for all threads, and remember the answer."""
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
    """A product on a web server, and its file in the folder, which may not exist yet."""

    remote: Remote

    def _path(self, ending: str) -> Path:
        return file_cache.path_of(self.remote.address, ending)

    def _target(self, is_zip: bool) -> Path:
        if self.remote.place.name.lower().endswith(".zip"):
            return self._path(f"-{self.remote.place.name}")
        return self._path(".zip" if is_zip else "")

    def cached(self) -> ObjectLocation | None:
        """Return the replica if there is one, and mark it as in use."""
        files = (p for p in (self._target(True), self._target(False)) if file_cache.is_cached(p, self.remote.size))
        return next(map(locate, files), None)

    def somehow(self) -> ObjectLocation:
        """Read the product in place where its server supports that, else download it."""
        remote = self.remote
        return remote.place if _ask(remote.address, remote.is_read_in_place) else self.fetch()

    def fetch(self) -> ObjectLocation:
        """Download the product, unless another thread or process is doing so."""
        remote = self.remote
        try:
            with file_cache.making(self._path(".part"), remote.size) as part:
                if replica_on_disk := self.cached():
                    return replica_on_disk
                if remote.size is not None:
                    part.reserve(remote.size)  # before the request, which may count against the quota
                target = self._target(remote.fetch(part.file, part.reserve))
                part.keep(target)
        except CacheFull as error:
            remote.fail(str(error))
        warnings.warn(
            f"{shown(remote.name)} was downloaded completely ({format_bytes(target.stat().st_size)}) to {target}, "
            f"because {urlsplit(remote.address).hostname} does not send parts of a file.",
            Fetched,
            stacklevel=4,
        )
        return locate(target)
