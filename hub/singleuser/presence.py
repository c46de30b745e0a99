"""Says that this server is used, hears when it would be stopped, and hands both to JupyterLab.

A kernel that computes in silence, a terminal, a person who types, and whatever sets ``…_last_activity`` among the
server's settings count as use. A tab that nobody looks at does not.
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

_EVERY = 30.0  # seconds; hub/services/culler/watch.py knows it too
_MINE = "geodes_lab_last_activity"
_log = logging.getLogger("geodes_lab.presence")


class Presence:
    """The state of this server's use."""

    def __init__(self, app: Any) -> None:
        self._app, self._url = app, os.environ.get("GEODES_LAB_CULLER", "")
        self.heard: dict[str, Any] = {}
        self.settings = app.web_app.settings

    def present(self) -> None:
        """A person is here."""
        self.settings[_MINE] = datetime.now(UTC)

    def active(self) -> datetime:
        """When the server was last used."""
        manager = self.settings["kernel_manager"]
        if any(k["execution_state"] == "busy" for k in manager.list_kernels()):
            self.present()
        # Not `api_last_activity`: an open tab asks for the list of kernels every few seconds.
        times = [v for k, v in self.settings.items() if k.endswith("_last_activity") and k != "api_last_activity"]
        return max([self.settings["started"], manager.last_kernel_activity, *times])

    def running(self) -> list[str]:
        """What would be lost: the notebooks whose kernels run."""
        manager, sessions = self.settings["kernel_manager"], self.settings["session_manager"]
        states = {k["id"]: k["execution_state"] for k in manager.list_kernels()}
        found = []
        with contextlib.suppress(Exception):  # its table is private to it, and another version may have another
            cursor = sessions.cursor.execute("SELECT path, kernel_id FROM session")
            found = [path for path, kernel in cursor.fetchall() if kernel in states]
        return found or [f"a kernel, {state}" for state in states.values()]

    async def beat(self) -> None:
        """Tell, and hear."""
        if not self._url:
            return
        told = {
            "server": os.environ.get("JUPYTERHUB_SERVER_NAME", ""),
            "active": self.active().isoformat(),
            "running": self.running(),
        }
        headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
        request = HTTPRequest(f"{self._url}/beat", "POST", headers, json.dumps(told), request_timeout=10)
        self.heard = json.loads((await AsyncHTTPClient().fetch(request)).body)

    async def keep_beating(self) -> None:
        """Go on for as long as the server lives."""
        while True:
            try:
                await self.beat()
            except (HTTPClientError, OSError, ValueError) as error:
                _log.debug("the culler does not answer: %s", error)
            await asyncio.sleep(_EVERY)


class Notices(JupyterHandler):
    """What JupyterLab shows; a POST says that a person is here."""

    @property
    def presence(self) -> Presence:
        """The server's own."""
        found: Presence = self.settings["geodes_lab_presence"]
        return found

    @authenticated
    async def get(self) -> None:
        """Give the notices."""
        self._give()

    @authenticated
    async def post(self) -> None:
        """Somebody is here: a notice that the server would be stopped is taken back."""
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
