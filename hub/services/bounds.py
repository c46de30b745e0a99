"""What a service takes at most: the size and depth of a body, the seconds in which it must arrive, the requests at once.

It stands before every framework, so that nothing large, deep or endless is parsed, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB = 2**20
# A text without an end goes to the end: looked for again from each of its quotes, it would take the square of its length.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[\]{}]', re.DOTALL)


class TooMuch(ValueError):
    """A document that is not parsed: larger or deeper than any that is meant."""


class Bounded:
    """An application behind bounds; who exceeds one hears so, in a sentence.

    Parameters
    ----------
    application
        What answers.
    body
        Bytes of a request's body.
    depth
        Lists and objects of JSON inside each other.
    seconds
        In which a body must have arrived.
    at_once
        Requests that are answered together; further ones are told to come again.
    """

    def __init__(
        self, application: ASGIApp, *, body: int = MIB, depth: int = 64, seconds: float = 20, at_once: int = 256
    ) -> None:
        self._application, self._body, self._depth, self._seconds = application, body, depth, seconds
        self._at_once, self._now = at_once, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self._now >= self._at_once:
            await _refused(503, "The service has as many requests as it can answer: try again in a moment.")(
                scope, receive, send
            )
            return
        self._now += 1
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    taken = await self._taken(scope, receive)
            except TooMuch as error:
                await _refused(413, str(error))(scope, receive, send)
            except TimeoutError:
                await _refused(408, f"The request did not arrive within {self._seconds:g} s.")(scope, receive, send)
            else:
                await self._application(scope, _again(taken, receive), send)
        finally:
            self._now -= 1

    async def _taken(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body."""
        headers = dict(scope["headers"])
        said = headers.get(b"content-length", b"0")
        sentence = f"A request may have {self._body:,} bytes here, and this one has more."
        if not said.isdigit() or int(said[:20]) > self._body:
            raise TooMuch(sentence)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":  # it has gone
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._body:
                raise TooMuch(sentence)
            if not message.get("more_body"):
                break
        found = b"".join(parts)
        check_depth(found, self._depth)
        return found


def check_depth(text: bytes, most: int) -> None:
    """Look how deep the lists and objects of a JSON text are inside each other, before it is parsed.

    Raises
    ------
    TooMuch
        If they are deeper than ``most``.
    """
    now = 0
    for bracket in _brackets(text):
        now += 1 if bracket in b"[{" else -1
        if now > most:
            raise TooMuch(f"A request may have {most} lists and objects inside each other, and this one has more.")


def _brackets(text: bytes) -> Iterator[bytes]:
    return (found[0] for found in _TOKENS.finditer(text) if found[0][:1] != b'"')


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body that was taken, then whatever comes."""
    told = False

    async def give() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return give


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, {"Connection": "close"})
