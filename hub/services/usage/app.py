"""The addresses of the usage accounts; `desk` has the answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geodes_lab.policy.lab import Lab
from hub.services import pages
from hub.services.bounds import MIB, Bounded
from hub.services.person import Hub
from hub.services.usage.accounts import Books
from hub.services.usage.collector import Collector
from hub.services.usage.desk import Desk


def made(lab: Lab, books: Books, collector: Collector, hub: Hub) -> Starlette:
    """Create the application."""
    desk, at = Desk(lab, books, collector, hub), hub.prefix

    async def begin(request: Request) -> Response:
        return hub.begin(request)

    async def end(request: Request) -> Response:
        return await run_in_threadpool(
            hub.end, request, request.query_params.get("code", ""), request.query_params.get("state", "")
        )

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(collector.keep_looking())
        yield
        looking.cancel()

    routes = [
        Route(at, desk.page),
        Route(f"{at}all", desk.page),
        Route(f"{at}costs", desk.report),
        Route(f"{at}costs.csv", desk.report),
        Route(f"{at}api/budgets", desk.budgets),
        Route(f"{at}api/budgets/mine", desk.budgets),
        Route(f"{at}look.css", pages.look),
        Route(f"{at}login", begin),
        Route(f"{at}oauth_callback", end),
        Route(f"{at}api/mine", desk.mine),
        Route(f"{at}api/limits", desk.limits),
        Route(f"{at}api/limits/{{person}}", desk.limits),
        Route(f"{at}api/used", desk.used),
        Route(f"{at}api/reads", desk.reads, methods=["POST"]),
        Route(f"{at}api/storage", desk.storage, methods=["POST"]),
        Route(f"{at}export.{{form:str}}", desk.export),
        Route(f"{at}metrics", desk.metrics),
    ]
    # The gate's rows, one for each person and collection, and the sizes of all homes, are the largest bodies.
    larger = {"service data": 16 * MIB, "service measure": 4 * MIB}
    bounds = [Middleware(Bounded, body=64 * 2**10, asking=hub.asking, larger=larger)]
    return Starlette(routes=routes, lifespan=life, middleware=bounds)
