"""The tiles of a small lab: its catalogue and its service of tiles over HTTP, with a real tiler and a real datalake."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from geodes_lab.catalog.harvesting import shelved
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.services import Datalake
from hub.services.catalogue import app as catalogue_app
from hub.services.catalogue.access import Rights
from hub.services.catalogue.news.postman import Postman
from hub.services.data.lake import Lake
from hub.services.person import Hub, Person
from hub.services.tiles.app import Tiles
from hub.services.tiles.broker import Broker, listening
from hub.services.tiles.catalogue import Catalogue
from hub.services.tiles.keys import Keys
from hub.services.tiles.routes import made
from hub.services.tiles.workers import Worker
from tests.support.servers.served import served


class Known(Hub):
    """A hub of some people, by token; ``t`` is the service of tiles."""

    people: Mapping[str, Person]

    def person(self, request: Request) -> Person:
        # A browser has a cookie instead; the hub's own login is tried in tests/integration.
        if "person" not in request.cookies:
            return super().person(request)
        return replace(self.who(request.cookies["person"]), by_cookie=True)

    def token(self, request: Request) -> str:
        return request.cookies.get("person") or super().token(request)

    def who(self, token: str, session: str = "") -> Person:
        return Person(service="tiles") if token == "t" else self.people.get(token, Person())

    def of(self, name: str) -> Person:
        return next((p for p in self.people.values() if p.name == name), Person())


@dataclass
class Served:
    """A running lab."""

    url: str
    """Of the tiles."""
    catalogue: str
    """Of the catalogue's service."""
    keys: Keys
    broker: Broker
    endpoint: str
    """Of the broker."""
    workers: list[Worker]
    people: dict[str, Person]
    page: str
    """Of the catalogue's page, with the tiles on the same server as in a lab; with host names, each at its own."""
    waiting: Callable[[], Mapping[str, int]]
    """Who waits for which answer."""


@contextmanager
def serving_tiles(
    folder: Path,
    catalog: Path,
    datalake: Path | str,
    people: dict[str, Person],
    *,
    lab: Lab | None = None,
    restricted: Mapping[str, list[str]] | None = None,
    origins: tuple[str, ...] = (),
    workers: int = 1,
    postman: Postman | None = None,
    apart: bool = False,
) -> Iterator[Served]:
    """Serve; the datalake is a folder, or an S3 endpoint with open objects. ``apart``: each service has a host name."""
    shelved(str(catalog), folder / "harvested")
    door = socket.create_server(("127.0.0.1", 0))
    here = f"http://127.0.0.1:{door.getsockname()[1]}"
    lab = lab or Lab()
    if apart:
        lab = replace(lab, address=here.replace("127.0.0.1", "lab.localhost"), subdomains=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/catalogue/")
        patch.setenv("JUPYTERHUB_API_TOKEN", "of-the-catalogue")  # it signs the keys of feeds
        known = Known(acting=("tiles",))
        known.people = people
        modules = Path(sys.prefix) / "proxy" / "node_modules"
        catalogue = catalogue_app.made(
            folder / "harvested", folder / "results", Rights(restricted or {}), known, modules, lab=lab, origins=origins,
            postman=postman, tiles=f"{here}/services/tiles",
        )  # fmt: skip
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/tiles/")
        hub = Known()
        hub.people = people
    told = Datalake(folder=str(datalake)) if isinstance(datalake, Path) else Datalake(endpoint=datalake)
    lake = Lake(told, folder / "no-key")
    broker = Broker(lake)
    with served(catalogue) as at, listening(broker) as endpoint:
        several = [Worker(endpoint, broker.secret, folder / "cache", 2 * 2**30) for _ in range(workers)]
        asked, keys = Catalogue(f"{at}/services/catalogue", "t"), Keys("secret")
        tiles = Tiles(lab, hub, asked, lake, ["s3.datalake.cnes.fr"], broker, several, keys)
        drawing = made(tiles, hub, origins, several, asked, lab.origin("catalogue"))

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            is_tiles = scope["type"] == "lifespan" or scope["path"].startswith("/services/tiles/")
            if scope["type"] == "http" and (host := Headers(scope=scope)["Host"]).startswith(("tiles-", "catalogue-")):
                is_tiles = host.startswith("tiles-")
            await (drawing if is_tiles else catalogue)(scope, receive, send)

        with served(both, door=door) as url:
            yield Served(
                f"{url}/services/tiles", f"{at}/services/catalogue", keys, broker, endpoint, several, people,
                f"{lab.origin('catalogue') or url}/services/catalogue/", lambda: tiles._answers._waiting,
            )  # fmt: skip
