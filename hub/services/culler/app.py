"""The culler's addresses: servers report that they are used, and receive warnings.

It also checks all servers, every minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.services.bounds import Bounded
from hub.services.culler.stops import Stop, Stops
from hub.services.culler.watch import Beat, Watch
from hub.services.hubapi import HubApi, time
from hub.services.person import Hub

_log = logging.getLogger("culler")
_MOST = 50  # names of running notebooks
_LONGEST, _SERVERS = 100, 20  # characters of a server's name; servers of a person


def made(watch: Watch, stops: Stops, hub: Hub, api: HubApi) -> Starlette:
    """Create the application."""

    async def beat(request: Request) -> Response:
        person = await run_in_threadpool(hub.person, request)
        if not person.name or person.by_cookie:
            return Response("Only a server can report this, with its own token.", 403)
        try:
            body = await request.json()
            now = datetime.now(UTC)
            running = tuple(str(r)[:200] for r in body.get("running", ())[:_MOST])
            server = str(body.get("server", ""))[:_LONGEST]
            mine = [name for name in watch.beats if name[0] == person.name]
            if (person.name, server) not in watch.beats and len(mine) >= _SERVERS:
                return Response(f"You already have {_SERVERS} servers, which is the limit.", 400)
            # A time in the future is not accepted: such a server would never stop.
            watch.beats[person.name, server] = Beat(now, min(time(body["active"]), now), running)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Response("The request needs the time of the last use: active, an ISO time.", 400)
        notice = watch.notices.get((person.name, server))
        if notice is not None and notice.why == "idle" and watch.beats[person.name, server].active > notice.said:
            watch.notices.pop((person.name, server))  # it is used again
            notice = None
        last = next((s for s in stops.of(person.name) if s.server == server), None)
        return JSONResponse(
            {
                "notice": {"why": notice.why, "stops": notice.stops.isoformat()} if notice else None,
                "stopped": asdict(last) if last else None,
            }
        )

    async def told(request: Request) -> Response:
        person = await run_in_threadpool(hub.person, request)
        if person.service != "home" and person.name != request.path_params["person"]:
            return Response("You have no access to this page.", 403)
        return JSONResponse([asdict(s) for s in stops.of(request.path_params["person"])])

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(_keep_looking(watch, stops, api))
        yield
        looking.cancel()

    routes = [Route(f"{hub.prefix}beat", beat, methods=["POST"]), Route(f"{hub.prefix}stops/{{person}}", told)]
    return Starlette(routes=routes, lifespan=life, middleware=[Middleware(Bounded, body=64 * 2**10, asking=hub.asking)])


async def _keep_looking(watch: Watch, stops: Stops, api: HubApi) -> None:
    while True:
        try:
            await look(watch, stops, api)
        except httpx.HTTPError as error:
            _log.warning("the hub does not answer (%s): nothing is stopped for now", error)
        await asyncio.sleep(watch.rules.every)


async def look(watch: Watch, stops: Stops, api: HubApi) -> None:
    """Check all servers once, and stop those that are due."""
    now = datetime.now(UTC)
    for server, why in watch.look([s for s in await api.servers() if s.ready], now):
        beat = watch.beats.get((server.person, server.name))
        since = watch.active(server, now) if why == "idle" else server.started
        _log.warning("stopping the server %s of %s: %s", server.name, server.person, why)
        await api.stop(server)
        running = beat.running if beat else ()
        stops.add(server.person, Stop(server.name, now.isoformat(), why, running, int((now - since).total_seconds())))
