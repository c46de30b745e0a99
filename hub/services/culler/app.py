"""The culler's addresses: servers report that they are used, and receive warnings, orders and messages.

It also checks all servers, every minute, and when an operator's order is due.
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
from hub.services.culler.desk import Desk
from hub.services.culler.messages import Messages
from hub.services.culler.stops import Stop, Stops
from hub.services.culler.watch import Beat, Cluster, Watch
from hub.services.hubapi import HubApi, time
from hub.services.person import Hub

_log = logging.getLogger("culler")
_MOST = 50  # names of running notebooks, and clusters, of a server
_LONGEST, _SERVERS = 100, 20  # characters of a server's name; servers of a person


def made(watch: Watch, stops: Stops, hub: Hub, api: HubApi, messages: Messages | None = None) -> Starlette:
    """Create the application."""
    messages = messages or Messages()
    desk = Desk(watch, messages, hub, api)

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
            clusters = tuple(_cluster(c) for c in body.get("clusters", ())[:_MOST])
            seen = min(time(body["person"]), now) if body.get("person") else None
            # A time in the future is not accepted: such a server would never stop.
            watch.beats[person.name, server] = Beat(now, min(time(body["active"]), now), running, seen, clusters)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return Response("The request needs the time of the last use: active, an ISO time.", 400)
        notice = watch.notices.get((person.name, server))
        if notice is not None and notice.why == "idle" and watch.beats[person.name, server].active > notice.said:
            watch.notices.pop((person.name, server))  # it is used again
            notice = None
        last = next((s for s in stops.of(person.name) if s.server == server), None)
        watch.orders.ended(person.name, server, {c.id for c in clusters})
        orders = {o.cluster: o for o in watch.orders.of_clusters(person.name, server)}
        return JSONResponse(
            {
                "notice": {"why": notice.why, "stops": notice.stops.isoformat(), "text": notice.text}
                if notice
                else None,
                "stopped": asdict(last) if last else None,
                "clusters": [
                    {"id": c.id, "name": c.name, "stops": orders[c.id].when, "text": orders[c.id].text}
                    for c in clusters
                    if c.id in orders
                ],
                "messages": [asdict(m) for m in messages.to(person.name)],
            }
        )

    async def told(request: Request) -> Response:
        person = await run_in_threadpool(hub.person, request)
        if person.service != "home" and person.name != request.path_params["person"]:
            return Response("You have no access to this page.", 403)
        return JSONResponse([asdict(s) for s in stops.of(request.path_params["person"])])

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(_keep_looking(watch, stops, api, desk.ordered))
        yield
        looking.cancel()

    routes = [
        Route(f"{hub.prefix}beat", beat, methods=["POST"]),
        Route(f"{hub.prefix}stops/{{person}}", told),
        *desk.routes(),
    ]
    return Starlette(routes=routes, lifespan=life, middleware=[Middleware(Bounded, body=64 * 2**10, asking=hub.asking)])


async def _keep_looking(watch: Watch, stops: Stops, api: HubApi, ordered: asyncio.Event) -> None:
    while True:
        ordered.clear()
        try:
            await look(watch, stops, api)
        except httpx.HTTPError as error:
            _log.warning("the hub does not answer (%s): nothing is stopped for now", error)
        # An order is carried out when it is due, not at the next look.
        due = [(o.stops - datetime.now(UTC)).total_seconds() for o in watch.orders.all() if not o.cluster]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ordered.wait(), min([watch.rules.every, *(max(d, 1.0) for d in due)]))


async def look(watch: Watch, stops: Stops, api: HubApi) -> None:
    """Check all servers once, and stop those that are due."""
    now = datetime.now(UTC)
    servers = await api.servers()
    watch.orders.keep(servers)
    for server, why in watch.look([s for s in servers if s.ready], now):
        beat = watch.beats.get((server.person, server.name))
        order = watch.orders.of_server(server) if why == "order" else None
        since = server.started if why == "age" else watch.active(server, now)
        _log.warning(
            "stopping the server %s of %s: %s%s",
            server.name, server.person, why, f" of {order.by}" if order else "",
        )  # fmt: skip
        await api.stop(server)
        running = beat.running if beat else ()
        after = int((now - since).total_seconds())
        stops.add(server.person, Stop(server.name, now.isoformat(), why, running, after, order.text if order else ""))


def _cluster(told: dict[str, object]) -> Cluster:
    """Read what a server says of a cluster: its person may have written it."""

    def word(name: str) -> str:
        return str(told.get(name, ""))[:_LONGEST]

    def number(name: str) -> int:
        return min(max(int(str(told.get(name, 0))), 0), 2**53)

    return Cluster(
        word("id"), word("name"), word("place"), number("workers"), number("cores"), number("memory"), number("tasks")
    )
