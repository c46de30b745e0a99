"""Requests of the services to the hub's API with their own token, page by page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from hub.servers.sizes import of_server

_PAGE = 200
_PAGES = {"Accept": "application/jupyterhub-pagination+json"}


@dataclass(frozen=True)
class Server:
    """A running server."""

    person: str
    name: str
    """Empty for a person's first server."""
    groups: tuple[str, ...]
    started: datetime
    active: datetime
    """When the hub last saw activity."""
    profile: str
    ready: bool


@dataclass(frozen=True)
class Member:
    """A person known to the hub."""

    name: str
    groups: tuple[str, ...]
    active: datetime | None
    """When the hub last saw activity; None: never."""


class HubApi:
    """The hub, within this service's scopes."""

    def __init__(self) -> None:
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
        self._client = httpx.AsyncClient(
            base_url=os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api"),
            headers={"Authorization": f"token {token}"},
            timeout=30,
        )

    async def servers(self) -> list[Server]:
        """Return every server that runs or is starting."""
        return [s async for user in self._users(state="active") for s in _servers(user)]

    async def members(self) -> tuple[list[Member], list[Server]]:
        """Return all people known to the hub, and every server, in one pass."""
        members: list[Member] = []
        servers: list[Server] = []
        async for user in self._users():
            active = user.get("last_activity")
            members.append(Member(user["name"], tuple(user.get("groups", ())), time(active) if active else None))
            servers += _servers(user)
        return members, servers

    async def people(self) -> tuple[dict[str, tuple[str, ...]], list[Server]]:
        """Return the groups of all people known to the hub, and every server, in one pass."""
        members, servers = await self.members()
        return {m.name: m.groups for m in members}, servers

    async def stop(self, server: Server) -> None:
        """Stop a server; one that has already stopped is fine."""
        path = f"/users/{server.person}/servers/{server.name}" if server.name else f"/users/{server.person}/server"
        answer = await self._client.delete(path)
        if answer.status_code not in (202, 204, 400, 404):
            answer.raise_for_status()

    async def _users(self, **filters: str) -> AsyncIterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = await self._client.get(
                "/users", params={**filters, "offset": offset, "limit": _PAGE}, headers=_PAGES
            )
            users_page = answer.raise_for_status().json()
            for user in users_page["items"]:
                yield user
            following = users_page["_pagination"]["next"]
            if not following:
                return
            offset = following["offset"]


def _servers(user: dict[str, Any]) -> list[Server]:
    return [
        Server(
            user["name"],
            name,
            tuple(user.get("groups", ())),
            time(described["started"]),
            time(described.get("last_activity") or described["started"]),
            str(of_server(described.get("user_options"))),
            bool(described.get("ready")),
        )
        for name, described in (user.get("servers") or {}).items()
        if described.get("started")
    ]


def time(text: str) -> datetime:
    """Parse a time of the hub, or of a program."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
