"""One range of bytes of an object, asked of its server.

And what is known of web servers that are not as the standard wants.

RFC 9110 lets a server give no ETag, or a weak one, which proves nothing of bytes and which no ``If-Match`` may be
(13.1.1). Others refuse a condition that is right, or have an ETag for each of their machines. What they answer is
looked at again, without a condition, before an object is said to be another one.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol
from urllib.parse import quote

import httpx
import obstore
from obstore.store import ObjectStore

from geodes_lab.storage import stores

_LOOKS = 6  # at an object whose ETag is another one than before: machines of one server take turns
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Changed(Exception):
    """The object is not the one of the tag."""


class Object(Protocol):
    """What is asked for: a `geodes_lab.storage.object_location.ObjectLocation`."""

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
        """What follows the path of a signed address."""

    @property
    def store(self) -> ObjectStore:
        """The client of its server."""


class Answer(NamedTuple):
    """What a server gave."""

    data: bytes
    tag: str | None
    """What tells the object from another that may take its name; None: nothing that holds."""
    size: int
    """Bytes of the whole object."""


_without_conditions: set[tuple[str, str]] = set()
"""Servers that refuse a condition that is right."""
_fickle: set[tuple[str, str]] = set()
"""Servers whose tags are now this and now that of one object."""
_without_head: set[tuple[str, str]] = set()
"""Servers that answer GET, and no HEAD."""


async def get(place: Object, start: int, length: int, tag: str | None) -> Answer:
    """Ask for a range; with the tag of an earlier answer for a range of the same object.

    Raises
    ------
    Changed
        If the object is another one now.
    Exception
        Whatever the client raises.
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


async def size(place: Object) -> int:
    """Ask how large an object is.

    A server that answers no HEAD, or to whom an address is signed for GET alone, for its first byte.
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
            found = (await _once(place, 0, 1, None)).size
        except Exception:
            raise error from None
        _without_head.add(server)
        return found


async def _once(place: Object, start: int, length: int, condition: str | None) -> Answer:
    if place.query:
        return await _signed(place, start, length, condition)
    options = {"range": (start, start + length), **({"if_match": condition} if condition else {})}
    answer = await obstore.get_async(place.store, place.path, options=options)
    tag = answer.meta["e_tag"]
    return Answer(bytes(await answer.bytes_async()), tag if (tag or "").strip('"') else None, answer.meta["size"])


async def _signed(place: Object, start: int, length: int, condition: str | None) -> Answer:
    """Ask at a signed address, whose query obstore would leave out."""
    url = httpx.URL(f"{place.root}/").copy_with(raw_path=f"/{quote(place.path)}{place.query}".encode())
    headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
    async with stores.web().stream(
        "GET", url, headers=headers | ({"If-Match": condition} if condition else {})
    ) as answer:
        told = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status_code == 206 and told and int(told[1]) == start and int(told[2]) < start + length:
            data = bytearray()
            async for part in answer.aiter_raw():
                data += part
                if len(data) > length:
                    raise OSError("the server gives more bytes than it says")
            if len(data) != int(told[2]) - start + 1:
                raise OSError("the answer ends too early")
            tag = answer.headers.get("ETag") or None
            return Answer(bytes(data), tag if (tag or "").strip('"') else None, int(told[3]))
    match answer.status_code:
        case 404 | 410:
            raise FileNotFoundError
        case 401 | 403:
            raise PermissionError(f"status code: {answer.status_code}")
        case 412:
            raise OSError("412 Precondition Failed")
        case 200 | 206:
            raise NotImplementedError("parts of a file are not supported by its server")
    raise OSError(f"status code: {answer.status_code}")
