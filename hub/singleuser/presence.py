"""Reports that this server is used, receives warnings before it is stopped, and forwards them to JupyterLab.

So it does with operators' messages, and with the budgets of the person. It stops the clusters that an operator stops.

A silent computation of a kernel, a terminal, a person who types, and all ``…_last_activity`` keys in the server's
settings count as use. An unattended tab does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import authenticated

from geodes_lab.cluster import running as clusters
from geodes_lab.errors import GeodesError

_EVERY = 30.0  # seconds; the same as in hub/services/culler/watch.py
_SOON = 10.0  # seconds after which JupyterLab, when it asks, gets a new report
_BUDGETS = 120.0  # seconds until the budgets are asked for again
_MINE = "geodes_lab_last_activity"
_log = logging.getLogger("geodes_lab.presence")


class Presence:
    """The state of this server's use."""

    def __init__(self, app: Any) -> None:
        self._app, self._url = app, os.environ.get("GEODES_LAB_CULLER", "")
        self._usage = os.environ.get("GEODES_LAB_USAGE", "")
        self.heard: dict[str, Any] = {}
        self._beaten = self._counted = float("-inf")
        self.budgets: list[dict[str, Any]] = []
        """The budgets of this month of which much is used."""
        self.seen: datetime | None = None
        """When somebody last typed or pointed here."""
        self.settings = app.web_app.settings

    def present(self) -> None:
        """Record that a person is here."""
        self.settings[_MINE] = datetime.now(UTC)

    def active(self) -> datetime:
        """Return when the server was last used."""
        manager = self.settings["kernel_manager"]
        if any(k["execution_state"] == "busy" for k in manager.list_kernels()):
            self.present()
        # Not `api_last_activity`: an open tab requests the list of kernels every few seconds.
        times = [v for k, v in self.settings.items() if k.endswith("_last_activity") and k != "api_last_activity"]
        return max([self.settings["started"], manager.last_kernel_activity, *times])

    def running(self) -> list[str]:
        """Return what would be lost: the notebooks with running kernels."""
        manager, sessions = self.settings["kernel_manager"], self.settings["session_manager"]
        states = {k["id"]: k["execution_state"] for k in manager.list_kernels()}
        notebooks = []
        with contextlib.suppress(Exception):  # its table is private, and may differ in another version
            cursor = sessions.cursor.execute("SELECT path, kernel_id FROM session")
            notebooks = [path for path, kernel in cursor.fetchall() if kernel in states]
        return notebooks or [f"a kernel, {state}" for state in states.values()]

    async def beat(self) -> None:
        """Report once, and receive warnings."""
        if not self._url:
            return
        self._beaten = time.monotonic()
        report = {
            "server": os.environ.get("JUPYTERHUB_SERVER_NAME", ""),
            "active": self.active().isoformat(),
            "person": self.seen.isoformat() if self.seen else "",
            "running": self.running(),
            "clusters": await asyncio.to_thread(_clusters),
        }
        self.heard = await _asked(f"{self._url}/beat", report)
        due = [c["id"] for c in self.heard.get("clusters", ()) if _has_passed(c["stops"])]
        for cluster in due:
            await asyncio.to_thread(clusters.stop, cluster)

    async def beat_again(self) -> None:
        """Report, unless that was just done: who looks hears of a message as soon as they ask."""
        if time.monotonic() - self._beaten > _SOON:
            with contextlib.suppress(HTTPClientError, OSError, ValueError, KeyError):
                await self.beat()

    async def keep_beating(self) -> None:
        """Continue for as long as the server lives."""
        while True:
            try:
                await self.beat()
            except (HTTPClientError, OSError, ValueError, KeyError) as error:
                _log.debug("the culler service does not answer: %s", error)
            soon = [_seconds(c["stops"]) for c in self.heard.get("clusters", ()) if not _has_passed(c["stops"])]
            await asyncio.sleep(min([_EVERY, *(max(s, 1.0) for s in soon)]))

    async def count_again(self) -> None:
        """Ask for the budgets, unless that was just done."""
        if self._usage and time.monotonic() - self._counted > _BUDGETS:
            self._counted = time.monotonic()
            try:
                self.budgets = (await _asked(f"{self._usage}/api/budgets/mine"))["budgets"]
            except (HTTPClientError, OSError, ValueError, KeyError) as error:
                _log.debug("the usage service does not answer: %s", error)


class Notices(JupyterHandler):
    """The messages for JupyterLab; a POST says that a person is here."""

    @property
    def presence(self) -> Presence:
        """The server's own."""
        own: Presence = self.settings["geodes_lab_presence"]
        return own

    @authenticated
    async def get(self) -> None:
        """Return the messages."""
        await asyncio.gather(self.presence.beat_again(), self.presence.count_again())
        self._give()

    @authenticated
    async def post(self) -> None:
        """Record that a person is here: a warning that the server will be stopped is withdrawn."""
        self.presence.present()
        self.presence.seen = datetime.now(UTC)
        with contextlib.suppress(HTTPClientError, OSError, ValueError):
            await self.presence.beat()
        self._give()

    def _give(self) -> None:
        rescue = os.environ.get("GEODES_LAB_RESCUE", "")
        self.finish({**self.presence.heard, "budgets": self.presence.budgets, "rescue": rescue})


async def _asked(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a service of the lab answers to this server's own token."""
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
    method, text = ("GET", None) if body is None else ("POST", json.dumps(body))
    answer = await AsyncHTTPClient().fetch(HTTPRequest(url, method, headers, text, request_timeout=10))
    reply: dict[str, Any] = json.loads(answer.body)
    return reply


def _clusters() -> list[dict[str, Any]]:
    """Return the clusters of this person on this machine, for the operators' page."""
    try:
        listed = clusters.listed()
    except (GeodesError, OSError):
        return []
    names = ("id", "name", "place", "workers", "memory", "tasks")
    return [{**{n: getattr(one, n) for n in names}, "cores": one.threads} for one in listed]


def _seconds(when: str) -> float:
    return (datetime.fromisoformat(when) - datetime.now(UTC)).total_seconds()


def _has_passed(when: str) -> bool:
    return _seconds(when) <= 0


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.presence"}]


def _load_jupyter_server_extension(app: Any) -> None:
    presence = Presence(app)
    app.web_app.settings["geodes_lab_presence"] = presence
    app.web_app.settings[_MINE] = datetime.now(UTC)
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/notices"), Notices)])
    app.io_loop.add_callback(presence.keep_beating)
