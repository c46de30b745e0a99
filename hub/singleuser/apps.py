"""A shared app: a program that listens on a socket in a private folder, at ``/geodes/apps/NAME/``.

A page of one person's program must not act for another person who opens it. So it is in a browser sandbox, where it has
no origin and the browser sends no cookies with its requests: a permitted guest gets a ticket as a part of the address,
and the ticket opens only this app.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, authenticated

from geodes_lab.util import ownership
from hub.singleuser import proxying

NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_HOURS = 8
_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads; frame-ancestors 'self'"


@dataclass
class App:
    """A shared app."""

    socket: Path
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    live: set[Any] = field(default_factory=set, repr=False)
    """The open websockets."""

    def ticket(self) -> str:
        """Return a part of an address that opens it for some hours."""
        until = f"{int(time.time()) + _HOURS * 3600:x}"
        return f"{until}-{self._sum(until)}"

    def opens(self, ticket: str) -> bool:
        """Whether a ticket is for this app, and has not expired."""
        until, _, signature = ticket.partition("-")
        if not hmac.compare_digest(signature.encode(), self._sum(until).encode()):
            return False
        return int(until, 16) > time.time()

    def _sum(self, until: str) -> str:
        return hmac.new(self.secret, until.encode(), hashlib.sha256).hexdigest()

    def close(self) -> None:
        """Close it for all guests."""
        for one in list(self.live):
            one.close()


def found(told: object) -> tuple[str, Path]:
    """Return the name and the socket of an app that a person wants to share.

    Raises
    ------
    HTTPError
        If it may not be shared, with the reason.
    """
    if not isinstance(told, str) or not told.startswith("/") or "\0" in told or len(told) > ownership.SOCKET_PATH:
        raise HTTPError(400, f"Give the whole path of a socket, at most {ownership.SOCKET_PATH} characters.")
    path = Path(told)
    if ".." in path.parts:
        raise HTTPError(400, "The path of a socket must not contain `..`.")
    try:
        seen = path.lstat()
    except OSError:
        raise HTTPError(404, f"There is no socket {path}: start the app first.") from None
    if not stat.S_ISSOCK(seen.st_mode) or seen.st_uid != os.geteuid():
        raise HTTPError(400, f"{path} is not a socket of your own program.")
    if problem := ownership.fault(path.parent):
        raise HTTPError(400, f"The folder of the socket is not safe: {problem}.")
    if seen.st_mode & 0o022 and not any(_is_closed(p) for p in path.parents):
        raise HTTPError(
            400,
            f"Other accounts can access {path}: put it into a folder that is closed to them, such as the folder in "
            "GEODES_LAB_RUNTIME.",
        )
    if not NAME.fullmatch(path.stem):
        raise HTTPError(
            400, "The name of the socket becomes part of the address: use only letters, digits, - and _, at most 40."
        )
    return path.stem, path


def _is_closed(folder: Path) -> bool:
    status = folder.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


class Door(JupyterHandler):
    """Gives a ticket to permitted guests, whom the guard has checked."""

    @authenticated
    async def get(self, name: str, path: str) -> None:
        """Redirect into the app."""
        app = _shared(self, name)
        if app is None:
            raise HTTPError(404, "No app with this name is shared.")
        place = url_path_join(self.base_url, "geodes/apps", name, f"~{app.ticket()}", path or "/")
        query = proxying.asked(self.request.query)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(f"{place}?{query}" if query else place)


class Inside(ProxyHandler):
    """The app, for requests with a ticket: cookies do not reach it."""

    def check_origin(self, origin: str | None = None) -> bool:
        """Return whether a websocket may open: a page in a sandbox has no origin, and only guests know the ticket."""
        return True

    async def prepare(self) -> None:
        """Check the ticket, instead of a login."""
        name, ticket, path = self.path_args
        app = _shared(self, name)
        self._jupyter_current_user = None
        if app is None or not app.opens(ticket):
            if app is not None and self.request.headers.get("Sec-Fetch-Mode") == "navigate":
                self.redirect(url_path_join(self.base_url, "geodes/apps", name, path or "/"))
                return
            raise HTTPError(403, "This app is not shared, or the page is old: open its address again.")
        if self.request.method not in ("GET", "HEAD"):
            raise HTTPError(405, "A shared app is read-only: its pages can send data only through its websocket.")
        self.app, self.unix_socket = app, str(app.socket)
        self.proxy_base = f"geodes/apps/{name}/~{ticket}"
        proxying.guard_answers(self)

    @staticmethod
    def harden(headers: HTTPHeaders) -> None:
        """Put the app's answers into the sandbox."""
        proxying.harden(headers)
        headers.add("Content-Security-Policy", _SANDBOX)
        headers["Referrer-Policy"] = "no-referrer"
        # A page without an origin requests modules and fonts across origins; no cookie is sent, and the ticket is in
        # the address.
        headers["Access-Control-Allow-Origin"] = "*"

    async def http_get(self, name: str, ticket: str, path: str) -> None:
        """Forward a request."""
        await self.proxy("localhost", 0, path)

    head = http_get

    async def open(self, name: str, ticket: str, path: str) -> None:
        """Forward a websocket."""
        self.app.live.add(self)
        await self.proxy_open("localhost", 0, path)

    def on_close(self) -> None:
        """Called when it is closed."""
        self.app.live.discard(self)
        super().on_close()


def _shared(handler: Any, name: str) -> App | None:
    app: App | None = handler.settings["geodes_lab_shared"].apps.get(name)
    return app


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.apps"}]


def _load_jupyter_server_extension(app: Any) -> None:
    proxying.secure()
    place = url_path_join(app.base_url, "geodes/apps", f"({NAME.pattern})")
    app.web_app.add_handlers(".*$", [(f"{place}/~([0-9a-f]+-[0-9a-f]+)(/.*|)", Inside), (f"{place}(/.*|)", Door)])
