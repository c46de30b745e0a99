"""Requests for one byte range of an object.

They cope with web servers that do not follow the standard.

RFC 9110 lets a server omit the ETag, or send a weak one, which proves nothing about the bytes and is not valid in
``If-Match`` (13.1.1). Other servers refuse a valid condition, or have a different ETag on each of their machines. So
the object is requested again without a condition before it is declared to be another one.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol
from urllib.parse import quote

import httpx
import obstore
from obstore.store import ObjectStore

from geodes_lab.storage import stores

_LOOKS = 6  # requests for an object whose ETag has changed: the machines of one server take turns
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Changed(Exception):
    """The object is not the one that the tag belongs to."""


class Object(Protocol):
    """The object of a request: a `geodes_lab.storage.object_location.ObjectLocation`."""

    @property
    def scheme(self) -> str:
        """``file``, ``s3`` or ``http``."""

    @property
    def root(self) -> str:
        """The bucket, or scheme and host."""

    @property
    def path(self) -> str:
        """Below the root."""

    @property
    def query(self) -> str:
        """The query of a signed address."""

    @property
    def store(self) -> ObjectStore:
        """The client of its server."""


class Answer(NamedTuple):
    """The answer of a server."""

    data: bytes
    tag: str | None
    """Identifies this version of the object; None: the server gives no reliable tag."""
    size: int
    """Bytes of the whole object."""


_without_conditions: set[tuple[str, str]] = set()
"""Servers that refuse a valid condition."""
_fickle: set[tuple[str, str]] = set()
"""Servers whose tags for one object change from request to request."""
_without_head: set[tuple[str, str]] = set()
"""Servers that answer GET, but not HEAD."""


async def get(place: Object, start: int, length: int, tag: str | None) -> Answer:
    """Request a range, with the tag of an earlier answer for the same object.

    Raises
    ------
    Changed
        If the object has been replaced.
    Exception
        Any error of the client.
    """
    server = place.scheme, place.root
    if server in _fickle:
        return (await _once(place, start, length, None))._replace(tag=None)
    wanted = tag if tag and not tag.startswith("W/") and server not in _without_conditions else None
    refused = False
    try:
        answer = await _once(place, start, length, wanted)
    except Exception as error:
        if wanted is None or "412 Precondition" not in str(error):
            raise
        if place.scheme != "http":
            raise Changed from None
        refused, answer = True, None
    if answer is not None and (not tag or answer.tag == tag):
        return answer
    if place.scheme != "http":
        raise Changed
    for _ in range(_LOOKS):
        again = await _once(place, start, length, None)
        if again.tag == tag:
            (_without_conditions if refused and answer is None else _fickle).add(server)
            return again if refused and answer is None else again._replace(tag=None)
        answer = again
    raise Changed


async def data(place: Object, start: int, length: int) -> bytes:
    """Request a range alone, without its tag: half of the steps of `get`."""
    if place.query:
        return (await _signed(place, start, length, None)).data
    return bytes(await obstore.get_range_async(place.store, place.path, start=start, length=length))


async def size(place: Object) -> int:
    """Request the size of an object.

    Some servers do not answer HEAD, and some addresses are signed for GET alone: then one byte is requested.
    """
    server = place.scheme, place.root
    if place.scheme != "http":
        return int((await obstore.head_async(place.store, place.path))["size"])
    if place.query or server in _without_head:
        return (await _once(place, 0, 1, None)).size
    try:
        return int((await obstore.head_async(place.store, place.path))["size"])
    except Exception as error:
        try:
            bytes_in_all = (await _once(place, 0, 1, None)).size
        except Exception:
            raise error from None
        _without_head.add(server)
        return bytes_in_all


async def _once(place: Object, start: int, length: int, condition: str | None) -> Answer:
    if place.query:
        return await _signed(place, start, length, condition)
    options = {"range": (start, start + length), **({"if_match": condition} if condition else {})}
    answer = await obstore.get_async(place.store, place.path, options=options)
    tag = answer.meta["e_tag"]
    return Answer(bytes(await answer.bytes_async()), tag if (tag or "").strip('"') else None, answer.meta["size"])


async def _signed(place: Object, start: int, length: int, condition: str | None) -> Answer:
    """Send a request to a signed address; obstore would omit its query."""
    url = httpx.URL(f"{place.root}/").copy_with(raw_path=f"/{quote(place.path)}{place.query}".encode())
    headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
    async with stores.web().stream(
        "GET", url, headers=headers | ({"If-Match": condition} if condition else {})
    ) as answer:
        content_range = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if (
            answer.status_code == 206
            and content_range
            and int(content_range[1]) == start
            and int(content_range[2]) < start + length
        ):
            data = bytearray()
            async for part in answer.aiter_raw():
                data += part
                if len(data) > length:
                    raise OSError("the server sent more bytes than it announced")
            if len(data) != int(content_range[2]) - start + 1:
                raise OSError("the answer ends too early")
            tag = answer.headers.get("ETag") or None
            return Answer(bytes(data), tag if (tag or "").strip('"') else None, int(content_range[3]))
    match answer.status_code:
        case 404 | 410:
            raise FileNotFoundError
        case 401 | 403:
            raise PermissionError(f"status code: {answer.status_code}")
        case 412:
            raise OSError("412 Precondition Failed")
        case 200 | 206:
            raise NotImplementedError("the server does not support requests for parts of a file")
    raise OSError(f"status code: {answer.status_code}")
