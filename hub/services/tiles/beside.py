"""The catalogue's page, where it has a host name beside this service's: which answers it may read."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST = 16_384  # bytes of a query


class Beside:
    """An application whose answers to requests with a key may be read by the pages of one origin more.

    Nothing is said of credentials, so browsers show such a page no answer that a cookie opened.

    Parameters
    ----------
    application
        The application.
    origin
        Of the catalogue's page, from the operator's file.
    """

    def __init__(self, application: ASGIApp, origin: str) -> None:
        self._application, self._origin = application, origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not _has_key(scope["query_string"]):
            await self._application(scope, receive, send)
            return
        is_page = Headers(scope=scope).get("Origin") == self._origin

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")  # a browser keeps the answer to no other origin for this one
                if is_page:
                    headers["Access-Control-Allow-Origin"] = self._origin
            await send(message)

        await self._application(scope, receive, told)


def _has_key(query: bytes) -> bool:
    return len(query) <= _LONGEST and any(parse_qs(query).get(b"key", ()))
