"""What other people may see of this server: what its owner shared, read-only, and nothing else.

The common server of a group has no guests: whoever the hub lets in is a member (``hub/servers/collaboration.py``).

JupyterHub's shares let a person or a group *into* a server, where they could run code as its owner. So requests of
other people are stopped here, before any handler, unless the address is shared: a notebook as a page, or a running app
(``apps.py``).

``POST /geodes/shares {"notebook": "notebooks/a.ipynb"}`` or ``{"socket": "/run/…/map.sock"}`` shares, ``DELETE`` stops,
``GET`` lists; it ends with the server. The hub admits others: a group with ``POST /hub/api/shares/NAME/ {"group": …}``,
a person with the link from ``POST /hub/api/share-codes/NAME/``. ``geodes_lab.share`` does both.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from hub.singleuser import apps, extensions, tongue

_READING = ("GET", "HEAD")
# A GET of these starts or requests something: a link on another site must not do so.
_DOING = ("panel-preview/render/", "dask/dashboard-check/")


class Shared:
    """What is shared of this server."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url
        self.editing = url_path_join(base_url, "api/collaboration/")
        """Where documents are that people edit at the same time."""
        self.notebooks: set[str] = set()
        self.apps: dict[str, apps.App] = {}

    def is_open(self, method: str, path: str) -> bool:
        """Whether an address is open to guests."""
        if method not in _READING or not path.startswith(self._base):
            return False
        inner = unquote(path[len(self._base) :])
        if ".." in inner.split("/") or "//" in inner:
            return False
        if any(inner == f"nbconvert/html/{name}" for name in self.notebooks):
            return True
        # The assets of the lab's pages, and the return address of a login.
        if inner.startswith(("static/", "oauth_callback")) or inner == "oauth_callback":
            return True
        return any(inner == f"geodes/apps/{name}" or inner.startswith(f"geodes/apps/{name}/") for name in self.apps)

    def does(self, path: str) -> bool:
        """Whether a GET of an address has an effect."""
        return unquote(path).startswith(tuple(self._base + inner for inner in _DOING))

    def places(self) -> list[str]:
        """Return the addresses that are shared."""
        pages = [f"nbconvert/html/{quote(n)}" for n in sorted(self.notebooks)]
        return [url_path_join(self._base, p) for p in [*pages, *(f"geodes/apps/{n}/" for n in sorted(self.apps))]]


def guard(provider: Any, shared: Shared, owner: str, *, common: bool = False) -> None:
    """Stop guests before any handler, in the one function that identifies the sender for all of them.

    A common server is the owner's and the members'.
    """
    ask = provider.get_user

    async def get_user(handler: Any) -> Any:
        tongue.heard(handler.request.headers)
        user = ask(handler)
        user = await user if hasattr(user, "__await__") else user
        if (
            user is not None
            and not common
            and user.username != owner
            and not shared.is_open(handler.request.method, handler.request.path)
        ):
            raise HTTPError(403, f"{owner} has not shared this with you.")
        if common and user is None and handler.request.path.startswith(shared.editing):
            raise HTTPError(403)  # jupyter-server-ydoc opens a document, and only then asks who it is for
        headers = handler.request.headers
        if shared.does(handler.request.path) and "Authorization" not in headers and not _is_from_here(headers):
            raise HTTPError(
                403, "A link from another site cannot start anything here: open it from your own JupyterLab."
            )
        return user

    provider.get_user = get_user


def _is_from_here(headers: Any) -> bool:
    """Whether a browser says that a page of this server sent the request.

    For a websocket it always sends the origin, but not always ``Sec-Fetch-Site``: Chromium does not.
    """
    if headers.get("Upgrade", "").lower() == "websocket" and "Sec-Fetch-Site" not in headers:
        return urlsplit(headers.get("Origin", "")).netloc.lower() == headers.get("Host", "").lower() != ""
    return headers.get("Sec-Fetch-Site") == "same-origin"


class Shares(APIHandler):
    """Lists and changes what is shared; the guard admits only the owner."""

    @property
    def shared(self) -> Shared:
        """This server's."""
        own: Shared = self.settings["geodes_lab_shared"]
        return own

    @authenticated
    async def get(self) -> None:
        """List."""
        self._list()

    @authenticated
    async def post(self) -> None:
        """Share."""
        body = self.get_json_body() or {}
        if "socket" in body:
            name, socket = apps.found(body["socket"])
            held = self.shared.apps.get(name)
            if held and held.socket != socket:
                raise HTTPError(
                    409, f"Another app is already shared as {name}: stop sharing it, or give the socket another name."
                )
            self.shared.apps[name] = held or apps.App(socket)
        else:
            notebook = self._notebook(body)
            if not (Path(self.settings["server_root_dir"]).expanduser() / notebook).is_file():
                raise HTTPError(404, f"There is no notebook {notebook}.")
            self.shared.notebooks.add(notebook)
        self._list()

    @authenticated
    async def delete(self) -> None:
        """Stop sharing; current guests of an app are disconnected."""
        body = self.get_json_body() or {}
        if isinstance(body.get("socket"), str):
            for name, app in list(self.shared.apps.items()):
                if str(app.socket) == body["socket"]:
                    self.shared.apps.pop(name).close()
        else:
            self.shared.notebooks.discard(self._notebook(body))
        self._list()

    def _list(self) -> None:
        self.finish(json.dumps({"places": self.shared.places()}))

    def _notebook(self, body: dict[str, Any]) -> str:
        name = body.get("notebook")
        if (
            not isinstance(name, str)
            or not name.endswith(".ipynb")
            or ".." in name.split("/")
            or "//" in name
            or name.startswith("/")
        ):
            raise HTTPError(400, "Give a notebook in your home, or the socket of an app.")
        return name


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.guests"}]


def _load_jupyter_server_extension(app: Any) -> None:
    shared = Shared(app.base_url)
    app.web_app.settings["geodes_lab_shared"] = shared
    guard(app.identity_provider, shared, os.environ.get("JUPYTERHUB_USER", ""), common=extensions.is_common())
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/shares"), Shares)])
