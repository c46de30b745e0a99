"""What the operators' page shows, from the hub, the culler and the accounts of use."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from hub.services.hubapi import HubApi, Member, Server, time

HERE = timedelta(minutes=5)
"""Who typed or pointed within this time is here."""


@dataclass(frozen=True)
class Running:
    """A server, with what it reports of itself."""

    server: Server
    active: datetime
    """When it was last used, by a person or a computation."""
    seen: datetime | None = None
    """When its person last typed or pointed there."""
    notebooks: tuple[str, ...] = ()
    clusters: tuple[dict[str, Any], ...] = ()
    notice: dict[str, Any] | None = None
    """The stop that is to come, if its person is warned of one."""


@dataclass(frozen=True)
class State:
    """The lab at one moment."""

    now: datetime
    members: list[Member] = field(default_factory=list)
    """All people, those who were active last first."""
    running: list[Running] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    """Budgets of which much is used."""
    silent: list[str] = field(default_factory=list)
    """What does not answer: hub, culler, usage."""

    def here(self) -> set[str]:
        """Return the people who typed or pointed lately."""
        return {r.server.person for r in self.running if r.seen and self.now - r.seen < HERE}

    def order(self, person: str, server: str, cluster: str = "") -> dict[str, Any] | None:
        """Return the order to stop something."""
        key = (person, server, cluster)
        return next((o for o in self.orders if (o["person"], o["server"], o["cluster"]) == key), None)


class Sources:
    """Where the state comes from.

    Parameters
    ----------
    api
        The hub.
    usage, culler
        The addresses of the two services; empty: not there.
    """

    def __init__(self, api: HubApi, usage: str, culler: str) -> None:
        self.api, self._usage, self._culler = api, usage, culler
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "0")
        self._web = httpx.AsyncClient(timeout=10, headers={"Authorization": f"token {token}"})

    async def state(self, now: datetime) -> State:
        """Ask all; what does not answer is named."""
        members, told, spent = await asyncio.gather(
            self._hub(), self._get(f"{self._culler}/state"), self._get(f"{self._usage}/api/budgets")
        )
        answers = {"hub": members, "culler": told, "usage": spent}
        told, spent = told or {}, spent or {}
        people, servers = members or ([], [])
        beats = {(b["person"], b["server"]): b for b in told.get("beats", ())}
        notices = {(n["person"], n["server"]): n for n in told.get("notices", ())}
        return State(
            now,
            sorted(people, key=lambda m: (m.active is None, -(m.active.timestamp() if m.active else 0), m.name)),
            sorted(
                (_running(s, beats.get((s.person, s.name)), notices.get((s.person, s.name))) for s in servers),
                key=lambda r: (r.server.person, r.server.name),
            ),
            told.get("orders", []),
            told.get("messages", []),
            spent.get("budgets", []),
            [name for name, answer in answers.items() if answer is None],
        )

    async def tell(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Tell the culler something; return its status and its answer."""
        try:
            answer = await self._web.post(f"{self._culler}/{path}", json=body)
            return answer.status_code, answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError):
            return 503, {"detail": "The culler does not answer: nothing was done. Try again in a moment."}

    async def close(self) -> None:
        """Close the connections."""
        await self._web.aclose()

    async def _hub(self) -> tuple[list[Member], list[Server]] | None:
        try:
            return await self.api.members()
        except httpx.HTTPError:
            return None

    async def _get(self, url: str) -> dict[str, Any] | None:
        try:
            answer = await self._web.get(url)
            body: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
            return body
        except (httpx.HTTPError, ValueError):
            return None


def _running(server: Server, beat: dict[str, Any] | None, notice: dict[str, Any] | None) -> Running:
    if beat is None:
        return Running(server, server.active, notice=notice)
    seen = time(beat["seen"]) if beat["seen"] else None
    return Running(server, time(beat["active"]), seen, tuple(beat["running"]), tuple(beat["clusters"]), notice)
