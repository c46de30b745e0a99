"""Where the bytes of a product are: the local mirror, else the datalake's S3, else a plain file or web address."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import html
import io
import logging
import os
import random
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from obstore.store import ObjectStore

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.storage import byte_range as ranges
from geodes_lab.storage import stores

_log = logging.getLogger("geodes_lab.storage")


class Unreachable(GeodesError):
    """An object is not there, or may not be read, or its server does not answer."""


class Replaced(Unreachable):
    """An object is not the one it was when it was first read."""


class Traffic:
    """Requests and bytes that this process has asked for, by this room; what GDAL asks for is not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0
        self.retries: Counter[str] = Counter()
        """Requests that failed and were made again, by the path that GDAL would open the object by."""

    def add(self, requests: int, size: int) -> None:
        """Count."""
        with self._lock:
            self.requests += requests
            self.bytes += size

    def again(self, path: str) -> None:
        """Count a request that is made again."""
        with self._lock:
            self.retries[path] += 1


traffic = Traffic()

# Servers and networks fail for a moment: a request is made so many times, each after twice the pause (in seconds) of
# the one before, give or take a half, so that the readers of a cluster do not come back all at once.
_TRIES, _PAUSE = 5, 0.1
_TRIES_OF_KNOWN = (
    8  # of a server that has answered this process, or the kernel that it works for: it comes back; 13 s in all
)
_answered: set[tuple[str, str]] = set()
_END = 2**16  # bytes at the end of a zip: the list of some hundred members
_SENTENCE = re.compile(r"<Code>AccessDenied</Code><Message>([^<]{40,400})</Message>")
# The grammar of S3: what is no bucket, or no key that a file system may have, is refused before it is part of a path.
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_NO_KEY = re.compile(r"[\x00-\x1f\x7f\\]")
_LONGEST = 1024  # bytes of a key
ELSEWHERE = "file-elsewhere"
"""The scheme of what the Item of a server calls a file.

One of the server's machine, which is not looked for on this one.
"""
_FINAL = re.compile(r"status code: 4(?!08|29)\d\d|not supported|invalid|builder error", re.IGNORECASE)


