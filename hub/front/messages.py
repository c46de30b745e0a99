"""Operators' messages for the hub's own pages, asked of the culler while people look at them."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from traitlets.log import get_logger

_FRESH = 10.0  # seconds


class Board:
    """The messages as the culler last gave them.

    A page is not kept waiting for them: who looks first after a while sees the former ones.

    Parameters
    ----------
    url
        The address of the culler.
    token
        By which the hub asks it.
    """

    def __init__(self, url: str, token: str) -> None:
        self._request = HTTPRequest(
            f"{url}/messages", headers={"Authorization": f"token {token}"}, connect_timeout=2, request_timeout=5
        )
        self._all: list[dict[str, Any]] = []
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def to(self, person: str) -> list[dict[str, Any]]:
        """Return the messages to a person, and have them brought up to date."""
        if time.monotonic() - self._asked > _FRESH and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self.refresh())
        now = datetime.now(UTC)
        return [m for m in self._all if m["to"] in ("", person) and datetime.fromisoformat(m["until"]) > now]

    async def refresh(self) -> None:
        """Ask the culler."""
        self._asked = time.monotonic()
        try:
            self._all = json.loads((await AsyncHTTPClient().fetch(self._request)).body)
        except (HTTPClientError, OSError, ValueError) as error:
            get_logger().debug("the culler does not give the messages: %s", error)
