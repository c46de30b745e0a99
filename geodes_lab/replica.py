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
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar
from urllib.parse import urlsplit

import httpx
from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings
from geodes_lab.datalake import Place, Unreachable, locate, traffic
from geodes_lab.errors import GeodesError

_REMEMBERED = 300.0  # seconds for which the answer to a probe holds
_IN_USE = 3600.0  # a replica that was asked for within so many seconds is not removed
_PAUSES = (1.0, 5.0, 20.0)  # seconds before the next attempts; few, for each may count against the quota
_TIMEOUT = httpx.Timeout(30, read=120)
_HASHES = {"d50110": "md5", "1220": "sha256"}  # how a multihash begins; others are not checked
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_T = TypeVar("_T")


class Fetched(UserWarning):
    """A product was fetched whole, because it cannot be read in place."""


class _Again(Exception):
    """What may go well at the next attempt."""


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
    product = _Product(name, *found["http"], size, checksum)
    if kept := product.kept():
        return kept
    if "s3" not in found:
        return product.somehow()
    endpoint = settings.get("datalake.endpoint")
    if _ask(endpoint, lambda: _is_reachable(endpoint)):
        return found["s3"][1]
    try:
        return product.somehow()
    except Unreachable as error:
        raise Unreachable(f"{str(error).rstrip('.')}; nor does the datalake, {endpoint}, answer.") from error


