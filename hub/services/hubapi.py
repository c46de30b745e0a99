"""What the services ask the hub's API by their own token, page by page."""

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
    """A server that runs."""

    person: str
    name: str
    """Empty for the one that each person has first."""
    groups: tuple[str, ...]
    started: datetime
    active: datetime
    """When the hub last saw something of it."""
    profile: str
    ready: bool


class HubApi:
    """The hub, as far as this service's scopes reach."""

    def __init__(self) -> None:
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
        self._client = httpx.AsyncClient(
            base_url=os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api"),
            headers={"Authorization": f"token {token}"},
            timeout=30,
        )

    async def servers(self) -> list[Server]:
        """Every server that runs or starts."""
        return [s async for user in self._users(state="active") for s in _servers(user)]

    async def people(self) -> tuple[dict[str, tuple[str, ...]], list[Server]]:
        """Everybody whom the hub knows, with their groups, and every server, in one look."""
        groups: dict[str, tuple[str, ...]] = {}
        servers: list[Server] = []
        async for user in self._users():
            groups[user["name"]] = tuple(user.get("groups", ()))
            servers += _servers(user)
        return groups, servers

    async def stop(self, server: Server) -> None:
        """Stop a server; one that has stopped meanwhile is as good."""
        path = f"/users/{server.person}/servers/{server.name}" if server.name else f"/users/{server.person}/server"
        answer = await self._client.delete(path)
        if answer.status_code not in (202, 204, 400, 404):
            answer.raise_for_status()

    async def _users(self, **asked: str) -> AsyncIterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = await self._client.get(
                "/users", params={**asked, "offset": offset, "limit": _PAGE}, headers=_PAGES
            )
            told = answer.raise_for_status().json()
            for user in told["items"]:
                yield user
            following = told["_pagination"]["next"]
            if not following:
                return
            offset = following["offset"]


def _servers(user: dict[str, Any]) -> list[Server]:
    return [
        Server(
            user["name"],
            name,
            tuple(user.get("groups", ())),
            time(told["started"]),
            time(told.get("last_activity") or told["started"]),
            str(of_server(told.get("user_options"))),
            bool(told.get("ready")),
        )
        for name, told in (user.get("servers") or {}).items()
        if told.get("started")
    ]


def time(text: str) -> datetime:
    """A time of the hub's, or of a program's."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
