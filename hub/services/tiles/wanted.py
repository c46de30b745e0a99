"""Whether somebody still waits for an answer: who moves a map gives up the tiles that are no longer on the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class Gone(Exception):
    """Nobody waits for the answer."""


async def wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do some work for as long as the client of a request waits for it.

    Raises
    ------
    Gone
        If the connection ended; the work has been cancelled.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Gone
    finally:
        for task in (working, leaving):
            if not task.done():
                task.cancel()


async def _left(request: Request) -> None:
    """Return when the connection has ended; a body is not of interest."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
