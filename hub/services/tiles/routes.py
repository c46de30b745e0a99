"""The addresses of the service, behind its limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hub.services.bounds import Bounded
from hub.services.person import Hub
from hub.services.tiles.addresses import NotSo
from hub.services.tiles.app import HEADERS, Tiles
from hub.services.tiles.beside import Beside
from hub.services.tiles.catalogue import Catalogue
from hub.services.tiles.workers import Worker


def made(
    tiles: Tiles, hub: Hub, origins: Sequence[str], workers: Sequence[Worker], catalogue: Catalogue, page: str = ""
) -> ASGIApp:  # fmt: skip
    """Create the application, behind its limits.

    Parameters
    ----------
    tiles
        Answers.
    hub
        Identifies people.
    origins
        Web sites whose pages may show tiles, by a token or a key.
    workers, catalogue
        Closed at the end.
    page
        The origin of the catalogue's page, which shows tiles by a key; empty: it is this service's own.
    """

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.gather(*(worker.close() for worker in workers), catalogue.close())

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, NotSo)
        more = {"WWW-Authenticate": "token"} if error.status == 401 else {}
        return JSONResponse({"detail": str(error)}, error.status, {**HEADERS, "Cache-Control": "no-store", **more})

    at = hub.prefix
    routes = [
        Route(at, tiles.landing),
        Route(f"{at}conformance", tiles.conformance),
        Route(f"{at}login", tiles.login),
        Route(f"{at}oauth_callback", tiles.back),
        Route(f"{at}keys", tiles.key, methods=["POST"]),
        Route(f"{at}{{rest:path}}", tiles.answer),
    ]
    shared = [
        Middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "OPTIONS"],
            allow_headers=["Authorization", "If-None-Match"], expose_headers=["ETag", "Geodes-Left-Out"], max_age=600,
        )
    ] if origins else []  # fmt: skip
    app = Starlette(routes=routes, lifespan=life, middleware=shared, exception_handlers={NotSo: refused})
    bounded = Bounded(app, body=2**14, depth=4, at_once=256, asking=hub.asking)
    return Beside(bounded, page) if page else bounded