@dataclass(frozen=True)
class ObjectLocation:
    """One object that can be read by ranges of bytes, whatever holds it."""

    href: str
    """The address as the user or the catalogue wrote it."""
    scheme: str
    """``file``, ``s3`` or ``http``."""
    root: str
    """``file``: ``/``; ``s3``: the bucket; ``http``: scheme and host."""
    path: str
    """The path below the root, without a leading slash."""
    query: str = field(default="", repr=False)
    """``http``: what follows the path, with its question mark; often a signature."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def gdal(self) -> str:
        """The path by which GDAL opens this object."""
        match self.scheme:
            case "file":
                return f"/{self.path}"
            case "s3":
                return f"/vsis3/{self.root}/{self.path}"
            case _:
                return f"/vsicurl/{self.root}/{quote(self.path)}{self.query}"

    def cache_path(self, kind: str, part: str) -> Path:
        """The file in the cache that keeps what is known of (a part of) this object; of a local one, as it is now."""
        stamp = Path(self.gdal).stat().st_mtime_ns if self.scheme == "file" else 0
        name = hashlib.sha256(f"{self.scheme}|{self.root}|{self.path}|{part}|{stamp}".encode()).hexdigest()
        return Path(settings.get("cache.folder")).expanduser() / kind / name[:2] / name

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder on disk."""
        return self.scheme == "file" and os.path.isdir(f"/{self.path}")

    @property
    def store(self) -> ObjectStore:
        """The client of its server."""
        if self.query:
            raise GeodesError(
                f"{self.href} is a signed address, and names one object: what lies beside it is not to be had."
            )
        return stores.store(self.scheme, self.root)

    def size(self) -> int:
        """Size in bytes; one request.

        Raises
        ------
        GeodesError
            If there is no such object, or it cannot be reached.
        """
        traffic.add(1, 0)
        return int(_wait(self.ask("find", lambda: ranges.size(self))))

    def read(self, start: int, length: int) -> bytes:
        """Read ``length`` bytes from ``start``, or fewer where the object ends; one request."""
        return self.fetch([(start, length)])[0].result()

    def fetch(self, ranges: Sequence[tuple[int, int]], tag: str | None = None) -> list[Future[bytes]]:
        """Begin to read ranges (start, length), each by a request of its own, many under way together.

        With the ``tag`` of an earlier reading the server is asked to refuse if the object is another one now; the
        future then has the error `Replaced`.
        """
        if self.scheme == "file":
            return [_done(self._read_file, start, length) for start, length in ranges]
        traffic.add(len(ranges), sum(length for _, length in ranges))
        # Which client, with which keys, takes as long to find as a short range takes to come.
        asked = self if self.query else _Asked(self.scheme, self.root, self.path, self.store)
        return [_begin(self._range(start, length, tag, asked)) for start, length in ranges]

    def read_tagged(self, start: int, length: int) -> tuple[bytes, str | None]:
        """Read as `read` does; give what tells this object from another that may take its name too (its ETag)."""
        if self.scheme == "file":
            return self._read_file(start, length), None
        traffic.add(1, length)
        data, tag = _wait(self._get(start, length, None))
        return data, tag

    async def _range(self, start: int, length: int, tag: str | None, asked: ranges.Object) -> bytes:
        data: bytes = (await self._get(start, length, tag, asked))[0]
        return data

    async def _get(
        self, start: int, length: int, tag: str | None, asked: ranges.Object | None = None
    ) -> tuple[bytes, str | None]:
        first = iter(
            [asked] if asked else []
        )  # made again, a request looks for its client anew: keys may be others now
        try:
            found = await self.ask("read", lambda: ranges.get(next(first, self), start, length, tag))
        except Unreachable as error:
            # S3 and HTTP give what there is of a range that goes beyond the end; some servers refuse it.
            if not re.search("status code: (400|416)", str(error.__cause__)):
                raise
            traffic.add(1, 0)
            size = int(await self.ask("find", lambda: ranges.size(self)))
            if not start < size < start + length:
                raise
            found = await self.ask("read", lambda: ranges.get(self, start, size - start, tag))
        return found.data, found.tag

    def _read_file(self, start: int, length: int) -> bytes:
        with Path(self.gdal).open("rb") as file:
            file.seek(start)
            data = file.read(length)
        traffic.add(1, len(data))
        return data

    def open(self) -> BinaryIO:
        """Open a seekable binary file over the object; reads happen as they are asked for, 64 KiB at least."""
        return io.BufferedReader(Ranges(self), 2**16)

    async def ask(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a request in the loop of the clients; again where that may help.

        Parameters
        ----------
        verb
            What sentences call it.
        call
            Makes it once.

        Raises
        ------
        GeodesError
            If it fails in the end: `Unreachable`, `Replaced`.
        """
        server, is_renewed, attempt = (self.scheme, self.root), False, 0
        while True:
            attempt += 1
            mark = stores.at_hand() if self.scheme == "s3" else None
            try:
                async with stores.turns():
                    found = await call()
                _answered.add(server)
                return found
            except GeodesError:
                raise
            except ranges.Changed:
                raise Replaced(f"{self.href} has been replaced since it was first read{self._where()}.") from None
            except FileNotFoundError:
                raise Unreachable(f"{self.href} does not exist{self._where()}.") from None
            except Exception as error:
                said = str(error).partition("\n")[0]
                if "External AWS credential provider" in said:
                    raise Unreachable(
                        f"{self.href} may not be read{self._where()}: {stores.last_credential_error or said}"
                    ) from None
                if isinstance(error, PermissionError) or "403 Forbidden" in said or "401 Unauthorized" in said:
                    if self.scheme == "s3" and not is_renewed and await self._renewed(mark):
                        is_renewed = True  # keys end while requests wait for their turn; those of now may be good
                        continue
                    if self.scheme == "http":
                        raise Unreachable(
                            f"{self.href} may not be read: its server refuses it; give an address that is signed and "
                            f"has not expired, or one "
                            "that is open."
                        ) from error
                    if told := _SENTENCE.search(str(error)):  # a server that says why, as the lab's gate does
                        raise Unreachable(f"{self.href} may not be read: {html.unescape(told[1])}") from error
                    raise Unreachable(
                        f"{self.href} may not be read{self._where()}: the datalake refused the keys; check that they "
                        f"are "
                        "there (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or geodes_lab.credentials.s3), have not "
                        "expired, and "
                        "that the collection is open to you."
                    ) from error
                if (
                    attempt >= (_TRIES_OF_KNOWN if server in _answered or stores.serves() else _TRIES)
                    or self.scheme == "file"
                    or _FINAL.search(said)
                ):
                    raise Unreachable(f"Could not {verb} {self.href}{self._where()}: {_first_line(error)}.") from error
                # An error of HTTP may repeat a signed address.
                _log.info(
                    "Try %d to %s %r failed: %r",
                    attempt,
                    verb,
                    f"{self.root}/{self.path}",
                    said.partition("?")[0][:200],
                )
            traffic.again(self.gdal)
            await asyncio.sleep(_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))

    async def _renewed(self, mark: int | None) -> bool:
        try:
            return await asyncio.to_thread(stores.again, mark)
        except GeodesError as error:
            raise Unreachable(f"{self.href} may not be read{self._where()}: {error}") from error

    def _where(self) -> str:
        return f" on {settings.get('datalake.endpoint')}" if self.scheme == "s3" else ""


def _begin(call: Coroutine[Any, Any, bytes]) -> Future[bytes]:
    return asyncio.run_coroutine_threadsafe(call, stores.loop())


def _wait(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(call, stores.loop()).result()


def _done(call: Callable[..., bytes], *arguments: int) -> Future[bytes]:
    """What a call gives or raises, as a future that has come true already: a disk needs no waiting for."""
    future: Future[bytes] = Future()
    try:
        future.set_result(call(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


@dataclass(frozen=True)
class _Asked:
    """A place whose client has been found, for many requests at once."""

    scheme: str
    root: str
    path: str
    store: ObjectStore
    query: str = ""


class Ranges(io.RawIOBase):
    """A raw file whose reads are ranges of an object; obstore's own reader gives no ``bytes``, which zipfile needs.

    The end is read at once: a zip's list of members is there, in most cases all of it.
    """

    def __init__(self, place: ObjectLocation) -> None:
        self._place, self._at, self.size = place, 0, place.size()
        """In bytes."""
        self._end, self.tag = (
            place.read_tagged(max(self.size - _END, 0), min(self.size, _END)) if self.size else (b"", None)
        )
        """What tells the object from another that may take its name."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to where the next read begins; no I/O."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if self._at < 0:
            raise OSError("seek before the beginning")  # as a file does; zipfile relies on it
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read; a request, unless it is at the end."""
        length = min(len(buffer), max(self.size - self._at, 0))
        if not length:
            return 0
        at = self._at - (self.size - len(self._end))
        data = self._end[at : at + length] if at >= 0 else self._place.read(self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def locate(href: str | os.PathLike[str]) -> ObjectLocation:
    """Choose the place of an object; touches nothing but the local disk.

    Parameters
    ----------
    href
        A path, ``file://``, ``s3://bucket/key``, an ``https://`` address on the datalake (which is a bucket and a
        key) or on any other web server.

    Returns
    -------
    Place
        The local file where there is one (in the mirror too), else the remote object.

    Raises
    ------
    GeodesError
        If a path does not exist, or the address has a scheme that is not read in place.
    """
    text = os.fspath(href)
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  (it is read here for the first time)
    except ValueError as error:
        raise GeodesError(f"{text!r} is no address ({error}): give a path, or an s3:// or https:// address.") from None
    if url.scheme == ELSEWHERE:
        raise GeodesError(
            f"file:{text.partition(':')[2]} is a file of the machine of the catalogue that names it, and is not "
            f"looked for on this one: "
            "if both have the same files, set files: true in the catalogue's profile, or give the path itself."
        )
    if url.scheme == "file" and "://" in text:
        return _file(text, _named(text))
    if "://" not in text:  # a file's name may have a colon
        return _file(text, unquote(url.path) if text.startswith("file:/") else text)
    if url.scheme == "s3":
        if url.query or url.fragment:
            raise GeodesError(f"{text} has more than a bucket and a key: give the address up to its ? or #.")
        return _object(text, url.netloc, url.path.removeprefix("/"))
    if url.scheme in ("http", "https"):
        if url.hostname in settings.get("datalake.hosts"):
            bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
            return _object(text.partition("?")[0], bucket, key)
        # The query of a signed address is its key: it goes to the server, and is not shown.
        query = f"?{url.query}" if url.query else ""
        shown = text.partition("?")[0]
        return ObjectLocation(shown, "http", f"{url.scheme}://{url.netloc}", unquote(url.path).lstrip("/"), query)
    raise GeodesError(f"{text} cannot be read in place: give a path, or an s3:// or https:// address.")


def place_of(path: str) -> ObjectLocation:
    """Give the place of an object by the path that GDAL opens it by: the inverse of `ObjectLocation.gdal`.

    Raises
    ------
    GeodesError
        If it names no object.
    """
    if path.startswith("/vsis3/"):
        bucket, _, key = path.removeprefix("/vsis3/").partition("/")
        return ObjectLocation(path, "s3", bucket, _checked(path, bucket, key))
    if path.startswith("/vsicurl/"):
        rest, mark, query = path.removeprefix("/vsicurl/").partition("?")
        scheme, _, after = rest.partition("://")
        host, _, tail = after.partition("/")
        if scheme not in ("http", "https") or not host:
            raise GeodesError(f"{path} names no address of a web server.")
        return ObjectLocation(path.partition("?")[0], "http", f"{scheme}://{host}", unquote(tail), mark + query)
    return ObjectLocation(path, "file", "/", path.lstrip("/"))


def object_of(path: str) -> ObjectLocation:
    """Give the object that a file is, or is a member of, by the path that GDAL opens the file by."""
    return place_of(path.removeprefix("/vsizip/{").partition("}/")[0] if path.startswith("/vsizip/") else path)


def _named(text: str) -> str:
    """The path of a ``file://`` address, which is one of this machine."""
    url = urlsplit(text)
    if url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise GeodesError(
            f"{text} is no file of this machine: write file:///path, or the path alone, without a host, ? or #."
        )
    return unquote(url.path)