@dataclass(frozen=True)
class _Product:
    """One product on a web server."""

    name: str
    address: str
    place: Place
    size: int | None
    checksum: str | None

    def _path(self, ending: str) -> Path:
        folder = Path(settings.get("replica.folder")).expanduser().absolute()
        return folder / (hashlib.sha256(self.address.encode()).hexdigest()[:24] + ending)

    def _target(self, is_zip: bool) -> Path:
        if self.place.name.lower().endswith(".zip"):
            return self._path("-" + re.sub(r"[^\w.+-]", "_", self.place.name, flags=re.ASCII)[-160:])
        return self._path(".zip" if is_zip else "")

    def kept(self) -> Place | None:
        """Give the replica if there is one, and note that it is in use."""
        for path in (self._target(True), self._target(False)):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if self.size in (None, stat.st_size):
                    # The time of change stays as it is: what others know of a file, they keep under it.
                    os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))
                    return locate(path)
        return None

    def somehow(self) -> Place:
        """Read it in place where its server allows that, else fetch it."""
        return self.place if _ask(self.address, self.is_read_in_place) else self.fetch()

    def is_read_in_place(self) -> bool:
        """Ask for four bytes and for the size, as `Place` will: without the key."""
        return not self.place.query and self._patiently(self._probe)  # Place reads no zip at a signed address

    def _probe(self) -> bool:
        with self._answer("GET", {"Range": "bytes=0-3"}) as answer:
            told = re.fullmatch(r"bytes 0-3/(\d+)", answer.headers.get("Content-Range", ""))
            if answer.status_code != 206 or not told or self.size not in (None, int(told[1])):
                return False
            if len(next(answer.iter_bytes(5), b"")) != 4:
                return False
        with self._answer("HEAD", {}) as answer:
            return answer.status_code == 200 and answer.headers.get("Content-Length") == told[1]

    def fetch(self) -> Place:
        """Fetch the product, unless another thread or process does it meanwhile."""
        part = self._path(".part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with _alone(part) as file:
                try:
                    if kept := self.kept():
                        part.unlink()
                        return kept
                    file.truncate(0)  # what one that died has left
                    if self.size is not None:
                        self._make_room(file, self.size)  # before a request that may count against the quota
                    with _bar(self.name) as tell:
                        is_zip = self._patiently(lambda: self._transfer(file, tell))
                    os.fsync(file.fileno())
                    target = part.replace(self._target(is_zip))
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._fail(self._no_room(self.size))
            raise GeodesError(
                f"{part.parent} cannot hold {self.name} ({error.strerror}): set geodes_lab.replica.folder to a folder "
                "of yours."
            ) from error
        warnings.warn(
            f"{self.name} was fetched whole ({format_bytes(target.stat().st_size)}), because "
            f"{urlsplit(self.address).hostname} gives no parts of it; it is kept as {target}.",
            Fetched,
            stacklevel=4,
        )
        return locate(target)

    def _transfer(self, file: BinaryIO, tell: Callable[[int, int | None], None]) -> bool:
        """Write the product to ``file`` from its beginning, and verify it; tells whether it is a zip."""
        checksum = (self.checksum or "").lower()
        algorithm = next((name for code, name in _HASHES.items() if checksum.startswith(code)), None)
        made = hashlib.new(algorithm or "md5", usedforsecurity=False)
        written = file.seek(0)
        with self._answer("GET", {}, _key(self.address)) as answer:
            chunks = answer.iter_bytes(2**20)
            chunk = start = next(chunks, b"")
            self._check(answer, start)
            length = answer.headers.get("Content-Length", "")
            total = self.size if self.size is not None else int(length) if length.isdecimal() else None
            while chunk:
                written += len(chunk)
                if total is not None and written > total:
                    self._fail(f"it has more than the {total} bytes that were announced; tell the operator")
                self._make_room(file, total or written)
                file.write(chunk)
                made.update(chunk)
                tell(written, total)
                chunk = next(chunks, b"")
        traffic.add(0, written)
        file.truncate(written)
        is_zip = start.startswith(_ZIP)
        if not written or written < (total or 0) or (is_zip and not zipfile.is_zipfile(file)):
            raise _Again(f"the transfer ended too early, after {written} bytes")
        if algorithm and not checksum.endswith(made.hexdigest()):
            self._fail(f"its {algorithm.upper()} is not the one in the catalogue; fetch it again, or tell the operator")
        return is_zip

    def _check(self, answer: httpx.Response, start: bytes) -> None:
        """Raise if the answer, which begins with ``start``, is not the product."""
        status, kind = answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0].lower()
        text = start[:4096].decode("utf-8", "replace").strip()
        is_html = kind.endswith("html") or text.lower().startswith(("<!doctype html", "<html"))
        is_page = not start.startswith(_ZIP) and (is_html or kind.endswith("json") or text.startswith("{"))
        if status == 429 or ("quota" in text.lower() and (status == 403 or is_page)):
            self._fail("the quota of products per hour is used up; try again in an hour")
        if status in (401, 403):
            self._fail(f"the server refused it ({status}); {self._advice()}")
        if status in (404, 410):
            self._fail("it is not there; search again, the catalogue may have another version")
        if status == 408 or status >= 500:
            raise _Again(f"the server answered {status}")
        if status != 200:
            self._fail(f"the server answered {status}; tell the operator")
        if is_page:
            key = _key(self.address)
            said = " ".join((text.replace(key, "…") if key else text).split())[:200]
            what = "an HTML page" if is_html else f"JSON ({said})"
            self._fail(f"the server gave {what} in place of the product; {self._advice()}")

    def _advice(self) -> str:
        if _key(self.address):
            return "check that GEODES_API_KEY is right and has not expired"
        if urlsplit(self.address).hostname in settings.get("download.hosts"):
            return "set GEODES_API_KEY to the key from your profile on the portal"
        return "no key was sent, for its host is not in geodes_lab.download.hosts"

    def _fail(self, problem: str) -> NoReturn:
        raise Unreachable(f"{self.name} could not be fetched from {self.place.href}: {problem}.")

    def _no_room(self, need: int | None) -> str:
        much = f", it needs {format_bytes(need)}" if need else ""
        return f"the disk of {self._path('').parent} is full{much}; free some room, or set geodes_lab.replica.folder"

    def _patiently(self, attempt: Callable[[], _T]) -> _T:
        for pause in (*_PAUSES, None):
            try:
                return attempt()
            except (_Again, httpx.TransportError) as error:
                reason = str(error).rstrip(".") or type(error).__name__
                if isinstance(error, httpx.ConnectError):  # there is no way to it from here: that does not pass
                    self._fail(f"{reason}; check the network")
                if pause is None:
                    self._fail(f"{reason}, {len(_PAUSES) + 1} times; try again later")
                time.sleep(pause)
            except httpx.TooManyRedirects:
                self._fail(f"its server redirects without end, as it does with a bad or expired key; {self._advice()}")
            except (httpx.DecodingError, httpx.InvalidURL) as error:
                self._fail(f"its server's answer is not understood ({error}); tell the operator")
        raise AssertionError("the last attempt returns or fails")

    @contextlib.contextmanager
    def _answer(self, method: str, headers: dict[str, str], key: str | None = None) -> Iterator[httpx.Response]:
        home = httpx.URL(self.address)

        def sign(request: httpx.Request) -> None:
            # Redirects pass here too, and inherit the headers: the key goes to the server that we began with, only.
            request.headers.pop("X-API-Key", None)
            if key and (request.url.scheme, request.url.netloc) == (home.scheme, home.netloc):
                request.headers["X-API-Key"] = key

        traffic.add(1, 0)
        with (
            httpx.Client(event_hooks={"request": [sign]}, follow_redirects=True, timeout=_TIMEOUT) as client,
            client.stream(method, home, headers={"Accept-Encoding": "identity", **headers}) as answer,
        ):
            yield answer

    def _make_room(self, file: BinaryIO, need: int) -> None:
        """Reserve ``need`` bytes for ``file``; replicas that were not used for longest go, and what the dead left."""
        if os.fstat(file.fileno()).st_size >= need:
            return
        limit, part = parse_bytes(settings.get("replica.limit")), self._path(".part")
        now = f"raise geodes_lab.replica.limit, now {format_bytes(limit)}"
        if need > limit:
            self._fail(f"its {format_bytes(need)} are more than all replicas together may take; {now}")
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
                self._fail(f"its {format_bytes(need)} do not fit beside those in use within the last hour; {now}")
            if shutil.disk_usage(part.parent).free < need:
                self._fail(self._no_room(need))
            os.truncate(file.fileno(), need)  # takes no room yet, and counts for others


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


def _key(address: str) -> str | None:
    """Give the user's key if this address may have it: its host is listed, and nobody on the way reads it."""
    url, key = urlsplit(address), os.environ.get("GEODES_API_KEY", "").strip()
    host = url.hostname or ""
    is_private = url.scheme == "https" or host in ("localhost", "::1") or host.startswith("127.")
    if not key or not is_private or host not in settings.get("download.hosts"):
        return None
    if not (key.isascii() and key.isprintable()):  # the HTTP library would show it in its complaint
        raise GeodesError("GEODES_API_KEY has characters that no key has: copy it again from your profile.")
    return key


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


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar in a terminal or notebook; of transfers side by side, only that of the main thread."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    shown = (console.is_terminal or console.is_jupyter) and threading.current_thread() is threading.main_thread()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task(name[:60], total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
