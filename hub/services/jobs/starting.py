"""Whoever has units that wait gets a runner: the hub starts it as that person, with their rights, size and quota."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import Protocol
from urllib.parse import quote

import httpx
import sqlalchemy as sa

from geodes_lab.batch.store.tables import jobs, runners, schedules, units
from geodes_lab.batch.store.writing import Store, tell
from geodes_lab.errors import GeodesError
from hub.servers.runners import NAME

_log = logging.getLogger("jobs")
_EVERY = 2.0  # seconds between two looks
_AGAIN = 60.0  # seconds until the hub is asked again for the same person; twice as many after each refusal
_LONGEST = 3600.0


class Servers(Protocol):
    """Who starts servers."""

    def start(self, person: str) -> str:
        """Start the runner of a person; return why not, or nothing."""


class HubServers:
    """The hub, with the scope ``servers`` of this service."""

    def __init__(self) -> None:
        headers = {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"}
        url = os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api")
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def start(self, person: str) -> str:
        """Start the runner of a person; one that starts or runs already is fine."""
        try:
            answer = self._client.post(f"/users/{quote(person, safe='')}/servers/{NAME}", json={})
        except httpx.HTTPError as error:
            return f"The hub does not answer ({type(error).__name__})."
        runs = answer.status_code == 400 and re.search("already running|pending", answer.text)
        if answer.status_code in (201, 202) or runs:
            return ""
        try:
            return str(answer.json()["message"])[:500]
        except (ValueError, KeyError, TypeError):
            return f"The hub answers {answer.status_code}."


class Starter:
    """Looks for people whose units wait without a runner.

    Parameters
    ----------
    store
        The jobs of all people.
    servers
        Who starts runners.
    """

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store, self._servers = store, servers
        self._next: dict[str, tuple[float, float]] = {}

    def begin(self) -> None:
        """Look from now on, in a thread."""
        threading.Thread(target=self._go_on, name="starter", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            try:
                self.look()
            except GeodesError as error:  # the store does not answer
                _log.warning("%s", error)
            time.sleep(_EVERY)

    def look(self) -> list[str]:
        """Start what is missing; return the people for whom the hub was asked."""
        now, asked = time.monotonic(), []
        waiting = self.without_runner()
        self._next = {person: known for person, known in self._next.items() if person in waiting}
        for person in waiting:
            when, pause = self._next.get(person, (0.0, _AGAIN))
            if now < when:
                continue
            asked.append(person)
            why = self._servers.start(person)
            self._next[person] = (now + pause, min(pause * 2, _LONGEST) if why else _AGAIN)
            if why:
                _log.warning("No runner was started for %r: %s", person, why)
                self._say(person, f"No runner could be started: {why} It is tried again.")
        return asked

    def without_runner(self) -> list[str]:
        """Return the people without a living runner whose units could be computed now, or whose schedules are due."""
        now, u, r, s = self._store.clock(), units.c, runners.c, schedules.c
        looks = sa.select(s.person).where(s.state == "active", s.due <= now, s.until <= now).distinct()
        due = sa.select(u.person).where(u.state == "waiting", u.later <= now, u.until <= now).distinct()
        living = sa.select(r.person).where(r.until > now)
        with self._store.database.read() as c:
            have = set(c.execute(living).scalars())
            waiting = {*c.execute(due).scalars(), *c.execute(looks).scalars()}
            return [] if "" in have else sorted(waiting - have)

    def _say(self, person: str, sentence: str) -> None:
        """Write it into the log of the person's oldest job that waits."""
        where = (jobs.c.person == person, jobs.c.state.in_(("accepted", "running")))
        with self._store.database.change() as c:
            number = c.execute(sa.select(jobs.c.id).where(*where).order_by(jobs.c.created).limit(1)).scalar()
            if number is not None:
                tell(c, number, sentence, self._store.clock())
