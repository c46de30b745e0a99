"""Reports that this server is used, receives warnings before it is stopped, and forwards both to JupyterLab.

A silent computation of a kernel, a terminal, a person who types, and all ``…_last_activity`` keys in the server's
settings count as use. An unattended tab does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import authenticated

_EVERY = 30.0  # seconds; the same as in hub/services/culler/watch.py
_MINE = "geodes_lab_last_activity"
_log = logging.getLogger("geodes_lab.presence")


class Presence:
    """The state of this server's use."""

    def __init__(self, app: Any) -> None:
        self._app, self._url = app, os.environ.get("GEODES_LAB_CULLER", "")
        self.heard: dict[str, Any] = {}
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
        report = {
            "server": os.environ.get("JUPYTERHUB_SERVER_NAME", ""),
            "active": self.active().isoformat(),
            "running": self.running(),
        }
        headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
        request = HTTPRequest(f"{self._url}/beat", "POST", headers, json.dumps(report), request_timeout=10)
        self.heard = json.loads((await AsyncHTTPClient().fetch(request)).body)

    async def keep_beating(self) -> None:
        """Continue for as long as the server lives."""
        while True:
            try:
                await self.beat()
            except (HTTPClientError, OSError, ValueError) as error:
                _log.debug("the culler service does not answer: %s", error)
            await asyncio.sleep(_EVERY)


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
        self._give()

    @authenticated
    async def post(self) -> None:
        """Record that a person is here: a warning that the server will be stopped is withdrawn."""
        self.presence.present()
        with contextlib.suppress(HTTPClientError, OSError, ValueError):
            await self.presence.beat()
        self._give()

    def _give(self) -> None:
        self.finish({**self.presence.heard, "rescue": os.environ.get("GEODES_LAB_RESCUE", "")})


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.presence"}]


def _load_jupyter_server_extension(app: Any) -> None:
    presence = Presence(app)
    app.web_app.settings["geodes_lab_presence"] = presence
    app.web_app.settings[_MINE] = datetime.now(UTC)
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/notices"), Notices)])
    app.io_loop.add_callback(presence.keep_beating)
