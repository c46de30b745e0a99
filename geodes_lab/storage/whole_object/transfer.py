"""The transfer of one whole object into a file that may have a part of it already."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpcore
import httpx

from geodes_lab.storage.fetch import TIMEOUT, Again, Remote, key
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Replaced
from geodes_lab.storage.traffic import traffic
from geodes_lab.storage.whole_object.partial import Partial, Version
from geodes_lab.storage.whole_object.stop import Stop

_PIECE = 2**18  # bytes that are read at once from a connection
_STEP = 2**23  # bytes of a request for a range
_AHEAD = 4  # such requests at the same time
_OLD = 60.0  # seconds; a date of change that is younger does not tell two versions of one minute apart
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def bring(remote: Remote, part: Partial, stop: Stop, show: Callable[[int], None]) -> None:
    """Bring what is missing of an object; nothing is verified but its size.

    Parameters
    ----------
    remote
        The object: its ``place`` is on disk, on S3, or on a web server.
    part
        The file; what it has of the same version stays, everything else is discarded.
    stop
        Ends the transfer; what has come stays.
    show
        Called with the bytes that are there.

    Raises
    ------
    GeodesError
        If the object cannot be reached, is refused, is something else, or has another size than the catalogue says.
    OSError
        If the disk that is written fails.
    """
    if part.version is not None and part.version.address != _address(remote):
        part.begin(None)
    part.load(stop.check)
    if part.version is not None and part.version.size == part.done:
        return  # a process died before it gave the file its name
    if remote.place.scheme != "http":
        _by_ranges(remote, part, stop, show)
    else:
        remote.patiently(lambda: _by_answer(remote, part, stop, show), stop.wait, lambda: part.done)
    if remote.size not in (None, part.done):
        size = part.done
        part.begin(None)
        _refuse_size(remote, size)


def _refuse_size(remote: Remote, size: int | None) -> None:
    if None not in (size, remote.size) and size != remote.size:
        remote.fail(
            f"it has {size} bytes there, and {remote.size} in the catalogue; search again, the catalogue may have "
            "another version"
        )


@contextlib.contextmanager
def _ending(stop: Stop) -> Iterator[None]:
    """Raise `Stopped` where a connection broke because the task was asked to end."""
    try:
        yield
    except (httpx.TransportError, Again):
        stop.check()
        raise


def _address(remote: Remote) -> str:
    return f"{remote.place.scheme}:{remote.place.root}/{remote.place.path}"


def _by_answer(remote: Remote, part: Partial, stop: Stop, show: Callable[[int], None]) -> None:
    """Read the answer to one request; with a range if the file has a beginning that may be continued."""
    stop.check()
    known, headers = part.version, dict[str, str]()
    if known is None or known.validator is None:
        part.begin(None)
    elif part.done == known.size:
        return
    elif part.done:
        headers = {"Range": f"bytes={part.done}-", "If-Range": known.validator}
    with (
        stop.connections() as opened,
        _ending(stop),
        remote.answer("GET", headers, key(remote.address), opened) as answer,
    ):
        if answer.status_code == 416 and headers:
            part.begin(None)
            raise Again("the server has another version of the file")
        chunks = answer.iter_raw()
        start = next(chunks, b"")
        chunks = _rest(answer, chunks, len(start))
        if not headers or answer.status_code != 206:
            remote.check(answer, start)
            version = _version(remote, answer)
            _refuse_size(remote, version.size)
            part.begin(version)
        elif known is not None and not _continues(answer, known, part.done):
            part.begin(None)
            raise Again("the server gave another part of the file than it was asked for")
        _copy(remote, part, start, chunks, stop, show)


def _copy(
    remote: Remote, part: Partial, start: bytes, chunks: Iterator[bytes], stop: Stop, show: Callable[[int], None]
) -> None:
    total = part.version.size if part.version is not None and part.version.size is not None else remote.size
    begun, chunk = part.done, start
    try:
        while chunk:
            if total is not None and part.done + len(chunk) > total:
                part.begin(None)
                remote.fail(f"it has more than the {total} bytes that were announced; tell the operator")
            part.append(chunk)
            show(part.done)
            stop.check()
            chunk = next(chunks, b"")
    finally:
        traffic.add(0, max(part.done - begun, 0))
    if not part.done or (total is not None and part.done < total):
        raise Again(f"the transfer ended too early, after {part.done} bytes")


def _rest(answer: httpx.Response, chunks: Iterator[bytes], begun: int) -> Iterator[bytes]:
    """Yield what follows the first chunk; if its length is known, straight from the connection.

    httpx parses each 64 KiB in Python, which takes more CPU than the system and the disk together. Its first chunk has
    emptied its buffer, so that the rest of a plain body comes next from the connection, which is not used again.
    """
    length, stream = answer.headers.get("Content-Length", ""), answer.extensions.get("network_stream")
    if (
        not length.isdecimal()
        or not begun
        or stream is None
        or answer.http_version != "HTTP/1.1"
        or "Transfer-Encoding" in answer.headers
    ):
        yield from chunks
        return
    left, some, together = int(length) - begun, list[bytes](), 0
    try:
        while left > 0:
            data = stream.read(min(_PIECE, left), timeout=TIMEOUT.read)
            if not data:
                raise Again("the transfer ended too early")
            left, together = left - len(data), together + len(data)
            some.append(data)
            if together >= _PIECE // 2 or not left:  # TLS gives 16 KiB at once
                yield some[0] if len(some) == 1 else b"".join(some)
                some, together = [], 0
    except (httpcore.NetworkError, httpcore.TimeoutException, Again) as error:
        if some:
            yield b"".join(some)
        raise error if isinstance(error, Again) else Again(f"the connection broke ({type(error).__name__})") from error


def _version(remote: Remote, answer: httpx.Response) -> Version:
    """Return the version that a whole answer is of; a compressed one has no size and no parts."""
    plain = answer.headers.get("Content-Encoding", "identity").lower() in ("", "identity")
    if not plain:
        remote.fail("its server gives it compressed, though that was not asked for; tell the operator")
    length = answer.headers.get("Content-Length", "")
    return Version(_address(remote), _validator(answer), int(length) if length.isdecimal() else remote.size)


def _validator(answer: httpx.Response) -> str | None:
    """Return what proves that later bytes are of the same version (RFC 9110, 8.8 and 13.1.5), if there is anything."""
    tag = answer.headers.get("ETag", "")
    if re.fullmatch(r'"[^"]+"', tag):
        return str(tag)
    changed, now = answer.headers.get("Last-Modified", ""), answer.headers.get("Date", "")
    try:
        age = (parsedate_to_datetime(now) - parsedate_to_datetime(changed)).total_seconds()
    except (ValueError, TypeError):
        return None
    return str(changed) if age >= _OLD else None


def _continues(answer: httpx.Response, known: Version, at: int) -> bool:
    """Whether a part is the rest of the version that is there: from the right byte, of the same size and tag."""
    spans = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    tags = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    return (
        spans is not None
        and int(spans[1]) == at
        and known.size in (None, int(spans[3]))
        and int(spans[2]) == int(spans[3]) - 1
        and known.validator in tags
    )


def _by_ranges(remote: Remote, part: Partial, stop: Stop, show: Callable[[int], None]) -> None:
    """Read an object on S3 or on disk by ranges, some ahead; an object that is replaced is begun anew, once."""
    for is_last in (False, True):
        try:
            _ranges(remote, part, stop, show)
            return
        except Replaced:
            part.begin(None)
            if is_last:
                remote.fail("it is replaced again and again while it is read; try again later")


def _ranges(remote: Remote, part: Partial, stop: Stop, show: Callable[[int], None]) -> None:
    place, size = remote.place, remote.place.size()
    _refuse_size(remote, size)
    tag = part.version.validator if part.version is not None else None
    if part.version is None or part.version.size != size or (place.scheme == "file" and tag != _stamp(place)):
        data, tag = place.read_tagged(0, min(_STEP, size))
        if place.scheme == "file":
            tag = _stamp(place)
        part.begin(Version(_address(remote), tag if tag and not tag.startswith("W/") else None, size))
        part.append(data)
    starts = range(part.done, size, _STEP)
    condition = tag if place.scheme == "s3" else None
    for first in range(0, len(starts), _AHEAD):
        ranges = [(s, min(_STEP, size - s)) for s in starts[first : first + _AHEAD]]
        for (_, length), coming in zip(ranges, place.fetch(ranges, condition), strict=True):
            data = stop.result(coming)
            if len(data) != length:
                raise Replaced(f"{place.href} is shorter than it was when it was first read.")
            part.append(data)
            show(part.done)
            stop.check()
    if place.scheme == "file" and _stamp(place) != tag:
        raise Replaced(f"{place.href} was changed while it was read.")


def _stamp(place: ObjectLocation) -> str:
    about = Path(place.gdal).stat()
    return f"{about.st_ino}-{about.st_mtime_ns}-{about.st_size}"
