"""What no service takes: bodies too large, too deep or too slow, headers without end, more requests than it can answer."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse

from hub.services import serving
from hub.services.bounds import Bounded, TooMuch, check_depth
from tests.support.awaiting import awaited
from tests.support.servers.served import served

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
    check_depth(b'"' + b'\\"' * 2**18, 5)  # hours, if each quote were taken for a beginning


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


def test_more_marks_than_any_document_has_are_not_looked_at():
    with pytest.raises(TooMuch, match="texts, lists and objects"):
        check_depth(b"[]" * 2**22, 5)


def test_nobody_s_body_is_not_read_and_of_one_person_only_some_are_awaited():
    known = lambda request: request.headers.get("x-who", "")  # noqa: E731
    with served(Bounded(_told, body=100, seconds=5, asking=known, larger={"large": 1000}, at_once=3)) as url:
        assert httpx.post(url, content=b"x").status_code == 403
        assert httpx.get(url).status_code == 200, "who asks without a body is for the application to say"
        assert httpx.post(url, content=b"x" * 101, headers={"x-who": "small"}).status_code == 413
        assert httpx.post(url, content=b"x" * 101, headers={"x-who": "large"}).status_code == 200
        place = urlsplit(url)
        slow = [socket.create_connection((place.hostname, place.port)) for _ in range(17)]
        for one in slow:
            one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Who: slow\r\nContent-Length: 10\r\n\r\n")
        # Sixteen are waited for; one is told at once. None of them takes another's place.
        ready, _, _ = select.select(slow, [], [], 4)
        assert [s for s in ready if b"429" in s.recv(200)]
        assert httpx.post(url, content=b"x", headers={"x-who": "another"}).status_code == 200
        for one in slow:
            one.close()


def test_connections_that_say_nothing_make_room(monkeypatch):
    """Uvicorn waits for the first request of a connection for ever."""
    monkeypatch.setattr(serving, "_SILENT", 20)
    config = uvicorn.Config(
        _told, host="127.0.0.1", port=0, log_level="error", http=serving.Patient, limit_concurrency=40
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    silent = []
    try:
        awaited(lambda: bool(server.started), 20)
        port = server.servers[0].sockets[0].getsockname()[1]
        for _ in range(60):
            silent.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        with httpx.Client() as client:
            for _ in range(3):  # one after the other in one connection, too
                assert client.post(f"http://127.0.0.1:{port}", content=b"abc", timeout=20).json() == {"size": 3}
        assert silent[0].recv(10) == b"", "the oldest of them has been closed"
    finally:
        for one in silent:
            one.close()
        server.should_exit = True
        thread.join(20)


def test_a_request_without_a_body_is_passed_on_as_it_is():
    """What comes after the body is the end: an application that waits for that must not be told of another body."""
    from starlette.responses import StreamingResponse

    async def streams(scope, receive, send) -> None:
        message = await receive()
        assert (message["type"], message.get("body")) == ("http.request", b"")

        async def parts():
            for part in (b"a", b"b", b"c"):
                await asyncio.sleep(0)
                yield part

        await StreamingResponse(parts())(scope, receive, send)

    with served(Bounded(streams)) as url:
        assert [httpx.get(url).content for _ in range(3)] == [b"abc"] * 3
