"""What somebody else may see of this server: what its owner shared, by reading, and nothing else.

JupyterHub's shares let a person or a group *into* a server, and who is in may run code there as its owner. So whoever is not the owner is
stopped here, before any handler, unless the address is one that was shared: a notebook as a page, or an app that runs.

``POST /geodes/shares {"notebook": "notebooks/a.ipynb"}`` or ``{"port": 5006}`` shares, ``DELETE`` takes back, ``GET`` lists; it ends with the
server. Others are let in by the hub: a group by ``POST /hub/api/shares/NAME/ {"group": …}``, a person by the link that
``POST /hub/api/share-codes/NAME/`` gives. ``geodes_lab.share`` does both.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

_READING = ("GET", "HEAD")


class Shared:
    """What is shared of this server."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url
        self.notebooks: set[str] = set()
        self.ports: set[int] = set()

    def is_open(self, method: str, path: str) -> bool:
        """Whether an address is for guests."""
        if method not in _READING or not path.startswith(self._base):
            return False
        inner = unquote(path[len(self._base) :])
        if ".." in inner.split("/") or "//" in inner:
            return False
        if any(inner == f"nbconvert/html/{name}" for name in self.notebooks):
            return True
        # What comes with the lab's pages, and where a login leads back to.
        if inner.startswith(("static/", "oauth_callback")) or inner == "oauth_callback":
            return True
        return any(inner == f"proxy/{port}" or inner.startswith(f"proxy/{port}/") for port in self.ports)

    def places(self) -> list[str]:
        """The addresses of what is shared."""
        pages = [f"nbconvert/html/{quote(n)}" for n in sorted(self.notebooks)]
        return [url_path_join(self._base, p) for p in [*pages, *(f"proxy/{n}/" for n in sorted(self.ports))]]


def guard(provider: Any, shared: Shared, owner: str) -> None:
    """Stop guests before any handler, by the one function that tells each of them who asks."""
    ask = provider.get_user

    async def get_user(handler: Any) -> Any:
        user = ask(handler)
        user = await user if hasattr(user, "__await__") else user
        if (
            user is not None
            and user.username != owner
            and not shared.is_open(handler.request.method, handler.request.path)
        ):
            raise HTTPError(403, f"{owner} has not shared this with you.")
        return user

    provider.get_user = get_user


class Shares(APIHandler):
    """Says and changes what is shared; the guard lets the owner alone come here."""

    @property
    def shared(self) -> Shared:
        """This server's."""
        found: Shared = self.settings["geodes_lab_shared"]
        return found

    @authenticated
    async def get(self) -> None:
        """List."""
        self.finish(json.dumps({"places": self.shared.places()}))

    @authenticated
    async def post(self) -> None:
        """Share."""
        kind, value = self._asked()
        if kind == "notebook" and not (Path(self.settings["server_root_dir"]).expanduser() / value).is_file():
            raise HTTPError(404, f"There is no notebook {value}.")
        (self.shared.notebooks if kind == "notebook" else self.shared.ports).add(value)
        await self.get()

    @authenticated
    async def delete(self) -> None:
        """Take back."""
        kind, value = self._asked()
        (self.shared.notebooks if kind == "notebook" else self.shared.ports).discard(value)
        await self.get()

    def _asked(self) -> tuple[str, Any]:
        told = self.get_json_body() or {}
        name, port = told.get("notebook"), told.get("port")
        if (
            isinstance(name, str)
            and name.endswith(".ipynb")
            and ".." not in name.split("/")
            and not name.startswith("/")
        ):
            return "notebook", name
        if isinstance(port, int) and not isinstance(port, bool) and 1024 <= port < 65536:
            return "port", port
        raise HTTPError(400, "A notebook of the home, or the port of an app, is wanted.")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "guests"}]


def _load_jupyter_server_extension(app: Any) -> None:
    shared = Shared(app.base_url)
    app.web_app.settings["geodes_lab_shared"] = shared
    guard(app.identity_provider, shared, os.environ.get("JUPYTERHUB_USER", ""))
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/shares"), Shares)])
