"""Limits for the requests to a service.

They apply to the size and depth of a body, the seconds in which it must arrive, and simultaneous requests.

They are checked before any framework, so that nothing large, deep or endless is parsed, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB = 2**20
_MARKS = 500_000  # quotes and brackets: half a second
_AWAITED = 16  # bodies of one person that may arrive at the same time
# An unterminated text extends to the end: searching again from each of its quotes would take quadratic time.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[\]{}]', re.DOTALL)


class TooMuch(ValueError):
    """A document that is not parsed: larger or deeper than any real one."""


class Bounded:
    """An application behind limits; a request beyond one gets a sentence.

    Parameters
    ----------
    application
        The application.
    body
        Bytes of a request's body.
    depth
        Nested lists and objects of JSON.
    seconds
        Seconds in which a body must arrive.
    at_once
        Requests that are answered together; further ones must come again. Requests whose body is still arriving do not
        count.
    asking
        Returns the name of the sender, empty for nobody: bodies of unknown senders are not read, and each sender may
        send only some at once. Without it, the sender does not matter.
    larger
        Bytes of a body, for the senders that are named here.
    """

    def __init__(
        self, application: ASGIApp, *, body: int = MIB, depth: int = 64, seconds: float = 20, at_once: int = 256,
        asking: Callable[[Request], str] | None = None, larger: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self._application, self._body, self._depth, self._seconds = application, body, depth, seconds
        self._at_once, self._now = at_once, 0
        self._asking, self._larger = asking, larger or {}
        self._awaited: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        try:
            taken = await self._body_of(scope, receive)
        except _Refusal as refusal:
            await _refused(refusal.status, str(refusal))(scope, receive, send)
            return
        if self._now >= self._at_once:
            busy = "The service is busy: try again in a moment."
            await _refused(503, busy)(scope, receive, send)
            return
        self._now += 1
        try:
            await self._application(scope, receive if taken is None else _again(taken, receive), send)
        finally:
            self._now -= 1

    async def _body_of(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body; None for a request without one."""
        headers = dict(scope["headers"])
        content_length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" not in headers and content_length == b"0":
            return None
        who = "" if self._asking is None else await run_in_threadpool(self._asking, Request(scope))
        if self._asking is not None and not who:
            raise _Refusal(403, "Log in first, or send your token: requests without a user are not read.")
        most = self._larger.get(who, self._body)
        if most == 0 or not content_length.isdigit() or int(content_length[:20]) > most:
            raise _Refusal(413, f"The request has more than {most:,} bytes, which is the limit here.")
        if self._asking is not None and self._awaited[who] >= _AWAITED:
            raise _Refusal(429, f"You already have {_AWAITED} requests in progress: wait for one of them to end.")
        self._awaited[who] += 1
        try:
            async with asyncio.timeout(self._seconds):
                body = await _taken(receive, most)
            await run_in_threadpool(check_depth, body, self._depth)
            return body
        except TooMuch as error:
            raise _Refusal(413, str(error)) from None
        except TimeoutError:
            raise _Refusal(408, f"The request did not arrive within {self._seconds:g} s.") from None
        finally:
            self._awaited[who] -= 1


class _Refusal(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def _taken(receive: Receive, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has gone
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooMuch(f"The request has more than {most:,} bytes, which is the limit here.")
        if not message.get("more_body"):
            return b"".join(parts)


def check_depth(text: bytes, most: int) -> None:
    """Check how deep the lists and objects of a JSON text are nested, before it is parsed.

    Raises
    ------
    TooMuch
        If they are deeper than ``most``, or there are more marks than in any real document, because checking each takes
        time.
    """
    if sum(map(text.count, (b"[", b"{", b'"'))) > _MARKS:
        raise TooMuch(f"The request has more than {_MARKS:,} texts, lists and objects, which is the limit.")
    now = 0
    for bracket in _brackets(text):
        now += 1 if bracket in b"[{" else -1
        if now > most:
            raise TooMuch(f"The request has more than {most} lists and objects inside each other, which is the limit.")


def _brackets(text: bytes) -> Iterator[bytes]:
    return (match[0] for match in _TOKENS.finditer(text) if match[0][:1] != b'"')


def _again(body: bytes, receive: Receive) -> Receive:
    """Return the received body, then whatever follows."""
    is_sent = False

    async def give() -> Message:
        nonlocal is_sent
        if not is_sent:
            is_sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return give


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, {"Connection": "close"})
