"""What no service takes: bodies too large, too deep or too slow, headers without end, more requests than it can answer."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from bounds import Bounded, TooMuch, check_depth
from served import served
from starlette.requests import Request
from starlette.responses import JSONResponse

pytestmark = pytest.mark.attack


async def _told(scope, receive, send) -> None:
    await JSONResponse({"size": len(await Request(scope, receive).body())})(scope, receive, send)


@pytest.fixture(scope="module")
def url():
    with served(Bounded(_told, body=1000, depth=5, seconds=0.5)) as address:
        yield address


def test_what_fits_is_answered(url):
    assert httpx.post(url, content=b"x" * 1000).json() == {"size": 1000}
    assert httpx.post(url, content=b'{"a": "[[[[[[[["}').json() == {"size": 17}, "brackets in a text are no depth"


def test_too_large_is_refused_without_being_read(url):
    reply = httpx.post(url, content=b"x" * 1001)
    assert (reply.status_code, "1,000 bytes" in reply.json()["detail"]) == (413, True)
    parts = iter([b"x" * 600, b"x" * 600])
    assert httpx.post(url, content=parts).status_code == 413, "one that does not say its size"


def test_too_deep_is_refused(url):
    reply = httpx.post(url, content=b"[" * 6 + b"]" * 6)
    assert (reply.status_code, "inside each other" in reply.json()["detail"]) == (413, True)
    check_depth(b"[" * 5, 5)
    with pytest.raises(TooMuch):
        check_depth(b'["\\"", [[', 2)
    check_depth(b'"' + b'\\"' * 2**20, 5)  # hours, if each quote were taken for a beginning


def test_a_body_that_does_not_come(url):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert b"408" in s.recv(200)


def test_more_than_can_be_answered_are_told_to_come_again():
    async def both() -> list[int]:
        begun, go = asyncio.Event(), asyncio.Event()

        async def slow(scope, receive, send) -> None:
            begun.set()
            await go.wait()
            await _told(scope, receive, send)

        transport = httpx.ASGITransport(Bounded(slow, at_once=1))
        async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
            first = asyncio.create_task(client.get("/"))
            await begun.wait()
            second = await client.get("/")
            go.set()
            return [(await first).status_code, second.status_code]

    assert asyncio.run(both()) == [200, 503]