def _file(text: str, name: str) -> ObjectLocation:
    try:
        path = Path(name).expanduser().absolute()
        there = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, no right to the folder, a NUL, nobody's home
        raise GeodesError(
            f"{text!r} cannot be looked at ({getattr(error, 'strerror', error)}): check the path."
        ) from None
    if not there:
        raise GeodesError(f"{text} does not exist: check the path.")
    return ObjectLocation(text, "file", "/", str(path).lstrip("/"))


def _object(href: str, bucket: str, key: str) -> ObjectLocation:
    """An object of the datalake: in the mirror where it has one, else on S3."""
    _checked(href, bucket, key)
    mirror = settings.get("datalake.mirror")
    if mirror:
        root = Path(mirror).expanduser().absolute()
        path = root.joinpath(bucket, *key.removesuffix("/").split("/"))
        try:
            real = path.resolve(strict=True)
        except (
            OSError,
            RuntimeError,
        ):  # it is not there, may not be seen, has too long a name, or a link leads to itself
            return ObjectLocation(href, "s3", bucket, key)
        if not real.is_relative_to(root.resolve()):
            raise GeodesError(
                f"{href} is a link in the mirror, {root}, that leads out of it: refused; the operator can mount there "
                f"what lies elsewhere."
            )
        return ObjectLocation(href, "file", "/", str(path).lstrip("/"))
    return ObjectLocation(href, "s3", bucket, key)


def _checked(href: str, bucket: str, key: str) -> str:
    """Give the key, if S3 has such buckets and keys, and it could be the path of a file below the bucket's folder.

    Raises
    ------
    GeodesError
        If not.
    """
    if not _BUCKET.fullmatch(bucket):
        raise GeodesError(
            f"{href} names no bucket: {bucket!r} must have 3 to 63 small letters, digits, dots or hyphens; check the "
            f"address."
        )
    # One slash at the end is a folder, such as that of a Zarr store.
    if any(part in ("", ".", "..") for part in key.removesuffix("/").split("/")):
        raise GeodesError(
            f"{href} names no object of the bucket {bucket}: its key has an empty part, '.' or '..'; check the address."
        )
    if _NO_KEY.search(key) or len(key.encode(errors="replace")) > _LONGEST:
        raise GeodesError(
            f"{href!r} names no object of the bucket {bucket}: its key is too long, or has characters that no key has."
        )
    return key


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache, all or nothing: several workers may do so at once, and the last is as good as any."""
    with contextlib.suppress(OSError):  # a full or read-only disk costs time, not correctness
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)


def _first_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # obstore tells of its retries before it tells what happened.
    return first.rsplit(" - ", 1)[-1].rstrip(".: ")
