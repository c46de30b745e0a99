"""What the operators' page asks of the culler: what servers report, orders to stop, messages."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.services.culler.messages import LONGEST, Messages
from hub.services.culler.orders import Order
from hub.services.culler.watch import Watch
from hub.services.hubapi import HubApi
from hub.services.person import Hub

_LATEST = 24 * 60.0  # minutes until a stop
_PAGES = ("home", "spawn")  # services that show people their messages


class Desk:
    """Answers the service ``operators``, which has checked that an operator asks.

    Parameters
    ----------
    watch, messages, hub, api
        What servers report with the orders, the messages, the identity of senders, and the hub.
    """

    def __init__(self, watch: Watch, messages: Messages, hub: Hub, api: HubApi) -> None:
        self.watch, self.messages, self.hub, self.api = watch, messages, hub, api
        self.ordered = asyncio.Event()
        """Set when there is a new order."""

    def routes(self) -> list[Route]:
        """Return the addresses."""
        at = self.hub.prefix
        return [
            Route(f"{at}state", self.state),
            Route(f"{at}orders", self.order, methods=["POST"]),
            Route(f"{at}orders/withdraw", self.withdraw_order, methods=["POST"]),
            Route(f"{at}messages", self.send, methods=["POST"]),
            Route(f"{at}messages", self.everybody),
            Route(f"{at}messages/withdraw", self.withdraw_message, methods=["POST"]),
        ]

    async def state(self, request: Request) -> Response:
        """Return the last report of each server, the orders and the messages."""
        if await self._service(request) != "operators":
            return _no()
        beats = [
            {
                "person": person,
                "server": server,
                "at": beat.at.isoformat(),
                "active": beat.active.isoformat(),
                "seen": beat.person.isoformat() if beat.person else "",
                "running": beat.running,
                "clusters": [asdict(c) for c in beat.clusters],
            }
            for (person, server), beat in self.watch.beats.items()
        ]
        notices = [
            {"person": person, "server": server, "why": n.why, "stops": n.stops.isoformat()}
            for (person, server), n in self.watch.notices.items()
        ]
        orders = [asdict(o) for o in self.watch.orders.all()]
        messages = [asdict(m) for m in self.messages.all()]
        return JSONResponse({"beats": beats, "notices": notices, "orders": orders, "messages": messages})

    async def order(self, request: Request) -> Response:
        """Accept an order to stop a server or a cluster."""
        if await self._service(request) != "operators":
            return _no()
        try:
            body = await request.json()
            person, server, cluster, text, by = _texts(body, "person", "server", "cluster", "text", "by")
            minutes = _number(body, "minutes")
            if not 0 <= minutes <= _LATEST:
                raise ValueError(f"A stop is due in 0 to {_LATEST:.0f} minutes, not in {minutes:g}.")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _bad(error)
        try:
            running = [s for s in await self.api.servers() if (s.person, s.name) == (person, server)]
        except httpx.HTTPError:
            return JSONResponse({"detail": "The hub does not answer: try again in a moment."}, 503)
        if not running:
            return JSONResponse({"detail": f"{person} has no such server: it has already stopped."}, 404)
        beat = self.watch.beats.get((person, server))
        if cluster and not any(c.id == cluster for c in (beat.clusters if beat else ())):
            return JSONResponse({"detail": f"{person} has no such cluster: it has already stopped."}, 404)
        when = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds")
        order = Order(person, server, cluster, running[0].started.isoformat(), when, text, by)
        self.watch.orders.add(order)
        self.ordered.set()
        return JSONResponse(asdict(order), 201)

    async def withdraw_order(self, request: Request) -> Response:
        """Take an order back."""
        if await self._service(request) != "operators":
            return _no()
        try:
            key = _texts(await request.json(), "person", "server", "cluster")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _bad(error)
        if not self.watch.orders.withdraw(*key):
            return JSONResponse({"detail": "There is no such order: it has been carried out or taken back."}, 404)
        self.ordered.set()
        return Response(status_code=204)

    async def send(self, request: Request) -> Response:
        """Send a message."""
        if await self._service(request) != "operators":
            return _no()
        try:
            body = await request.json()
            to, text, by = _texts(body, "to", "text", "by", most=LONGEST + 1)
            message = self.messages.send(to, text, by, _number(body, "hours"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _bad(error)
        return JSONResponse(asdict(message), 201)

    async def withdraw_message(self, request: Request) -> Response:
        """Take a message back."""
        if await self._service(request) != "operators":
            return _no()
        try:
            (id,) = _texts(await request.json(), "id")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _bad(error)
        if not self.messages.withdraw(id):
            return JSONResponse({"detail": "There is no such message: it has expired or was taken back."}, 404)
        return Response(status_code=204)

    async def everybody(self, request: Request) -> Response:
        """Return all messages, for the services that show each person theirs."""
        if await self._service(request) not in _PAGES:
            return _no()
        return JSONResponse([asdict(m) for m in self.messages.all()])

    async def _service(self, request: Request) -> str:
        return (await run_in_threadpool(self.hub.person, request)).service


def _texts(body: dict[str, Any], *names: str, most: int = LONGEST) -> list[str]:
    texts = [body.get(name, "") for name in names]
    for name, text in zip(names, texts, strict=True):
        if not isinstance(text, str):
            raise ValueError(f"{name} must be a text.")
        if len(text) > most:
            raise ValueError(f"{name} has {len(text)} characters, and the limit is {most}.")
    return texts


def _number(body: dict[str, Any], name: str) -> float:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number.")
    return float(value)


def _bad(error: Exception) -> Response:
    sentence = str(error) if type(error) is ValueError else "The request lacks a field, or one is of another kind."
    return JSONResponse({"detail": sentence}, 400)


def _no() -> Response:
    return JSONResponse({"detail": "Only the operators' page asks this."}, 403)
